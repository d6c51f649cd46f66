/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/work.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS 4

struct list {
	struct work *first, **end;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Signalled when work is added or done, and when the threads are to end. */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_t threads[THREADS];
static const void *running[THREADS]; /* the keys; NULL: the thread waits */
static unsigned int started;
static struct list waiting, finished;
static bool ending;
static int wakeup = -1; /* an eventfd: there is something in finished */
static struct event *on_wakeup;

static void append(struct list *l, struct work *w)
{
	w->next = NULL;
	*l->end = w;
	l->end = &w->next;
}

static bool is_running(const void *key)
{
	unsigned int i;

	for (i = 0; i < THREADS; i++)
		if (running[i] == key)
			return true;
	return false;
}

/* Takes the oldest whose key is not at work; NULL: none. */
static struct work *take_next(void)
{
	struct work **at, *w;

	for (at = &waiting.first; (w = *at); at = &w->next) {
		if (is_running(w->key))
			continue;
		*at = w->next;
		if (!w->next)
			waiting.end = at;
		return w;
	}
	return NULL;
}

static void run_one(unsigned int self, struct work *w)
{
	const uint64_t one = 1;

	running[self] = w->key;
	pthread_mutex_unlock(&lock);
	w->run(w);
	pthread_mutex_lock(&lock);
	running[self] = NULL;
	append(&finished, w);
	pthread_cond_broadcast(&changed);
	/* a full counter wakes the loop, too */
	if (write(wakeup, &one, sizeof(one)) < 0)
		return;
}

static void *serve(void *arg)
{
	unsigned int self = (unsigned int)(uintptr_t)arg;
	struct work *w;

	pthread_mutex_lock(&lock);
	/* work that waits for its own key is left to the thread that has the key */
	while ((w = take_next()) || !ending)
		if (w)
			run_one(self, w);
		else
			pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void tell_finished(void)
{
	struct work *w, *next;

	pthread_mutex_lock(&lock);
	w = finished.first;
	finished = (struct list){.end = &finished.first};
	pthread_mutex_unlock(&lock);
	for (; w; w = next) {
		next = w->next;
		w->done(w);
	}
}

static void on_finished(evutil_socket_t fd, short what, void *ctx)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) > 0)
		tell_finished();
}

/* Signals are the event loop's. */
static int start_threads(void)
{
	sigset_t all, old;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (started = 0; started < THREADS && !rc; started += !rc)
		rc = pthread_create(&threads[started], NULL, serve,
				    (void *)(uintptr_t)started);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

int work_init(struct event_base *base)
{
	waiting.end = &waiting.first;
	finished.end = &finished.first;
	ending = false;
	wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wakeup < 0)
		return -errno;
	on_wakeup = event_new(base, wakeup, EV_READ | EV_PERSIST, on_finished, NULL);
	if (!on_wakeup)
		return -ENOMEM;
	priority_of_peers(on_wakeup);
	return event_add(on_wakeup, NULL) ? -ENOMEM : start_threads();
}

void work_add(struct work *w)
{
	if (!started) {
		w->run(w);
		w->done(w);
		return;
	}
	pthread_mutex_lock(&lock);
	append(&waiting, w);
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

void work_end(void)
{
	unsigned int i;

	pthread_mutex_lock(&lock);
	ending = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	for (i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	started = 0;
	if (wakeup >= 0)
		tell_finished();
	if (on_wakeup)
		event_free(on_wakeup);
	if (wakeup >= 0)
		close(wakeup);
	on_wakeup = NULL;
	wakeup = -1;
}
