/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/control.h"
#include "lib/text.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move.h"
#include "tools/vtpmd/pool_move.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/trial.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uuid/uuid.h>

/* A backup that is restored has its objects in hex. */
#define LINE_MAX_BYTES (4 * CHANNEL_PAYLOAD_MAX + 65536)

static struct event *listener;
static struct control *controls;
static const struct control_handlers *ops;

static void release(struct control *c)
{
	ask_end(&c->ask);
	if (c->stream)
		bufferevent_free(c->stream);
	if (c->late)
		event_free(c->late);
	json_decref(c->held);
	free(c);
}

static void drop_control(struct control *c)
{
	if (c->before)
		c->before->next = c->next;
	else
		controls = c->next;
	if (c->next)
		c->next->before = c->before;
	waiter_cancel(&c->waiter);
	hold_cancel(&c->hold);
	trial_cancel(c);
	move_forget(c);
	backup_told(c->d, &c->given, "vtpmctl ended before it told of a file");
	release(c);
}

void control_send(struct control *c, json_t *line)
{
	static const char cannot[] =
		"{\"ok\":false,\"error\":\"The answer could not be made: there is no memory, or "
		"something in it is no text.\",\"cause\":\"internal\"}";
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

	json_decref(line);
	/* who asked waits for a line */
	if (!text)
		log_line(LOG_ERR, "an answer for vtpmctl could not be made");
	bufferevent_write(c->stream, text ? text : cannot, strlen(text ? text : cannot));
	bufferevent_write(c->stream, "\n", 1);
	free(text);
}

static void take_line(struct control *c)
{
	struct evbuffer *in = bufferevent_get_input(c->stream);
	size_t len;
	char *line;

	if (c->busy)
		return;
	line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);
	if (line) {
		c->busy = true;
		ops->request(c, line, len);
		OPENSSL_cleanse(line, len); /* a state of swtpm's may be in it */
		free(line);
	}
}

void control_idle(struct control *c)
{
	c->busy = false;
	bufferevent_enable(c->stream, EV_READ);
	/* a request that came meanwhile; from the loop, not from in here */
	bufferevent_trigger(c->stream, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

static void on_control_read(struct bufferevent *b, void *ctx)
{
	struct control *c = ctx;

	take_line(c);
	if (evbuffer_get_length(bufferevent_get_input(b)) <= LINE_MAX_BYTES)
		return;
	/* no watermark: see limit_reading() in tunnel.c */
	if (c->busy)
		bufferevent_disable(b, EV_READ);
	else
		drop_control(c);
}

static void on_control_event(struct bufferevent *b, short what, void *ctx)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		drop_control(ctx);
}

static void on_control_accept(evutil_socket_t fd, short what, void *ctx)
{
	struct control *c;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client < 0)
		return;
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(client);
		return;
	}
	c->d = ctx;
	c->stream = bufferevent_socket_new(c->d->base, client, BEV_OPT_CLOSE_ON_FREE);
	if (!c->stream)
		close(client);
	if (ask_init(&c->ask, c->d, ops->answer, c) || !c->stream) {
		release(c);
		return;
	}
	c->next = controls;
	if (c->next)
		c->next->before = c;
	controls = c;
	bufferevent_setcb(c->stream, on_control_read, NULL, on_control_event, c);
	bufferevent_enable(c->stream, EV_READ | EV_WRITE);
}

/* Listens at the path; -EADDRINUSE when another vtpmd answers there. */
static int listen_control_at(const char *path, int *out)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd, rc = 0;
	mode_t mask;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&a, sizeof(a)) || errno == EAGAIN) {
		close(fd);
		return -EADDRINUSE;
	}
	(void)unlink(path);
	mask = umask(0177);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16))
		rc = -errno;
	umask(mask);
	if (rc)
		close(fd);
	else
		*out = fd;
	return rc;
}

int control_open(struct vtpmd *d, const struct control_handlers *handlers)
{
	int fd = -1, rc = listen_control_at(d->socket, &fd);

	if (rc)
		return rc;
	ops = handlers;
	listener = event_new(d->base, fd, EV_READ | EV_PERSIST, on_control_accept, d);
	if (!listener || event_add(listener, NULL)) {
		close(fd);
		return -ENOMEM;
	}
	return 0;
}

void control_pause(bool yes)
{
	if (yes)
		(void)event_del(listener);
	else
		(void)event_add(listener, NULL);
}

void control_close(struct vtpmd *d)
{
	while (controls)
		drop_control(controls);
	if (!listener)
		return;
	close(event_get_fd(listener));
	event_free(listener);
	listener = NULL;
	(void)unlink(d->socket);
}

void control_answer_with(struct control *c, json_t *line)
{
	control_send(c, line);
	control_idle(c);
}

/* A sentence may quote what somebody else wrote: a name in a backup, an error of xl. */
void control_answer_word(struct control *c, const char *word, const char *text)
{
	char clean[sizeof(((struct error *)0)->text)];

	text_clean(clean, sizeof(clean), text, strlen(text));
	control_answer_with(
		c, json_pack("{s:b, s:s, s:s}", "ok", 0, "error", clean, "cause", word));
}

void control_answer_refuse(struct control *c, int rc, const struct error *e)
{
	const char *word = error_word(e->cause);

	if (rc == -EEXIST)
		word = "exists";
	else if (rc == -EBUSY || rc == -EAGAIN)
		word = "busy";
	control_answer_word(c, word, e->text);
}

void control_answer_no_such(struct control *c)
{
	char text[384];

	if (pool_move_is_in_folder(c->d, c->name))
		snprintf(
			text, sizeof(text),
			"The vTPM %.100s is in this host's folder, and not in the pool: "
			"`vtpmctl pool move %.100s`, or it starts when this host has left "
			"the pool.",
			c->name, c->name);
	else if (!move_tell_where(c->d, c->name, text, sizeof(text)))
		snprintf(text, sizeof(text), "There is no vTPM %s: see `vtpmctl list`.",
			 c->name);
	control_answer_word(c, "no-such-vtpm", text);
}

void control_answer_not_running(struct control *c, struct vtpm *v, const char *text)
{
	const char *owner =
		store_etcd_is(v->d->store) ? store_etcd_other_owner(&v->store) : "";
	char there[384];

	snprintf(
		there, sizeof(there),
		"The vTPM %s is in use on the host %s, and does not run here: this is to be "
		"asked for there.",
		v->meta.name, owner);
	control_answer_word(c, "busy", owner[0] ? there : text);
}

void control_answer_ok(struct control *c, const uint8_t uuid[16])
{
	char text[37];

	uuid_unparse_lower(uuid, text);
	control_answer_with(c, json_pack("{s:b, s:s, s:s*}", "ok", 1, "uuid", text,
					 "name", c->what == RESTORE ? c->name : NULL));
}

void control_answer_malformed(struct control *c)
{
	control_answer_word(c, "internal", "The request is malformed.");
}

static void on_anchored(void *ctx, const struct error *e)
{
	struct control *c = ctx;
	struct error late = {.cause = CAUSE_NONE};

	if (!e) {
		control_answer_ok(c, c->uuid);
		return;
	}
	error_set(&late, 0, e->cause,
		  "That was done, but the host's TPM does not have it: %s", e->text);
	control_answer_refuse(c, -EIO, &late);
}

void control_answer_anchored(struct control *c, const uint8_t uuid[16])
{
	memcpy(c->uuid, uuid, sizeof(c->uuid));
	c->waiter = (struct waiter){.done = on_anchored, .ctx = c};
	anchor_wait(c->d->anchor, &c->waiter);
}

static void on_progress(void *ctx, const char *text)
{
	json_t *line = json_pack("{s:s}", "progress", text);

	if (line)
		control_send(ctx, line);
}

static void on_held(void *ctx, int rc, const struct error *e)
{
	struct control *c = ctx;

	if (rc)
		control_answer_refuse(c, rc, e);
	else
		control_answer_with(c, json_pack("{s:b}", "ok", 1));
}

void control_hold(struct control *c, struct vtpm *v,
		  int (*run)(void *ctx, struct vtpm *v, struct error *e),
		  void (*done)(void *ctx, int rc, const struct error *e))
{
	c->hold = (struct hold){
		.run = run,
		.progress = on_progress,
		.done = done ? done : on_held,
		.ctx = c,
		.absent_too = c->what == DELETE || c->what == CREATE,
	};
	memcpy(c->uuid, v->meta.uuid, sizeof(c->uuid));
	hold_begin(&c->hold, v);
}

static int run_remove(void *ctx, struct vtpm *v, struct error *e)
{
	return registry_remove(v, e);
}

static void on_removed(void *ctx, int rc, const struct error *e)
{
	struct control *c = ctx;

	if (rc)
		control_answer_refuse(c, rc, e);
	else
		control_answer_anchored(c, c->uuid);
}

static void on_nothing_left(void *ctx, int rc, const struct error *e)
{
	struct control *c = ctx;
	size_t n = strlen(c->why.text);
	bool ends = n && c->why.text[n - 1] == '.';

	if (!rc)
		snprintf(c->why.text + n, sizeof(c->why.text) - n,
			 "%s Nothing was created.", ends ? "" : ".");
	control_answer_refuse(c, -EIO, &c->why);
}

/* A creation that failed leaves nothing, unless a state was stored already. */
static void create_failed(struct control *c, struct vtpm *v)
{
	size_t n = strlen(v->meta.error.text);
	bool ends = n && v->meta.error.text[n - 1] == '.';
	struct error e = {.cause = CAUSE_NONE};

	c->why = v->meta.error;
	if (!store_has(&v->store, CHANNEL_OBJECT_PERMALL)) {
		if (store_is_here(&v->store))
			control_hold(c, v, run_remove, on_nothing_left);
		else /* etcd did not take it in time: it is not asked for long again */
			on_nothing_left(c, run_remove(c, v, &e), &e);
		return;
	}
	snprintf(c->why.text + n, sizeof(c->why.text) - n,
		 "%s The vTPM exists: `vtpmctl start %s` when that is mended.",
		 ends ? "" : ".", v->meta.name);
	control_answer_refuse(c, -EIO, &c->why);
}

static void on_settled(void *ctx, const struct error *late)
{
	struct control *c = ctx;
	bool up = c->what == CREATE || c->what == START;
	struct vtpm *v = c->settling;

	c->settling = NULL;
	if (late)
		control_answer_refuse(c, -EIO, late);
	else if (c->what == DELETE && !vtpm_is(v, VTPM_UP))
		control_hold(c, v, run_remove, on_removed);
	else if (c->what == STOP && c->ran && !vtpm_is(v, VTPM_UP))
		control_answer_anchored(c, v->meta.uuid);
	else if (c->what == CREATE && vtpm_is(v, VTPM_UP))
		control_answer_anchored(c, v->meta.uuid);
	else if (up == vtpm_is(v, VTPM_UP))
		control_answer_ok(c, v->meta.uuid);
	else if (c->what == CREATE && v->state == VTPM_FAILED)
		create_failed(c, v);
	else if (up && v->state == VTPM_FAILED)
		control_answer_refuse(c, -EIO, &v->meta.error);
	else
		control_answer_word(
			c, "busy",
			"Someone else changed the vTPM's state meanwhile: see "
			"`vtpmctl list`.");
}

void control_settle(struct control *c, struct vtpm *v)
{
	c->settling = v;
	c->waiter = (struct waiter){
		.progress = on_progress,
		.done = on_settled,
		.ctx = c,
	};
	if (vtpm_is(v, VTPM_SETTLED))
		on_settled(c, NULL);
	else
		waiter_add(&v->waiters, &c->waiter);
}
