/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Beside `vtpmctl migrate-receive`: what waits for a word of another host, since one of the two
 * began anew in the midst of a move, is gone on with as `vtpmctl migrate --continue` does, by no
 * person: none with which somebody goes on.  Of one host one after the other, and beside what waits for
 * others.  A host that does not answer is asked once a pass, however many vTPMs wait for it, and vtpmd
 * hears nothing of that.
 */
#include "tools/vtpmctl/migrate.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EARLY \
	5 /* passes, after 1, 2, 4, 8 and 16 s; and then, while nothing is to be done ... */
#define PASS_S	30  /* ... so often */
#define QUIET_S 100 /* longer than vtpmctl, or a guest's xl, lets vtpmd wait */
/* Of one that was left in an earlier pass, too. */
#define QUIET_OWN 5
#define ONE_S	  400 /* longer than one waits for the other host's xl */
#define TOLD	  3   /* passes that say why one did not come to its end */

struct asker {
	const struct migrate *like; /* its options */
	json_t *left;		    /* uuid: true, of what was left in the last pass */
	json_t *asked;		    /* hosts: the process that asks each */
	unsigned int pass;	    /* since vtpmd answers */
};

/* Whether nobody goes on with it. */
static bool is_left(const struct asker *a, const json_t *one)
{
	json_int_t quiet = json_integer_value(json_object_get(one, "quiet_s"));
	bool soon = json_object_get(a->left, client_text(one, "uuid"));

	/* that the other host asks, which it may as often as this one looks, does not end it: only this
	 * one can.  Who goes on here has its lock. */
	if (!strcmp(client_text(one, "state"), "confirmed"))
		return true;
	return quiet < 0 || quiet >= (soon ? QUIET_OWN : QUIET_S);
}

/* In a process of its own.  Its status says whether the other host was reached. */
static void go_on(const struct asker *a, const json_t *one)
{
	struct migrate m = {.socket = a->like->socket,
			    .config = a->like->config,
			    .keys = a->like->keys};
	struct error e = {.cause = CAUSE_NONE};
	int lock;

	(void)alarm(ONE_S);
	if (migrate_load(&m, &e) || migrate_connect(&m, client_text(one, "peer"), &e)) {
		if (a->pass < TOLD)
			fprintf(stderr, "vtpmctl: %s is to say what it has: %s\n",
				client_text(one, "peer"), e.text);
		_exit(VTPMCTL_FAILED);
	}
	m.goes_on = client_text(one, "call");
	snprintf(m.vtpm, sizeof(m.vtpm), "%s", client_text(one, "name"));
	/* a guest that comes along is its xl's */
	lock = migrate_lock(&m, "receive", 0);
	if (lock >= 0)
		close(lock);
	if (lock != -EBUSY)
		(void)!migrate_go_on(&m, a->pass >= TOLD);
	_exit(VTPMCTL_OK);
}

/* All that waits for one host, one after the other, in a process of its own: that host may let each take
 * as long as it likes. */
static _Noreturn void ask_host(const struct asker *a, const json_t *due)
{
	const json_t *one;
	int status = 0;
	size_t i;
	pid_t pid;

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	json_array_foreach(due, i, one)
	{
		pid = fork();
		if (!pid)
			go_on(a, one);
		while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (status)
			break;
	}
	_exit(0);
}

/* Those that have ended. */
static void reap_hosts(struct asker *a)
{
	const char *peer;
	json_t *pid;
	void *next;

	json_object_foreach_safe(a->asked, next, peer, pid)
	{
		if (waitpid((pid_t)json_integer_value(pid), NULL, WNOHANG) != 0)
			json_object_del(a->asked, peer);
	}
}

static void ask_hosts(struct asker *a, const json_t *due)
{
	const char *peer;
	json_t *list;
	pid_t pid;

	reap_hosts(a);
	json_object_foreach((json_t *)due, peer, list)
	{
		if (json_object_get(a->asked, peer))
			continue;
		pid = fork();
		if (!pid)
			ask_host(a, list);
		if (pid > 0)
			json_object_set_new(a->asked, peer, json_integer(pid));
	}
}

static void add_due(json_t *due, json_t *one)
{
	const char *peer = client_text(one, "peer");
	json_t *list = json_object_get(due, peer);

	if (!list) {
		list = json_array();
		json_object_set_new(due, peer, list);
	}
	json_array_append(list, one);
}

static void ask_for_all(struct asker *a, const json_t *waiting)
{
	json_t *left = json_object(), *due = json_object(), *one;
	size_t i;

	json_array_foreach(waiting, i, one)
	{
		if (!is_left(a, one) &&
		    !json_object_get(a->left, client_text(one, "uuid")))
			continue;
		json_object_set_new(left, client_text(one, "uuid"), json_true());
		if (is_left(a, one))
			add_due(due, one);
	}
	/* what waits no more is forgotten */
	json_decref(a->left);
	a->left = left;
	ask_hosts(a, due);
	json_decref(due);
}

static void run_asker(struct asker *a)
{
	char text[CLIENT_TEXT];
	json_t *reply;

	for (;; a->pass++) {
		sleep(a->pass < EARLY ? 1u << a->pass : PASS_S);
		/* vtpmd begins anew */
		if (client_try(a->like->socket,
			       json_pack("{s:s, s:s}", "op", "move", "event", "waiting"),
			       &reply, text)) {
			a->pass = 0;
			continue;
		}
		ask_for_all(a, json_object_get(reply, "moves"));
		json_decref(reply);
	}
}

pid_t migrate_ask_begin(const struct migrate *m)
{
	struct asker a = {.like = m};
	pid_t parent = getpid(), pid = fork();

	switch (pid) {
	case 0:
		/* it is of no use without who listens */
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		a.left = json_object();
		a.asked = json_object();
		if (getppid() == parent && a.left && a.asked)
			run_asker(&a);
		sleep(1); /* or it would be begun again at once */
		_exit(0);
	case -1:
		fprintf(stderr,
			"vtpmctl: moves that were interrupted are gone on with by "
			"`vtpmctl migrate --continue` alone: there is no process for it\n");
	}
	return pid;
}
