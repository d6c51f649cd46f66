/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/control.h"
#include "lib/cursor.h"
#include "stubdom/manager/engine_tis.h"
#include "stubdom/manager/stateblob.h"

#include <errno.h>
#include <libtpms/tpm_error.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCALITY_MAX  4
#define ANSWER_ROOM   (16 + 3 * 1024) /* of all answers but GET_STATEBLOB's */
#define INFO_MAX      (3 * 1024)      /* PTM_GETINFO_SIZE */
#define DROP_VOLATILE 1		      /* PTM_INIT_FLAG_DELETE_VOLATILE */

/* All that <swtpm/tpm_ioctl.h> knows: PTM_CAP_*, of which a TPM 1.2 lacks one. */
#define CAPABILITIES	    0x1ffff
#define CAP_COMMAND_HEADERS (1 << 15)

/* A request that is being carried out. */
struct request {
	const struct control_tpm *tpm;
	struct cursor body;
	size_t len; /* of the body, with padding */
	int *fd;
};

/* How a command's body is checked. */
struct control_row {
	size_t size; /* of the body at least */
	bool exact;  /* and no byte more: swtpm refuses padding there */
	bool on;     /* only while the TPM is on */
	/* Where in the body a u32 tells how many bytes are behind it; 0: nowhere */
	size_t counted;
	uint32_t (*serve)(struct request *r, struct cursor *w);
};

static uint32_t result_of(int rc)
{
	return rc ? TPM_FAIL : TPM_SUCCESS;
}

static uint32_t init_tpm(struct request *r, struct cursor *w)
{
	return result_of(r->tpm->init(r->tpm->ctx, cursor_u32(&r->body) & DROP_VOLATILE));
}

static uint32_t stop_tpm(struct request *r, struct cursor *w)
{
	return result_of(r->tpm->stop(r->tpm->ctx));
}

static uint32_t shut_tpm(struct request *r, struct cursor *w)
{
	r->tpm->end(r->tpm->ctx);
	return stop_tpm(r, w);
}

static uint32_t get_established(struct request *r, struct cursor *w)
{
	bool established = false;
	uint32_t result = engine_established(&established);

	cursor_put_u8(w, established);
	cursor_put(w, "\0\0", 3);
	return result;
}

static uint32_t reset_established(struct request *r, struct cursor *w)
{
	uint8_t locality = cursor_u8(&r->body);

	return locality > LOCALITY_MAX ? TPM_BAD_LOCALITY
				       : engine_reset_established(locality);
}

static uint32_t set_locality(struct request *r, struct cursor *w)
{
	uint8_t locality = cursor_u8(&r->body);

	if (locality > LOCALITY_MAX)
		return TPM_BAD_LOCALITY;
	r->tpm->set_locality(r->tpm->ctx, locality);
	return TPM_SUCCESS;
}

static uint32_t hash_start(struct request *r, struct cursor *w)
{
	return engine_hash_start();
}

static uint32_t hash_data(struct request *r, struct cursor *w)
{
	size_t len = cursor_u32(&r->body);
	const uint8_t *data = cursor_bytes(&r->body, len);

	return data ? engine_hash_data(data, len) : TPM_BAD_PARAMETER;
}

static uint32_t hash_end(struct request *r, struct cursor *w)
{
	return engine_hash_end();
}

static uint32_t cancel_tpm(struct request *r, struct cursor *w)
{
	engine_cancel();
	return TPM_SUCCESS;
}

static uint32_t store_volatile(struct request *r, struct cursor *w)
{
	return result_of(r->tpm->store_volatile(r->tpm->ctx));
}

static bool blob_of(uint32_t type, enum engine_blob *which)
{
	*which = (enum engine_blob)(type - 1); /* PTM_BLOB_TYPE_PERMANENT and on */
	return type >= 1 && type <= ENGINE_BLOBS;
}

static uint32_t set_blob(struct request *r, struct cursor *w)
{
	uint32_t flags = cursor_u32(&r->body), type = cursor_u32(&r->body);
	size_t len = cursor_u32(&r->body), plain_len = 0;
	const uint8_t *blob = cursor_bytes(&r->body, len);
	enum engine_blob which;
	uint8_t *plain = NULL;
	int rc;

	if (r->tpm->is_on(r->tpm->ctx))
		return TPM_BAD_ORDINAL;
	if (!blob || !blob_of(type, &which))
		return TPM_BAD_PARAMETER;
	rc = len ? stateblob_take(blob, len, flags, &plain, &plain_len) : 0;
	if (!rc)
		rc = r->tpm->set_blob(r->tpm->ctx, which, plain, plain_len);
	stateblob_free(plain, plain_len);
	switch (rc) {
	case 0:
		return TPM_SUCCESS;
	case -ENOKEY:
		return TPM_KEYNOTFOUND;
	case -EPROTONOSUPPORT:
		return TPM_BAD_VERSION;
	case -EBADMSG:
		return TPM_BAD_PARAMETER;
	default:
		return TPM_FAIL;
	}
}

static uint32_t get_config(struct request *r, struct cursor *w)
{
	cursor_put_u32(w, 0); /* no key of swtpm's */
	return TPM_SUCCESS;
}

static uint32_t set_data_fd(struct request *r, struct cursor *w)
{
	struct stat st;
	int rc;

	if (*r->fd < 0 || fstat(*r->fd, &st) || !S_ISSOCK(st.st_mode))
		return TPM_BAD_PARAMETER;
	rc = r->tpm->take_data(r->tpm->ctx, *r->fd);
	if (rc)
		return TPM_IOERROR;
	*r->fd = -1;
	return TPM_SUCCESS;
}

static uint32_t set_buffer_size(struct request *r, struct cursor *w)
{
	uint32_t wanted = cursor_u32(&r->body), least = 0, most = 0, now;

	if (wanted && r->tpm->is_on(r->tpm->ctx))
		return TPM_BAD_ORDINAL;
	now = engine_buffer_size(r->tpm->version, wanted, &least, &most);
	cursor_put_u32(w, now);
	cursor_put_u32(w, least);
	cursor_put_u32(w, most);
	return TPM_SUCCESS;
}

static uint32_t get_info(struct request *r, struct cursor *w)
{
	uint64_t flags = cursor_u64(&r->body);
	uint32_t offset = cursor_u32(&r->body);
	char *text = engine_info(flags);
	size_t all, part;

	if (!text)
		return TPM_SIZE;
	all = strlen(text) + 1;
	if (offset >= all - 1) {
		free(text);
		return TPM_BAD_PARAMETER;
	}
	part = all - offset < INFO_MAX ? all - offset : INFO_MAX;
	cursor_put_u32(w, (uint32_t)all);
	cursor_put_u32(w, (uint32_t)part);
	cursor_put(w, text + offset, part);
	free(text);
	return TPM_SUCCESS;
}

/* The folder is locked as long as the process has it. */
static uint32_t lock_storage(struct request *r, struct cursor *w)
{
	return TPM_SUCCESS;
}

/* GET_CAPABILITY and GET_STATEBLOB have answers of their own: control_answer(). */
static const struct control_row rows[] = {
	[CMD_GET_CAPABILITY] = {0},
	[CMD_INIT] = {.size = 4, .exact = true, .serve = init_tpm},
	[CMD_SHUTDOWN] = {.exact = true, .serve = shut_tpm},
	[CMD_GET_TPMESTABLISHED] = {.exact = true, .on = true, .serve = get_established},
	[CMD_SET_LOCALITY] = {.size = 1, .serve = set_locality},
	[CMD_HASH_START] = {.exact = true, .on = true, .serve = hash_start},
	[CMD_HASH_DATA] = {.size = 4, .counted = 4, .on = true, .serve = hash_data},
	[CMD_HASH_END] = {.exact = true, .on = true, .serve = hash_end},
	[CMD_CANCEL_TPM_CMD] = {.exact = true, .on = true, .serve = cancel_tpm},
	[CMD_STORE_VOLATILE] = {.exact = true, .on = true, .serve = store_volatile},
	[CMD_RESET_TPMESTABLISHED] = {.size = 1, .on = true, .serve = reset_established},
	[CMD_GET_STATEBLOB] = {.size = 12, .on = true},
	[CMD_SET_STATEBLOB] = {.size = 12, .counted = 12, .serve = set_blob},
	[CMD_STOP] = {.exact = true, .serve = stop_tpm},
	[CMD_GET_CONFIG] = {.exact = true, .serve = get_config},
	[CMD_SET_DATAFD] = {.serve = set_data_fd},
	[CMD_SET_BUFFERSIZE] = {.size = 4, .serve = set_buffer_size},
	[CMD_GET_INFO] = {.size = 16, .serve = get_info},
	[CMD_LOCK_STORAGE] = {.size = 4, .serve = lock_storage},
};

static const struct control_row *row_of(uint32_t command)
{
	return command >= CMD_GET_CAPABILITY && command < ARRAY_SIZE(rows)
		       ? &rows[command]
		       : NULL;
}

size_t control_request_size(const uint8_t *buf, size_t len)
{
	struct cursor c = cursor_reader(buf, len);
	const struct control_row *row = row_of(cursor_u32(&c));
	size_t size;

	if (!cursor_ok(&c))
		return 0;
	if (!row)
		return 4;
	size = 4 + row->size;
	if (!row->counted)
		return size;
	if (len < size)
		return 0;
	(void)cursor_bytes(&c, row->counted - 4);
	return size + cursor_u32(&c);
}

/* result | u32 flags | u32 total | u32 length | the blob, from where it was asked for */
static uint8_t *get_blob(struct request *r, size_t *rsp_len)
{
	uint32_t offset, result = TPM_SUCCESS;
	enum engine_blob which;
	uint8_t *plain = NULL, *blob = NULL, *rsp;
	size_t plain_len = 0, len = 0, from = 0;
	struct cursor w;
	int rc;

	(void)cursor_u32(&r->body); /* flags: it leaves plain, there being no key */
	rc = blob_of(cursor_u32(&r->body), &which) ? 0 : -EINVAL;
	offset = cursor_u32(&r->body);
	if (!rc)
		rc = engine_get_blob(which, &plain, &plain_len);
	if (!rc)
		rc = stateblob_give(plain, plain_len, &blob, &len);
	stateblob_free(plain, plain_len);
	if (rc)
		result = rc == -ENOENT ? TPM_RETRY /* as swtpm says that there is none */
			 : rc == -EINVAL ? TPM_BAD_PARAMETER
					 : TPM_FAIL;
	from = offset < len ? offset : len;
	rsp = malloc(16 + len - from);
	w = cursor_writer(rsp, rsp ? 16 + len - from : 0);
	cursor_put_u32(&w, result);
	cursor_put_u32(&w, 0);
	cursor_put_u32(&w, (uint32_t)(len - from));
	cursor_put_u32(&w, (uint32_t)(len - from));
	if (len > from)
		cursor_put(&w, blob + from, len - from);
	stateblob_free(blob, len);
	*rsp_len = w.pos;
	return rsp;
}

static uint32_t check_request(const struct control_row *row, const struct request *r)
{
	if (!row || (row->on && !r->tpm->is_on(r->tpm->ctx)))
		return TPM_BAD_ORDINAL;
	if (r->len < row->size || (row->exact && r->len > row->size))
		return TPM_BAD_PARAMETER;
	return TPM_SUCCESS;
}

uint8_t *control_answer(const struct control_tpm *tpm, const uint8_t *buf, size_t len,
			int *fd, size_t *rsp_len)
{
	struct request r = {
		.tpm = tpm, .body = cursor_reader(buf, len), .len = len - 4, .fd = fd};
	uint32_t command = cursor_u32(&r.body), result;
	const struct control_row *row = row_of(command);
	uint8_t *rsp;
	struct cursor w;

	result = len < 4 ? TPM_BAD_PARAMETER : check_request(row, &r);
	if (!result && command == CMD_GET_STATEBLOB)
		return get_blob(&r, rsp_len);
	rsp = malloc(ANSWER_ROOM);
	w = cursor_writer(rsp, rsp ? ANSWER_ROOM : 0);
	if (!result && command == CMD_GET_CAPABILITY) {
		cursor_put_u64(&w, tpm->version == ENGINE_TPM_12
					   ? CAPABILITIES & ~CAP_COMMAND_HEADERS
					   : CAPABILITIES);
		*rsp_len = w.pos;
		return rsp;
	}
	cursor_put_u32(&w, TPM_SUCCESS);
	if (!result)
		result = row->serve(&r, &w);
	/* what failed has a result, and nothing behind it */
	*rsp_len = result && command != CMD_GET_TPMESTABLISHED ? 4 : w.pos;
	w.pos = 0;
	cursor_put_u32(&w, result);
	return rsp;
}

struct control_client {
	int fd;	    /* -1: none */
	int passed; /* a descriptor that came with the request, or -1 */
	uint8_t *in;
	size_t have, room;
	size_t skip; /* of a request that is too long, what is still to come */
	uint64_t silent_at;
	uint8_t *out;
	size_t out_len, out_done;
};

struct control_front {
	struct front front;
	struct control_tpm tpm;
	const struct listener *listener;
	struct control_client clients[CONTROL_CLIENTS];
};

static struct control_front *control_of(const struct front *f)
{
	return (struct control_front *)f;
}

static uint64_t control_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void forget_request(struct control_client *c)
{
	if (c->in)
		explicit_bzero(c->in, c->have);
	free(c->in);
	c->in = NULL;
	c->have = c->room = c->skip = 0;
	if (c->passed >= 0)
		close(c->passed);
	c->passed = -1;
}

static void forget_answer(struct control_client *c)
{
	stateblob_free(c->out, c->out_len);
	c->out = NULL;
	c->out_len = c->out_done = 0;
}

static void drop_control(struct control_client *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	forget_request(c);
	forget_answer(c);
}

static void send_control(struct control_client *c)
{
	ssize_t n = 1;

	while (c->out_done < c->out_len && n > 0) {
		n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			c->out_done += (size_t)n;
	}
	if (n < 0 && errno != EAGAIN)
		drop_control(c);
	else if (c->out_done == c->out_len)
		forget_answer(c);
}

/* Keeps the first descriptor that came with a request.  The buffer's alignment leaves room for
 * one more, which the kernel has opened then. */
static void take_descriptor(struct control_client *c, struct msghdr *m)
{
	struct cmsghdr *h = CMSG_FIRSTHDR(m);
	size_t n;
	int fd;

	if (!h || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS ||
	    h->cmsg_len < CMSG_LEN(0))
		return;
	n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(fd);
	for (size_t i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(h) + i * sizeof(fd), sizeof(fd));
		if (i) {
			close(fd);
			continue;
		}
		if (c->passed >= 0)
			close(c->passed);
		c->passed = fd;
	}
}

/* Room for a request of that many bytes, or for what begins with a packet. */
static int make_room(struct control_client *c, size_t want)
{
	uint8_t *more;

	if (want < 4096)
		want = 4096;
	if (want <= c->room)
		return 0;
	more = realloc(c->in, want);
	if (!more)
		return -ENOMEM;
	c->in = more;
	c->room = want;
	return 0;
}

/* What the client sent will not be whole. */
static void give_up(struct control_client *c)
{
	static const uint8_t bad[4] = {0, 0, 0, TPM_BAD_PARAMETER};

	forget_request(c);
	c->out = malloc(sizeof(bad));
	if (!c->out) {
		drop_control(c);
		return;
	}
	memcpy(c->out, bad, sizeof(bad));
	c->out_len = sizeof(bad);
	send_control(c);
}

static ssize_t receive_control(struct control_client *c, void *buf, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} rights;
	struct iovec part = {.iov_base = buf, .iov_len = len};
	struct msghdr m = {.msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = &rights,
			   .msg_controllen = sizeof(rights)};
	ssize_t got = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got > 0) {
		take_descriptor(c, &m);
		c->silent_at = control_now() + CONTROL_SILENCE_MS;
	} else if (got == 0 && (c->have || c->skip)) {
		give_up(c); /* no more will come, but it may still read */
		drop_control(c);
	} else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
		drop_control(c);
	}
	return got;
}

static void read_control(struct control_client *c)
{
	uint8_t rest[4096];
	size_t want = control_request_size(c->in, c->have);
	ssize_t got;

	if (c->skip) {
		got = receive_control(c, rest,
				      c->skip < sizeof(rest) ? c->skip : sizeof(rest));
		if (got > 0)
			c->skip -= (size_t)got;
		if (got > 0 && !c->skip)
			c->silent_at = 0;
		return;
	}
	if (make_room(c, want)) {
		drop_control(c);
		return;
	}
	got = receive_control(c, c->in + c->have, c->room - c->have);
	if (got <= 0)
		return;
	c->have += (size_t)got;
	want = control_request_size(c->in, c->have);
	if (want > CONTROL_REQUEST_MAX)
		c->skip = want - c->have;
}

static bool is_whole(const struct control_client *c)
{
	size_t want = control_request_size(c->in, c->have);

	return want && want <= CONTROL_REQUEST_MAX && c->have >= want;
}

static void reply(struct control_front *p, struct control_client *c)
{
	c->out = control_answer(&p->tpm, c->in, c->have, &c->passed, &c->out_len);
	forget_request(c);
	if (c->out)
		send_control(c);
	else
		drop_control(c);
}

static void serve_client(struct control_front *p, struct control_client *c,
			 const struct pollfd *fd)
{
	if (c->fd < 0 || c->fd != fd->fd)
		return;
	if (fd->revents && c->out)
		send_control(c);
	else if (fd->revents)
		read_control(c);
	if (c->fd < 0 || c->out || !(c->have || c->skip))
		return;
	if (is_whole(c))
		reply(p, c);
	else if (control_now() >= c->silent_at)
		give_up(c);
}

static void accept_control(struct control_front *p)
{
	int fd = listener_accept(p->listener), i;

	if (fd < 0)
		return;
	for (i = 0; i < CONTROL_CLIENTS; i++)
		if (p->clients[i].fd < 0)
			break;
	if (i == CONTROL_CLIENTS)
		close(fd);
	else
		p->clients[i].fd = fd;
}

static int control_ready(struct front *f, const struct pollfd *fds)
{
	struct control_front *p = control_of(f);

	for (int i = 0; i < CONTROL_CLIENTS; i++)
		serve_client(p, &p->clients[i], &fds[1 + i]);
	if (fds[0].revents)
		accept_control(p);
	return 0;
}

static nfds_t control_pollfds(struct front *f, struct pollfd fds[static FRONT_POLLFDS])
{
	struct control_front *p = control_of(f);

	_Static_assert(1 + CONTROL_CLIENTS <= FRONT_POLLFDS, "one for each client");
	fds[0] = (struct pollfd){.fd = p->listener->fd, .events = POLLIN};
	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client *c = &p->clients[i];

		fds[1 + i] =
			(struct pollfd){.fd = c->fd, .events = c->out ? POLLOUT : POLLIN};
	}
	return 1 + CONTROL_CLIENTS;
}

static int control_timeout(const struct front *f)
{
	const struct control_front *p = control_of(f);
	uint64_t now = control_now(), least = UINT64_MAX;

	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		const struct control_client *c = &p->clients[i];

		if (c->fd >= 0 && !c->out && (c->have || c->skip) && c->silent_at < least)
			least = c->silent_at;
	}
	if (least == UINT64_MAX)
		return -1;
	return now < least ? (int)(least - now) : 0;
}

/* The TPM works: only what does not need it is served. */
static void hear_client(struct control_front *p, struct control_client *c,
			const struct pollfd *fd)
{
	struct cursor request;

	if (c->fd < 0 || c->fd != fd->fd || c->out || c->skip)
		return;
	if (fd->revents && !is_whole(c))
		read_control(c);
	if (c->fd < 0 || c->skip || !is_whole(c))
		return;
	request = cursor_reader(c->in, c->have);
	switch (cursor_u32(&request)) {
	case CMD_SHUTDOWN:
		engine_cancel();
		break;
	case CMD_CANCEL_TPM_CMD:
		reply(p, c);
		break;
	default:
		break;
	}
}

/* A client that has just come is heard at once: it may be long until the next call. */
static void control_check_cancel(struct front *f)
{
	struct control_front *p = control_of(f);
	struct pollfd fds[FRONT_POLLFDS];
	nfds_t n = control_pollfds(f, fds);

	if (poll(fds, 1, 0) > 0)
		accept_control(p);
	(void)control_pollfds(f, fds);
	(void)poll(fds + 1, n - 1, 0);
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		hear_client(p, &p->clients[i], &fds[1 + i]);
}

static void control_stats(const struct front *f, struct front_stats *s)
{
	*s = (struct front_stats){0};
}

static void control_close(struct front *f)
{
	struct control_front *p = control_of(f);

	for (int i = 0; i < CONTROL_CLIENTS; i++)
		drop_control(&p->clients[i]);
	free(p);
}

static const struct front_ops control_ops = {
	.firmware = FRONT_FIRMWARE_MANAGER,
	.pollfds = control_pollfds,
	.ready = control_ready,
	.timeout = control_timeout,
	.check_cancel = control_check_cancel,
	.stats = control_stats,
	.close = control_close,
};

int control_front(struct front **f, const struct listener *listener, int client,
		  const struct control_tpm *tpm, struct error *e)
{
	struct control_front *p = calloc(1, sizeof(*p));

	if (!p)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	p->front.ops = &control_ops;
	p->tpm = *tpm;
	p->listener = listener;
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		p->clients[i].fd = p->clients[i].passed = -1;
	p->clients[0].fd = client;
	*f = &p->front;
	return 0;
}
