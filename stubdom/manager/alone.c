/* SPDX-License-Identifier: Apache-2.0 */
#include "alone.h"
#include "control.h"
#include "stubdom/manager/engine.h"
#include "folder.h"
#include "stubdom/manager/socket.h"
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLUSH_MS 1000 /* how long the clock's last state may wait */

/* The main thread serves commands; the control channel has a thread of its own, as
 * a CANCEL must be heard while a command runs.  lock is held around the engine. */
static struct {
	struct folder folder;
	struct state state;
	struct error error;
	struct listener commands, control;
	struct fronts fronts; /* one */
	pthread_mutex_t lock;
	enum engine_version version;
	uint8_t locality;
	bool on;
} alone = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int alone_power_on(bool create)
{
	const struct engine_options options = {
		.create = create,
		.version = alone.version,
		.keep_saved = true, /* the client is its own firmware */
	};
	struct engine_store store = state_store(&alone.state);
	int rc = engine_open(&store, &options, &alone.error);

	alone.on = !rc;
	return rc;
}

static int power_off(void)
{
	int rc = alone.on ? engine_close() : 0;

	alone.on = false;
	return rc ? rc : state_flush(&alone.state);
}

static int on_init(void *ctx)
{
	int rc;

	pthread_mutex_lock(&alone.lock);
	rc = alone.on ? engine_power_cycle() : alone_power_on(false);
	alone.locality = 0;
	pthread_mutex_unlock(&alone.lock);
	return rc;
}

static int on_stop(void *ctx)
{
	int rc;

	pthread_mutex_lock(&alone.lock);
	rc = power_off();
	pthread_mutex_unlock(&alone.lock);
	return rc;
}

static void on_locality(void *ctx, uint8_t locality)
{
	pthread_mutex_lock(&alone.lock);
	alone.locality = locality;
	pthread_mutex_unlock(&alone.lock);
}

static void on_cancel(void *ctx)
{
	engine_cancel();
}

static const struct control_ops control_ops = {
	.init = on_init,
	.stop = on_stop,
	.set_locality = on_locality,
	.cancel = on_cancel,
};

static int execute_standalone(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len,
			      uint8_t *rsp, size_t *rsp_len)
{
	int rc;

	pthread_mutex_lock(&alone.lock);
	rc = engine_execute(alone.locality, cmd, len, rsp, rsp_len);
	pthread_mutex_unlock(&alone.lock);
	if (rc)
		fprintf(stderr,
			"vtpm-manager: a command failed as its state could not be "
			"stored; the TPM answers TPM_RC_FAILURE until it is restarted\n");
	return rc;
}

/* One request, which may come in pieces.  Bytes behind it in the same packet are a
 * client's padding, as swtpm takes them.  false: the client is gone. */
static bool serve_request(int fd)
{
	uint8_t buf[64], rsp[CONTROL_RESPONSE_MAX];
	size_t have = 0, want;
	bool end;
	ssize_t n;

	do {
		n = recv(fd, buf + have, sizeof(buf) - have, 0);
		if (n <= 0)
			return false;
		have += (size_t)n;
		want = control_request_size(buf, have);
	} while (!want || have < want);
	want = control_answer(&control_ops, buf, want, rsp, &end);
	n = send(fd, rsp, want, MSG_NOSIGNAL);
	if (end)
		kill(getpid(), SIGTERM); /* serve_standalone() hears of it */
	return n == (ssize_t)want;
}

static void *serve_control(void *unused)
{
	struct pollfd fd = {.fd = alone.control.fd, .events = POLLIN};
	int client;

	for (;;) {
		if (poll(&fd, 1, -1) < 0)
			continue;
		client = listener_accept(&alone.control);
		if (client < 0)
			continue;
		while (serve_request(client))
			;
		close(client);
	}
	return NULL;
}

static int flush(void)
{
	int rc;

	pthread_mutex_lock(&alone.lock);
	rc = state_flush(&alone.state);
	pthread_mutex_unlock(&alone.lock);
	return rc;
}

/* For how long to wait for work: a state that waits is stored when there is none. */
static int idle_ms(void)
{
	int ms;

	pthread_mutex_lock(&alone.lock);
	ms = alone.state.later ? FLUSH_MS : -1;
	pthread_mutex_unlock(&alone.lock);
	return ms;
}

static int serve_standalone(int signals)
{
	struct pollfd end = {.fd = signals, .events = POLLIN};
	int rc;

	do {
		rc = fronts_serve(&alone.fronts, &end, idle_ms());
		if (!rc)
			rc = flush();
	} while (rc >= 0 && !end.revents);
	return rc < 0 ? rc : 0;
}

static int listen_at(const struct alone_place *place)
{
	char path[128];
	int rc;

	if (!place->unix_path) {
		rc = listener_tcp(&alone.commands, place->port, &alone.error);
		return rc ? rc
			  : listener_tcp(&alone.control, (uint16_t)(place->port + 1),
					 &alone.error);
	}
	snprintf(path, sizeof(path), "%s.ctrl", place->unix_path);
	rc = listener_unix(&alone.commands, place->unix_path, &alone.error);
	return rc ? rc : listener_unix(&alone.control, path, &alone.error);
}

static int open_all(const struct alone_place *place)
{
	struct front *f;
	bool create;
	int rc;

	alone.fronts.tpm.execute = execute_standalone;
	alone.version = place->version;
	alone.state.error = &alone.error;
	rc = folder_open(&alone.folder, place->state, &alone.error);
	if (!rc)
		rc = folder_unlock(&alone.folder, &alone.state, &create, &alone.error);
	if (!rc)
		rc = alone_power_on(create);
	if (rc)
		return rc;
	fprintf(stderr,
		"vtpm-manager: FOR TESTS ONLY: the key to this TPM lies beside its state "
		"in %s; whoever reads that folder has all of its secrets\n",
		place->state);
	if (create)
		fprintf(stderr, "vtpm-manager: a new TPM was made there\n");
	rc = listen_at(place);
	if (!rc)
		rc = socket_front(&f, &alone.commands, &alone.error);
	if (!rc)
		fronts_add(&alone.fronts, f);
	return rc;
}

static int write_pid(const char *path, pid_t pid)
{
	FILE *f = fopen(path, "we");
	int rc = f ? 0 : -errno;

	if (f && fprintf(f, "%ld\n", (long)pid) < 0)
		rc = -EIO;
	if (f && fclose(f) && !rc)
		rc = -errno;
	return rc ? error_set(&alone.error, rc, CAUSE_INTERNAL, "%s: %s", path,
			      strerror(-rc))
		  : 0;
}

/* 1: this is the parent, and its work is done. */
static int become_daemon(const struct alone_place *place)
{
	pid_t pid = fork();
	int null, rc = 0;

	if (pid < 0)
		return error_set(&alone.error, -errno, CAUSE_INTERNAL, "fork: %s",
				 strerror(errno));
	if (pid) {
		if (place->pid)
			rc = write_pid(place->pid, pid);
		if (rc)
			kill(pid, SIGTERM);
		return rc ? rc : 1;
	}
	setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
	}
	return 0;
}

static int serve_all(void)
{
	pthread_t thread;
	sigset_t set;
	int signals, rc;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0)
		return -errno;
	rc = -pthread_create(&thread, NULL, serve_control, NULL);
	if (!rc)
		rc = serve_standalone(signals);
	/* the control thread holds the lock no longer than one request */
	pthread_mutex_lock(&alone.lock);
	return rc;
}

int alone_run(const struct alone_place *place, struct error *e)
{
	int rc;

	alone.commands.fd = alone.control.fd = -1;
	rc = open_all(place);
	if (!rc && place->daemon)
		rc = become_daemon(place);
	else if (!rc && place->pid)
		rc = write_pid(place->pid, getpid());
	if (rc == 1)
		return 0;
	if (!rc)
		rc = serve_all();
	fronts_close(&alone.fronts);
	listener_close(&alone.commands);
	listener_close(&alone.control);
	if (place->pid)
		(void)unlink(place->pid);
	if (power_off() && !rc)
		rc = error_set(&alone.error, -EIO, CAUSE_STORE,
			       "the TPM's last state could not be stored");
	state_wipe(&alone.state);
	folder_close(&alone.folder);
	if (rc)
		error_set(&alone.error, rc, CAUSE_INTERNAL, "%s", strerror(-rc));
	*e = alone.error;
	return rc;
}
