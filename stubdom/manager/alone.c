/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/alone.h"
#include "lib/atomic.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/slot/slot.h"
#include "stubdom/manager/socket.h"
#include "stubdom/manager/state.h"

#include <errno.h>
#include <fcntl.h>
#include <libtpms/tpm_error.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The folder: header and state as vtpmd would store them, and beside them, in "key", what
 * opens them.  Anyone who reads the folder has the TPM's secrets.
 */

#define STATE_MAX (1024 * 1024)
#define KEY	  "key"

struct folder {
	int dir, lock; /* -1: closed */
};

static const char *object_name(enum channel_object object)
{
	return object == CHANNEL_OBJECT_HEADER ? "header" : "permall";
}

static int get_folder(void *ctx, enum channel_object object, uint8_t **buf, size_t *len)
{
	struct folder *f = ctx;

	return atomic_read(f->dir, object_name(object), STATE_MAX, buf, len);
}

static int put_folder(void *ctx, enum channel_object object, uint64_t seq,
		      const uint8_t *buf, size_t len)
{
	struct folder *f = ctx;

	return atomic_write(f->dir, object_name(object), buf, len, true);
}

static void folder_close(struct folder *f)
{
	if (f->lock >= 0)
		close(f->lock);
	if (f->dir >= 0)
		close(f->dir);
	f->dir = f->lock = -1;
}

/* Makes the folder (0700) when it is not there.  -EBUSY: another process has it. */
static int folder_open(struct folder *f, const char *path, struct error *e)
{
	int rc = 0;

	f->dir = f->lock = -1;
	if (mkdir(path, 0700) && errno != EEXIST)
		rc = -errno;
	if (!rc) {
		f->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		rc = f->dir < 0 ? -errno : 0;
	}
	if (!rc) {
		f->lock = openat(f->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		rc = f->lock < 0 ? -errno : 0;
	}
	if (!rc && flock(f->lock, LOCK_EX | LOCK_NB))
		rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (!rc)
		return 0;
	folder_close(f);
	if (rc == -EBUSY)
		return error_set(e, rc, CAUSE_STORE,
				 "%s is in use by another vtpm-manager: end that one, or "
				 "give this one a folder of its own",
				 path);
	return error_set(e, rc, CAUSE_STORE, "the folder %s cannot be used: %s", path,
			 strerror(-rc));
}

static bool is_there(const struct folder *f, const char *name)
{
	return !faccessat(f->dir, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

/* A data key and its header, before anything that they protect. */
static int make_state_folder(struct folder *f, struct state *s, struct envelope_header *h,
			     struct error *e)
{
	uint8_t key[SLOT_SHARE_SIZE];
	const struct slot_context x = {.uuid = h->uuid, .key = key, .error = e};
	uint8_t *out = malloc(ENVELOPE_HEADER_MAX);
	size_t len = ENVELOPE_HEADER_MAX;
	int rc = out ? 0 : -ENOMEM;

	if (!rc)
		rc = crypt_random(key, sizeof(key));
	if (!rc)
		rc = crypt_random(s->data_key, sizeof(s->data_key));
	if (!rc)
		rc = crypt_random(h->uuid, sizeof(h->uuid));
	memcpy(s->uuid, h->uuid, sizeof(s->uuid));
	h->seq = h->slot_count = 1;
	h->desc = (struct envelope_desc){.policy = ENVELOPE_SLOT_LOCAL, .localities = 1};
	h->slots[0].kind = ENVELOPE_SLOT_LOCAL;
	if (!rc)
		rc = slot_seal(&x, &h->slots[0], s->data_key);
	if (!rc)
		rc = envelope_header_seal(h, s->data_key, out, &len);
	/* the key first: a header without its key would open no vTPM */
	if (!rc)
		rc = atomic_write(f->dir, KEY, key, sizeof(key), false);
	if (!rc)
		rc = put_folder(f, CHANNEL_OBJECT_HEADER, 1, out, len);
	OPENSSL_cleanse(key, sizeof(key));
	free(out);
	return rc ? error_set(e, rc, CAUSE_STORE,
			      "a new vTPM could not be made in the folder: %s",
			      strerror(-rc))
		  : 0;
}

static int open_folder_slot(struct envelope_header *h, const uint8_t *key,
			    struct state *s, struct error *e)
{
	const struct slot_context x = {.uuid = h->uuid, .key = key, .error = e};

	if (h->slot_count != 1 || h->slots[0].kind != ENVELOPE_SLOT_LOCAL)
		return error_set(e, -EOPNOTSUPP, CAUSE_NOT_CONFIGURED,
				 "this vTPM has no key file: start it with `vtpmctl "
				 "start` on its host");
	return slot_open(&x, &h->slots[0], s->data_key);
}

static int reopen(struct folder *f, struct state *s, struct envelope_header *h,
		  struct error *e)
{
	uint8_t *key = NULL, *header = NULL;
	size_t key_len = 0, len = 0;
	int rc;

	rc = atomic_read(f->dir, KEY, SLOT_SHARE_SIZE, &key, &key_len);
	if (!rc && key_len != SLOT_SHARE_SIZE)
		rc = -EINVAL;
	if (!rc)
		rc = atomic_read(f->dir, "header", ENVELOPE_HEADER_MAX, &header, &len);
	if (rc)
		rc = error_set(e, rc, CAUSE_STORE,
			       "the folder's key or header cannot be read (%s): put the "
			       "files of one vTPM there, or name an empty folder",
			       strerror(-rc));
	else
		rc = envelope_header_parse(header, len, h, e);
	if (!rc)
		rc = open_folder_slot(h, key, s, e);
	if (!rc)
		rc = envelope_header_verify(header, len, s->data_key, e);
	memcpy(s->uuid, h->uuid, sizeof(s->uuid));
	if (key)
		OPENSSL_cleanse(key, key_len);
	free(key);
	free(header);
	return rc;
}

/* Sets s->place, uuid and data_key.  In an empty folder it makes a key and a header,
 * and *create is true; anything else that is not whole is an error. */
static int folder_unlock(struct folder *f, struct state *s, bool *create, struct error *e)
{
	struct envelope_header *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	s->place = (struct state_place){.ctx = f, .get = get_folder, .put = put_folder};
	/* A power cut in the first start leaves a key, or a key and a header: both
	 * protect nothing yet. */
	*create = !is_there(f, "permall") && !is_there(f, "permall.prev");
	if (*create && !is_there(f, "header"))
		rc = make_state_folder(f, s, h, e);
	else
		rc = reopen(f, s, h, e);
	free(h);
	return rc;
}

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

/*
 * The control channel that clients of swtpm use, as far as a TPM for tests needs it:
 * GET_CAPABILITY, INIT, SHUTDOWN, SET_LOCALITY, CANCEL_TPM_CMD and STOP.  Numbers and
 * layouts are those of <swtpm/tpm_ioctl.h>; all integers are big-endian.
 */

enum command {
	CMD_GET_CAPABILITY = 1,
	CMD_INIT = 2,
	CMD_SHUTDOWN = 3,
	CMD_SET_LOCALITY = 5,
	CMD_CANCEL_TPM_CMD = 9,
	CMD_STOP = 14,
};

enum capability {
	CAP_INIT = 1 << 0,
	CAP_SHUTDOWN = 1 << 1,
	CAP_SET_LOCALITY = 1 << 3,
	CAP_CANCEL_TPM_CMD = 1 << 5,
	CAP_STOP = 1 << 10,
};

#define LOCALITY_MAX	     4
#define CONTROL_REQUEST_MAX  8
#define CONTROL_RESPONSE_MAX 8

/* How many bytes the request that begins in buf has; 0 while that is not known. */
static size_t control_request_size(const uint8_t *buf, size_t len)
{
	struct cursor c = cursor_reader(buf, len);

	if (len < 4)
		return 0;
	switch (cursor_u32(&c)) {
	case CMD_INIT: /* u32 flags: what volatile state to drop; all goes anyway */
		return 8;
	case CMD_SET_LOCALITY:
		return 5;
	default:
		return 4;
	}
}

/* A power cycle, or power on after a stop */
static uint32_t init_tpm(void)
{
	int rc;

	pthread_mutex_lock(&alone.lock);
	rc = alone.on ? engine_power_cycle() : alone_power_on(false);
	alone.locality = 0;
	pthread_mutex_unlock(&alone.lock);
	return rc ? TPM_FAIL : TPM_SUCCESS;
}

static uint32_t stop_tpm(void)
{
	int rc;

	pthread_mutex_lock(&alone.lock);
	rc = power_off();
	pthread_mutex_unlock(&alone.lock);
	return rc ? TPM_FAIL : TPM_SUCCESS;
}

static uint32_t set_locality(struct cursor *c)
{
	uint8_t locality = cursor_u8(c);

	if (!cursor_ok(c) || locality > LOCALITY_MAX)
		return TPM_BAD_LOCALITY;
	pthread_mutex_lock(&alone.lock);
	alone.locality = locality;
	pthread_mutex_unlock(&alone.lock);
	return TPM_SUCCESS;
}

/* Carries out the request in buf, which is whole; returns the response's length.
 * *end: it was SHUTDOWN, the process ends once the response is sent. */
static size_t control_answer(const uint8_t *buf, size_t len,
			     uint8_t rsp[CONTROL_RESPONSE_MAX], bool *end)
{
	struct cursor c = cursor_reader(buf, len);
	struct cursor w = cursor_writer(rsp, CONTROL_RESPONSE_MAX);

	*end = false;
	switch (cursor_u32(&c)) {
	case CMD_GET_CAPABILITY:
		cursor_put_u64(&w, CAP_INIT | CAP_SHUTDOWN | CAP_SET_LOCALITY |
					   CAP_CANCEL_TPM_CMD | CAP_STOP);
		break;
	case CMD_INIT:
		cursor_put_u32(&w, init_tpm());
		break;
	case CMD_STOP:
		cursor_put_u32(&w, stop_tpm());
		break;
	case CMD_SHUTDOWN:
		*end = true;
		cursor_put_u32(&w, stop_tpm());
		break;
	case CMD_SET_LOCALITY:
		cursor_put_u32(&w, set_locality(&c));
		break;
	case CMD_CANCEL_TPM_CMD:
		engine_cancel();
		cursor_put_u32(&w, TPM_SUCCESS);
		break;
	default:
		cursor_put_u32(&w, TPM_BAD_ORDINAL);
	}
	return w.pos;
}

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

/* One request, which may come in pieces.  Bytes after it in the same packet are a
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
	want = control_answer(buf, want, rsp, &end);
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

/* For how long to wait for work: a state that waits is stored when idle. */
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
	bool create = false;
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
