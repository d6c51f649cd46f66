/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/alone.h"
#include "lib/atomic.h"
#include "lib/tpm2/types.h"
#include "stubdom/manager/control.h"
#include "stubdom/manager/folder.h"
#include "stubdom/manager/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define FLUSH_MS 1000 /* how long the clock's last state may wait */
#define FAIL_12	 9    /* TPM_FAIL */
#define LOOK_MS	 10   /* how often to look for a cancel while the TPM works */

/* One thread: while a command runs, libtpms calls look_up() now and then. */
static struct {
	const struct alone_place *place;
	struct folder folder;
	struct state state;
	struct error error;
	struct listener commands, control;
	struct fronts fronts;
	struct front *data; /* one of them */
	int signals;
	uint64_t looked_ms;
	uint8_t locality;
	bool on;
	bool is_new;		    /* there is no state yet */
	bool brought[ENGINE_BLOBS]; /* by SET_STATEBLOB, for the next power on */
	bool ending;
	bool is_daemon;
	bool owns_pid; /* its pid file is of this process, and goes with it */
} alone;

/* On standard error; of a daemon, which has none, in its log. */
static void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (alone.is_daemon && !alone.place->log)
		syslog(LOG_DAEMON | LOG_ERR, "%s: %s", alone.place->state, text);
	else
		fprintf(stderr, "vtpm-manager: %s\n", text);
}

static int startup_alone(void)
{
	/* TPM 2.0 Library, Part 3, 9.3; TPM Main, Part 3, 3.2, with TPM_ST_CLEAR or STATE */
	uint8_t cmd20[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0};
	uint8_t cmd12[] = {0, 0xc1, 0, 0, 0, 12, 0, 0, 0, 0x99, 0, 1};
	bool state = alone.place->startup == ALONE_STARTUP_STATE;
	uint8_t rsp[ENGINE_BUFFER_SIZE];
	size_t len = sizeof(rsp);

	if (alone.place->startup == ALONE_STARTUP_NONE)
		return 0;
	cmd20[11] = state;
	cmd12[11] = state ? 2 : 1;
	return engine_execute(0, alone.place->version == ENGINE_TPM_12 ? cmd12 : cmd20,
			      sizeof(cmd20), rsp, &len);
}

static int alone_power_on(void)
{
	const struct engine_options options = {
		.create = alone.is_new && !alone.brought[ENGINE_BLOB_PERMANENT],
		.version = alone.place->version,
		.keep_saved = true, /* the client is its own firmware */
	};
	struct engine_store store = state_store(&alone.state);
	int rc = engine_open(&store, &options, &alone.error);

	if (!rc && options.create)
		say("a new TPM was made there");
	if (!rc)
		alone.is_new = false;
	alone.on = !rc;
	return rc;
}

static int power_off(void)
{
	int rc = alone.on ? engine_close() : 0;

	alone.on = false;
	return rc ? rc : state_flush(&alone.state);
}

/* STORE_VOLATILE's state, unless SET_STATEBLOB has brought one. */
static int resume_volatile(void)
{
	uint8_t *plain = NULL;
	size_t len = 0;
	int rc;

	if (alone.brought[ENGINE_BLOB_VOLATILE])
		return 0;
	rc = state_get_object(&alone.state, CHANNEL_OBJECT_VOLATILE, &plain, &len);
	if (rc == -ENOENT)
		return 0;
	if (!rc)
		rc = engine_set_blob(ENGINE_BLOB_VOLATILE, plain, len);
	stateblob_free(plain, len);
	return rc;
}

static int init_alone(void *ctx, bool drop_volatile)
{
	int rc;

	alone.error = (struct error){0};
	rc = resume_volatile();
	if (!rc)
		rc = alone.on ? engine_power_cycle() : alone_power_on();
	memset(alone.brought, 0, sizeof(alone.brought));
	if (!rc && drop_volatile)
		rc = folder_remove(&alone.folder, CHANNEL_OBJECT_VOLATILE);
	if (rc)
		say("the TPM does not start: %s",
		    alone.error.text[0] ? alone.error.text : strerror(-rc));
	return rc;
}

static int stop_alone(void *ctx)
{
	int rc = power_off();

	if (rc)
		say("the TPM's last state could not be stored: %s", strerror(-rc));
	return rc;
}

static int store_alone(void *ctx)
{
	uint8_t *plain = NULL;
	size_t len = 0;
	int rc = engine_get_blob(ENGINE_BLOB_VOLATILE, &plain, &len);

	if (!rc)
		rc = state_put_object(&alone.state, CHANNEL_OBJECT_VOLATILE, plain, len);
	stateblob_free(plain, len);
	return rc;
}

static int set_alone(void *ctx, enum engine_blob which, const uint8_t *blob, size_t len)
{
	int rc = engine_set_blob(which, blob, len);

	if (!rc)
		alone.brought[which] = len > 0;
	return rc;
}

static bool is_alone_on(void *ctx)
{
	return alone.on;
}

static void locality_alone(void *ctx, uint8_t locality)
{
	alone.locality = locality;
}

static int take_data_alone(void *ctx, int fd)
{
	return socket_take(alone.data, fd);
}

static void end_alone(void *ctx)
{
	alone.ending = true;
}

static int execute_standalone(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len,
			      uint8_t *rsp, size_t *rsp_len)
{
	bool was_broken = engine_is_broken();
	int rc;

	if (!alone.on) /* swtpm answers so, too */
		return engine_refuse(alone.place->version, TPM2_RC_FAILURE, FAIL_12, rsp,
				     rsp_len);
	rc = engine_execute(alone.locality, cmd, len, rsp, rsp_len);
	if (rc && !was_broken)
		say("a command failed as its state could not be stored (%s); the TPM "
		    "answers that it has failed until INIT, or until it is started again",
		    strerror(-rc));
	return rc;
}

static uint64_t now_alone(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* In the midst of a long command: who wants the process to end need not wait for it. */
static void look_up(void *ctx)
{
	struct pollfd end = {.fd = alone.signals, .events = POLLIN};
	uint64_t now = now_alone();

	if (now - alone.looked_ms < LOOK_MS)
		return;
	alone.looked_ms = now;
	if (poll(&end, 1, 0) > 0)
		engine_cancel();
	fronts_check_cancel(&alone.fronts);
}

static int serve_standalone(void)
{
	struct pollfd end = {.fd = alone.signals, .events = POLLIN};
	int rc;

	engine_while_busy(look_up, NULL);
	do {
		/* what waits is stored when idle */
		rc = fronts_serve(&alone.fronts, &end, alone.state.later ? FLUSH_MS : -1);
		if (!rc && state_flush(&alone.state))
			say("the TPM's clock could not be stored; it is tried again");
	} while (rc >= 0 && !end.revents && !alone.ending);
	engine_while_busy(NULL, NULL);
	return rc < 0 ? rc : 0;
}

/* A listener at *s; *client is its connection, if it is one. */
static int listen_at(const struct sockspec *s, struct listener *l, int *client)
{
	*client = -1;
	switch (s->kind) {
	case SOCKSPEC_TCP:
		return listener_tcp(l, s->port, &alone.error);
	case SOCKSPEC_UNIX:
		return listener_unix(l, s->path, &alone.error);
	case SOCKSPEC_LISTENS:
		l->fd = s->fd;
		return 0;
	case SOCKSPEC_CLIENT:
		*client = s->fd;
		return 0;
	default:
		return 0;
	}
}

static int listen_all(void)
{
	const struct control_tpm tpm = {
		.version = alone.place->version,
		.is_on = is_alone_on,
		.init = init_alone,
		.stop = stop_alone,
		.store_volatile = store_alone,
		.set_blob = set_alone,
		.set_locality = locality_alone,
		.take_data = take_data_alone,
		.end = end_alone,
	};
	const struct socket_options options = {
		.disconnect = alone.place->server.disconnect,
		.lingers = true,
		.prefix = alone.place->version == ENGINE_TPM_20,
		.left = alone.place->terminate ? end_alone : NULL,
		.locality = locality_alone,
	};
	const struct front_config config = {.tpm12 = alone.place->version ==
						     ENGINE_TPM_12};
	struct front *f;
	int client = -1, data = -1, rc;

	rc = listen_at(&alone.place->server, &alone.commands, &data);
	if (!rc)
		rc = listen_at(&alone.place->control, &alone.control, &client);
	if (!rc)
		rc = socket_front(&alone.data, &alone.commands, &options, &alone.error);
	if (rc)
		return rc;
	fronts_add(&alone.fronts, alone.data);
	rc = data >= 0 ? socket_take(alone.data, data) : 0;
	if (!rc)
		rc = control_front(&f, &alone.control, client, &tpm, &alone.error);
	if (!rc)
		fronts_add(&alone.fronts, f);
	return rc ? rc : fronts_open(&alone.fronts, &config);
}

static int open_state(void)
{
	int rc;

	alone.state.error = &alone.error;
	rc = folder_open(&alone.folder, alone.place->state, &alone.error);
	return rc ? rc
		  : folder_unlock(&alone.folder, &alone.state, &alone.is_new,
				  &alone.error);
}

static int open_all(void)
{
	int rc;

	alone.fronts.tpm.execute = execute_standalone;
	rc = open_state();
	if (rc)
		return rc;
	say("FOR TESTS ONLY: the key to this TPM lies beside its state in %s; whoever "
	    "reads that folder has all of its secrets",
	    alone.place->state);
	if (!alone.place->need_init) {
		rc = resume_volatile();
		if (!rc)
			rc = alone_power_on();
		if (!rc)
			rc = startup_alone();
	}
	return rc ? rc : listen_all();
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

static int point_to_log(int null)
{
	int fd = null;

	if (alone.place->log)
		fd = open(alone.place->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			  0600);
	if (fd < 0)
		return error_set(&alone.error, -errno, CAUSE_INTERNAL, "%s: %s",
				 alone.place->log, strerror(errno));
	dup2(fd, 2);
	if (fd != null)
		close(fd);
	return 0;
}

/* 1: this is the parent, and its work is done. */
static int become_daemon(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), rc;
	pid_t pid;

	/* the parent's words are said already; both have the log from here on */
	pid = fork();
	if (pid < 0)
		return error_set(&alone.error, -errno, CAUSE_INTERNAL, "fork: %s",
				 strerror(errno));
	if (pid) {
		rc = alone.place->pid ? write_pid(alone.place->pid, pid) : 0;
		if (rc)
			kill(pid, SIGTERM);
		close(null);
		return rc ? rc : 1;
	}
	setsid();
	alone.owns_pid = true;
	rc = point_to_log(null);
	if (!alone.place->log)
		openlog("vtpm-manager", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	alone.is_daemon = !rc;
	if (!rc && null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
	}
	if (null > 2)
		close(null);
	return rc;
}

static int serve_all(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	alone.signals = signalfd(-1, &set, SFD_CLOEXEC);
	return alone.signals < 0 ? -errno : serve_standalone();
}

static void close_state(int *rc)
{
	if (power_off() && !*rc)
		*rc = error_set(&alone.error, -EIO, CAUSE_STORE,
				"the TPM's last state could not be stored");
	state_wipe(&alone.state);
	folder_close(&alone.folder);
}

int alone_run(const struct alone_place *place, struct error *e)
{
	int rc;

	alone.place = place;
	alone.commands.fd = alone.control.fd = alone.signals = -1;
	alone.folder.dir = alone.folder.lock = -1;
	rc = open_all();
	if (!rc && place->daemon)
		rc = become_daemon();
	else if (!rc && place->pid)
		rc = write_pid(place->pid, getpid());
	if (!rc)
		alone.owns_pid = true;
	if (rc == 1)
		return 0;
	if (!rc)
		rc = serve_all();
	fronts_close(&alone.fronts);
	listener_close(&alone.commands);
	listener_close(&alone.control);
	if (place->pid && alone.owns_pid)
		(void)unlink(place->pid);
	close_state(&rc);
	if (rc)
		error_set(&alone.error, rc, CAUSE_INTERNAL, "%s", strerror(-rc));
	if (rc && alone.is_daemon && !place->log)
		say("%s", alone.error.text);
	*e = alone.error;
	return rc;
}

int alone_import(const struct alone_place *place, const char *file,
		 const struct stateblob_keys *keys, struct error *e)
{
	uint8_t *bytes = NULL, *plain = NULL;
	size_t len = 0, plain_len = 0;
	int rc;

	alone.place = place;
	alone.folder.dir = alone.folder.lock = -1;
	rc = atomic_read(AT_FDCWD, file, FOLDER_STATE_MAX, &bytes, &len);
	if (rc)
		rc = error_set(&alone.error, rc, CAUSE_STORE, "%s: %s", file,
			       strerror(-rc));
	else
		rc = stateblob_open_file(bytes, len, keys, &plain, &plain_len,
					 &alone.error);
	if (!rc)
		rc = stateblob_check(plain, plain_len, place->version == ENGINE_TPM_12,
				     &alone.error);
	stateblob_free(bytes, len);
	if (!rc)
		rc = open_state();
	if (!rc && !alone.is_new)
		rc = error_set(&alone.error, -EEXIST, CAUSE_STATE_EXISTS,
			       "%s has a TPM already: name a new folder", place->state);
	if (!rc)
		rc = set_alone(NULL, ENGINE_BLOB_PERMANENT, plain, plain_len);
	stateblob_free(plain, plain_len);
	if (!rc)
		rc = alone_power_on();
	close_state(&rc);
	if (rc)
		error_set(&alone.error, rc, CAUSE_INTERNAL, "%s", strerror(-rc));
	*e = alone.error;
	return rc;
}
