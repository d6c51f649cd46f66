/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/socket.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"
#include "stubdom/manager/engine.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A client that has its answer mostly sends the next command at once.  To wait for that alone
 * takes no poll(), of the three system calls that a command takes otherwise: for a moment, and
 * for so many commands in a row, as everything else waits meanwhile. */
#define LINGER_US  1000
#define LINGER_MAX 16
/* Where the client has a processor of its own that command comes before this one could sleep and be
 * woken, so it is looked for without sleeping, first.  Where that was in vain, as they share one, it is
 * left out for so many commands, and for twice as many each time that it is again. */
#define LOOK_NS	      50000
#define LOOK_REST_MIN 16
#define LOOK_REST_MAX 4096

#define HEADER_SIZE 10
#define LENGTH_END  6 /* of the header, up to the length */

#define PREFIX_SIZE	  9 /* TCG's TPM2_SEND_COMMAND: u32 8 | u8 locality | u32 length */
#define SEND_COMMAND	  8
#define LOCALITIES	  5
#define BAD_PARAM_SIZE_12 25 /* TPM_BAD_PARAM_SIZE */
#define FAIL_12		  9  /* TPM_FAIL */

struct socket_front {
	struct front front;
	const struct listener *listener;
	struct socket_options options;
	enum engine_version version;
	int client;   /* -1: none */
	bool lingers; /* recv() on it waits for LINGER_US at most */
	unsigned int rest,
		rests; /* commands for which it is not looked; since the last time */
	uint64_t commands;
	size_t have;
	/* of a command that has no right length, what may still come of it; not 0: it is
	 * answered later */
	uint64_t skip, silent_at;
	size_t out_len, out_done;
	uint8_t in[PREFIX_SIZE + ENGINE_BUFFER_SIZE], out[4 + ENGINE_BUFFER_SIZE + 4];
};

static struct socket_front *socket_of(const struct front *f)
{
	return (struct socket_front *)f;
}

static uint64_t socket_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t socket_now(void)
{
	return socket_now_ns() / 1000000;
}

static void drop_socket(struct socket_front *p)
{
	close(p->client);
	p->client = -1;
	p->have = p->out_len = p->out_done = 0;
	p->skip = 0;
	if (p->options.left)
		p->options.left(p->options.ctx);
}

/* How many bytes of the TCG's header stand before the command. */
static size_t prefix_of(const struct socket_front *p)
{
	struct cursor c = cursor_reader(p->in, p->have);

	return p->options.prefix && cursor_u32(&c) == SEND_COMMAND ? PREFIX_SIZE : 0;
}

/* The length that the command says, of which LENGTH_END bytes are there. */
static size_t wanted(const struct socket_front *p, size_t prefix)
{
	struct cursor c = cursor_reader(p->in + prefix, p->have - prefix);

	(void)cursor_u16(&c);
	return cursor_u32(&c);
}

/* Sends what the client takes of the response. */
static void send_socket(struct socket_front *p)
{
	ssize_t n = 1;

	while (p->out_done < p->out_len && n > 0) {
		n = send(p->client, p->out + p->out_done, p->out_len - p->out_done,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			p->out_done += (size_t)n;
	}
	if (n < 0 && errno != EAGAIN) {
		drop_socket(p);
	} else if (p->out_done == p->out_len) {
		p->out_done = p->out_len = 0;
		if (p->options.disconnect)
			drop_socket(p);
	}
}

/* Has p->out answered, which has len bytes behind the room for a prefix. */
static void answer(struct socket_front *p, size_t prefix, size_t len)
{
	struct cursor w = cursor_writer(p->out, sizeof(p->out));

	p->out_done = prefix ? 0 : 4;
	p->out_len = 4 + len;
	if (prefix) {
		cursor_put_u32(&w, (uint32_t)len);
		memset(p->out + p->out_len, 0, 4);
		p->out_len += 4;
	}
	send_socket(p);
}

static void refuse_socket(struct socket_front *p, size_t prefix, uint32_t tpm2,
			  uint32_t tpm12)
{
	size_t len = ENGINE_BUFFER_SIZE;

	if (engine_refuse(p->version, tpm2, tpm12, p->out + 4, &len))
		drop_socket(p);
	else
		answer(p, prefix, len);
}

static void run_socket(struct socket_front *p, size_t prefix, size_t len)
{
	const struct front_tpm *tpm = &p->front.all->tpm;
	size_t rsp_len = ENGINE_BUFFER_SIZE;
	int rc;

	p->commands++;
	rc = tpm->execute(tpm->ctx, 0, p->in + prefix, len, p->out + 4, &rsp_len);
	p->have -= prefix + len;
	memmove(p->in, p->in + prefix + len, p->have);
	if (p->front.all->ended)
		drop_socket(p);
	else if (rc) /* nothing of it may be shown */
		refuse_socket(p, prefix, TPM2_RC_FAILURE, FAIL_12);
	else
		answer(p, prefix, rsp_len);
}

/* No command is that long, or that short: what has come is no more than its begin, unless all
 * of it is there. */
static void begin_skip(struct socket_front *p, size_t total)
{
	bool is_long = total >= HEADER_SIZE;

	p->skip = is_long && total > p->have ? total - p->have : UINT64_MAX;
	p->silent_at = is_long && total <= p->have ? 0 : socket_now() + SOCKET_SILENCE_MS;
	p->have = 0;
}

/* Runs the commands that are there, each when the one before is answered. */
static void run_commands(struct socket_front *p)
{
	size_t prefix, len;

	while (p->client >= 0 && !p->out_len && !p->skip) {
		prefix = prefix_of(p);
		if (p->have < prefix + LENGTH_END)
			break;
		len = wanted(p, prefix);
		if (len < HEADER_SIZE || len > ENGINE_BUFFER_SIZE ||
		    (prefix && p->in[4] >= LOCALITIES)) {
			begin_skip(p, prefix + len);
			break;
		}
		if (p->have < prefix + len)
			break;
		if (prefix)
			p->options.locality(p->options.ctx, p->in[4]);
		run_socket(p, prefix, len);
	}
}

static void answer_skipped(struct socket_front *p)
{
	p->skip = 0;
	refuse_socket(p, 0, TPM2_RC_COMMAND_SIZE, BAD_PARAM_SIZE_12);
}

static void read_socket(struct socket_front *p, int flags)
{
	ssize_t got = recv(p->client, p->in + p->have, sizeof(p->in) - p->have, flags);

	if (got == 0 && p->skip) /* it may still read */
		answer_skipped(p);
	if (got <= 0) {
		if (p->client >= 0 && (got == 0 || (errno != EINTR && errno != EAGAIN)))
			drop_socket(p);
		return;
	}
	if (!p->skip) {
		p->have += (size_t)got;
		return;
	}
	p->silent_at = socket_now() + SOCKET_SILENCE_MS;
	if ((uint64_t)got < p->skip)
		p->skip -= (uint64_t)got;
	else
		p->silent_at = 0;
}

static void end_skip(struct socket_front *p)
{
	if (p->skip && socket_now() >= p->silent_at)
		answer_skipped(p);
}

/* Whether all that has come is answered, and the answer sent. */
static bool is_served(const struct socket_front *p)
{
	return p->client >= 0 && !p->have && !p->out_len && !p->skip;
}

/* Whether something has come, or the client has gone, within LOOK_NS. */
static bool look(struct socket_front *p)
{
	uint64_t end;

	if (p->rest) {
		p->rest--;
		return false;
	}
	end = socket_now_ns() + LOOK_NS;
	do
		read_socket(p, MSG_DONTWAIT);
	while (is_served(p) && socket_now_ns() < end);
	if (!is_served(p)) {
		p->rests = 0;
		return true;
	}
	p->rests = p->rests ? 2 * p->rests : LOOK_REST_MIN;
	if (p->rests > LOOK_REST_MAX)
		p->rests = LOOK_REST_MAX;
	p->rest = p->rests;
	return false;
}

/* After a turn that has answered commands, of which there were so many before. */
static void linger(struct socket_front *p, uint64_t before)
{
	for (int n = 0; n < LINGER_MAX; n++) {
		if (p->commands == before || !p->lingers || !is_served(p))
			return;
		before = p->commands;
		if (!look(p))
			read_socket(p, 0);
		run_commands(p);
	}
}

static void take_client(struct socket_front *p, int fd)
{
	const struct timeval limit = {.tv_usec = LINGER_US};

	p->client = fd;
	p->rest = p->rests = 0;
	p->lingers = fd >= 0 && p->options.lingers &&
		     !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static int socket_ready(struct front *f, const struct pollfd *fds)
{
	struct socket_front *p = socket_of(f);
	uint64_t before = p->commands;

	if (p->client < 0) {
		if (fds[0].revents && p->listener->fd >= 0)
			take_client(p, listener_accept(p->listener));
		return 0;
	}
	if (fds[0].revents && fds[0].fd == p->client) {
		if (p->out_len)
			send_socket(p);
		else
			read_socket(p, MSG_DONTWAIT);
	}
	run_commands(p);
	if (p->client >= 0)
		end_skip(p);
	run_commands(p);
	linger(p, before);
	return 0;
}

static nfds_t socket_pollfds(struct front *f, struct pollfd fds[static FRONT_POLLFDS])
{
	struct socket_front *p = socket_of(f);

	fds[0].fd = p->client >= 0 ? p->client : p->listener->fd;
	fds[0].events = p->client >= 0 && p->out_len ? POLLOUT : POLLIN;
	fds[0].revents = 0;
	return 1;
}

static int socket_timeout(const struct front *f)
{
	const struct socket_front *p = socket_of(f);
	uint64_t now = socket_now();

	if (p->client < 0 || !p->skip)
		return -1;
	return now < p->silent_at ? (int)(p->silent_at - now) : 0;
}

static int socket_open(struct front *f, const struct front_config *config)
{
	if (config && config->tpm12)
		socket_of(f)->version = ENGINE_TPM_12;
	return 0;
}

static void socket_stats(const struct front *f, struct front_stats *s)
{
	*s = (struct front_stats){.commands = socket_of(f)->commands};
}

static void socket_close(struct front *f)
{
	struct socket_front *p = socket_of(f);

	if (p->client >= 0)
		close(p->client);
	explicit_bzero(p, sizeof(*p));
	free(p);
}

static const struct front_ops socket_ops = {
	.firmware = FRONT_FIRMWARE_MANAGER,
	.open = socket_open,
	.pollfds = socket_pollfds,
	.ready = socket_ready,
	.timeout = socket_timeout,
	.stats = socket_stats,
	.close = socket_close,
};

int socket_front(struct front **f, const struct listener *listener,
		 const struct socket_options *options, struct error *e)
{
	struct socket_front *p = calloc(1, sizeof(*p));

	if (!p)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	p->front.ops = &socket_ops;
	p->client = -1;
	p->listener = listener;
	if (options)
		p->options = *options;
	*f = &p->front;
	return 0;
}

int socket_take(struct front *f, int fd)
{
	struct socket_front *p = socket_of(f);

	if (p->client >= 0)
		return -EBUSY;
	take_client(p, fd);
	return 0;
}

#define BACKLOG 8

static int bind_free(const struct listener *l)
{
	const struct sockaddr *at = (const struct sockaddr *)&l->at;
	mode_t old = umask(0177);
	int rc = bind(l->fd, at, sizeof(l->at)) ? -errno : 0;
	int probe;

	if (rc == -EADDRINUSE) {
		probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (probe >= 0 && connect(probe, at, sizeof(l->at)) &&
		    errno == ECONNREFUSED && !unlink(l->at.sun_path))
			rc = bind(l->fd, at, sizeof(l->at)) ? -errno : 0;
		if (probe >= 0)
			close(probe);
	}
	umask(old);
	return rc;
}

/* Ends what a listener_*() began: rc is that of bind(). */
static int start(struct listener *l, int rc)
{
	if (!rc && listen(l->fd, BACKLOG))
		rc = -errno;
	if (rc && l->fd >= 0) {
		close(l->fd);
		l->fd = -1;
	}
	return rc;
}

static int new_socket(struct listener *l, int family)
{
	memset(l, 0, sizeof(*l));
	l->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return l->fd < 0 ? -errno : 0;
}

int listener_unix(struct listener *l, const char *path, struct error *e)
{
	int rc = new_socket(l, AF_UNIX);

	l->at.sun_family = AF_UNIX;
	if (!rc && strlen(path) >= sizeof(l->at.sun_path))
		rc = -ENAMETOOLONG;
	if (!rc) {
		strcpy(l->at.sun_path, path);
		rc = bind_free(l);
	}
	rc = start(l, rc);
	return rc ? error_set(e, rc, CAUSE_INTERNAL, "cannot listen at %s: %s", path,
			      strerror(-rc))
		  : 0;
}

int listener_tcp(struct listener *l, uint16_t port, struct error *e)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = {htonl(INADDR_LOOPBACK)},
	};
	int rc = new_socket(l, AF_INET), yes = 1;

	if (!rc && (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
		    bind(l->fd, (struct sockaddr *)&at, sizeof(at))))
		rc = -errno;
	rc = start(l, rc);
	return rc ? error_set(e, rc, CAUSE_INTERNAL,
			      "cannot listen at 127.0.0.1:%u: %s%s", port, strerror(-rc),
			      rc == -EADDRINUSE ? ": name another port" : "")
		  : 0;
}

int listener_accept(const struct listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC), yes = 1;

	/* an answer is one write: nothing to wait for */
	if (fd >= 0 && !l->at.sun_path[0])
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	return fd;
}

void listener_close(struct listener *l)
{
	if (l->fd < 0)
		return;
	close(l->fd);
	l->fd = -1;
	if (l->at.sun_path[0])
		unlink(l->at.sun_path);
}
