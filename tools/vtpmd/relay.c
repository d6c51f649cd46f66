/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/relay.h"
#include "tools/vtpmd/tpm_filter.h"
#include "tools/vtpmd/work.h"
#include "lib/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LIMIT_S	     90 /* Linux's own longest wait for a TPM is 5 minutes */
#define RETRY_US     20000
#define RSP_HEADER   10
#define RESPONSE_MAX 4096

struct relay {
	struct event_base *base;
	const char *path;
	bool stream;
	int fd;
	struct event *readable, *limit, *retry;
	relay_done *done;
	void *ctx;
	uint8_t cmd[TPM_FILTER_COMMAND_MAX];
	size_t cmd_len;
	uint8_t rsp[RESPONSE_MAX];
	size_t rsp_len;
};

/* A file of /dev/tpmrm0, to be closed. */
struct closing {
	struct work work;
	int fd;
};

static void close_file(struct work *w)
{
	close(((struct closing *)w)->fd);
}

static void closed(struct work *w)
{
	free(w);
}

/* Linux lets close() wait for the file's command under way, and flushes what it left in
 * the TPM, which waits for others' commands: in a thread, all one after the other, so that
 * the event loop does not, and the other threads are there for the store. */
static void close_device(int fd)
{
	static const char key;
	struct closing *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->work = (struct work){.key = &key, .run = close_file, .done = closed};
	c->fd = fd;
	work_add(&c->work);
}

static void close_target(struct relay *r)
{
	if (r->readable)
		event_free(r->readable);
	r->readable = NULL;
	if (r->fd >= 0 && r->stream)
		close(r->fd);
	else if (r->fd >= 0)
		close_device(r->fd);
	r->fd = -1;
}

static void finish_relay(struct relay *r, int rc)
{
	relay_done *done = r->done;

	event_del(r->limit);
	event_del(r->retry);
	/* Drops what a failed exchange left in the file. */
	if (r->stream || rc)
		close_target(r);
	r->done = NULL;
	if (done)
		done(r->ctx, rc, r->rsp, r->rsp_len);
}

/* Whether a stream's response is whole; < 0: it is none. */
static int is_whole(const struct relay *r)
{
	struct cursor c = cursor_reader(r->rsp, r->rsp_len);
	uint32_t size;

	if (r->rsp_len < RSP_HEADER)
		return 0;
	(void)cursor_u16(&c);
	size = cursor_u32(&c);
	if (size < RSP_HEADER || size > sizeof(r->rsp) || size < r->rsp_len)
		return -EPROTO;
	return size == r->rsp_len;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct relay *r = ctx;
	ssize_t n;
	int rc;

	n = read(r->fd, r->rsp + r->rsp_len, sizeof(r->rsp) - r->rsp_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (!r->done) {
		/* no request is open: start afresh with the next command */
		close_target(r);
		return;
	}
	if (n <= 0) {
		finish_relay(r, n ? -errno : -EIO);
		return;
	}
	r->rsp_len += (size_t)n;
	rc = is_whole(r);
	/* the device hands a response over in one read */
	if (!rc && !r->stream)
		rc = -EPROTO;
	if (rc)
		finish_relay(r, rc < 0 ? rc : 0);
}

static void on_relay_limit(evutil_socket_t fd, short what, void *ctx)
{
	finish_relay(ctx, -ETIMEDOUT);
}

static int open_stream(struct relay *r)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(r->path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	strcpy(a.sun_path, r->path);
	r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (r->fd < 0)
		return -errno;
	return connect(r->fd, (struct sockaddr *)&a, sizeof(a)) ? -errno : 0;
}

static int open_target(struct relay *r)
{
	int rc = 0;

	if (r->fd >= 0)
		return 0;
	if (r->stream) {
		rc = open_stream(r);
	} else {
		r->fd = open(r->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		rc = r->fd < 0 ? -errno : 0;
	}
	if (!rc) {
		r->readable =
			event_new(r->base, r->fd, EV_READ | EV_PERSIST, on_readable, r);
		rc = r->readable && !event_add(r->readable, NULL) ? 0 : -ENOMEM;
	}
	if (rc)
		close_target(r);
	return rc;
}

static int start(struct relay *r)
{
	struct timeval again = {.tv_usec = RETRY_US};
	ssize_t n;
	int rc = open_target(r);

	if (rc == -EAGAIN) /* the stream's server is busy with another client */
		return event_add(r->retry, &again) ? -ENOMEM : 0;
	if (rc)
		return rc == -ENOMEM || rc == -EMFILE ? rc : -ENODEV;
	r->rsp_len = 0;
	n = write(r->fd, r->cmd, r->cmd_len);
	if (n != (ssize_t)r->cmd_len)
		return n < 0 && errno != EAGAIN ? -errno : -EIO;
	return 0;
}

static void on_relay_retry(evutil_socket_t fd, short what, void *ctx)
{
	struct relay *r = ctx;
	int rc = start(r);

	if (rc)
		finish_relay(r, rc);
}

struct relay *relay_new(struct event_base *base, const char *target)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->base = base;
	r->fd = -1;
	r->stream = !strncmp(target, "unix:", 5);
	r->path = r->stream ? target + 5 : target;
	r->limit = evtimer_new(base, on_relay_limit, r);
	r->retry = evtimer_new(base, on_relay_retry, r);
	if (!r->limit || !r->retry) {
		relay_free(r);
		return NULL;
	}
	return r;
}

bool relay_busy(const struct relay *r)
{
	return r->done != NULL;
}

static int start_in(struct relay *r, unsigned int ms)
{
	struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = 1000 * (ms % 1000)};

	if (!ms)
		return start(r);
	return event_add(r->retry, &wait) ? -ENOMEM : 0;
}

int relay_submit(struct relay *r, const uint8_t *cmd, size_t len, unsigned int wait_ms,
		 relay_done *done, void *ctx)
{
	struct timeval limit = {.tv_sec = LIMIT_S};
	int rc;

	if (r->done)
		return -EBUSY;
	if (len > sizeof(r->cmd))
		return -EMSGSIZE;
	memcpy(r->cmd, cmd, len);
	r->cmd_len = len;
	rc = start_in(r, wait_ms);
	if (!rc && event_add(r->limit, &limit))
		rc = -ENOMEM;
	if (rc) {
		close_target(r);
		return rc;
	}
	r->done = done;
	r->ctx = ctx;
	return 0;
}

void relay_reset(struct relay *r)
{
	if (r->done)
		finish_relay(r, -ECANCELED);
	else
		close_target(r);
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	close_target(r);
	if (r->limit)
		event_free(r->limit);
	if (r->retry)
		event_free(r->retry);
	free(r);
}
