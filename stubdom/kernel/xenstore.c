/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/kernel/xenstore.h"
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/platform.h"
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/ring.h"
#include "stubdom/kernel/text.h"
#include "stubdom/kernel/time.h"
#include "stubdom/kernel/user.h"
#include "stubdom/kernel/watch.h"

#include <asm/poll.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <xen/hvm/params.h>

static int xenstore_status(void);
static void xenstore_pump(void);
static int xenstore_send(const struct xsd_sockmsg *request, const void *bytes);

#define HEADER		 sizeof(struct xsd_sockmsg)
#define TRANSACTIONS_MAX 8
#define PREFIX_MAX	 10 /* "ffffffff:" before a token, and a zero */
#define NO_REQUEST	 0  /* the number of requests whose reply is dropped */

enum stage {
	STAGE_WRITING, /* the program is writing its request */
	STAGE_SENT,
	STAGE_REPLY, /* the program is reading its reply */
};

/* One open file: one page, and one for the payload, and one for watches. */
struct client {
	struct client *next;
	uint32_t id;	/* in requests' numbers and before tokens; never used twice */
	uint32_t asked; /* the program's own number of its request */
	enum stage stage;
	struct xsd_sockmsg header; /* of the request or reply in hand */
	size_t at;		   /* bytes of it written or read */
	size_t event_at;	   /* bytes of the first event read */
	char *payload;
	struct watch *watch; /* NULL: never watched anything */
	bool added;	     /* the request in hand has added a watch */
	uint32_t transaction[TRANSACTIONS_MAX];
};

static struct client *clients;
static uint32_t last_id = NO_REQUEST;
static char translated[XENSTORE_PAYLOAD_MAX];

static void free_page(void *page)
{
	if (page)
		page_free((uint64_t)page - (uint64_t)page_address(0));
}

static int open_device(struct file *f)
{
	struct client *c;
	uint64_t pa;
	int rc = xenstore_status();

	if (rc)
		return rc;
	rc = file_alloc_state(f);
	if (rc)
		return rc;
	rc = page_alloc(&pa);
	if (rc) {
		file_free_state(f);
		return rc;
	}
	c = f->state;
	c->payload = page_address(pa);
	c->id = ++last_id;
	c->next = clients;
	clients = c;
	return 0;
}

/* "path\0token\0" with the client's number before the token. */
static int translate(const struct client *c, const char *pair, size_t n, uint32_t *len)
{
	char prefix[PREFIX_MAX];
	size_t token, m = print_to(prefix, sizeof(prefix), "%x:", c->id);

	if (!watch_is_pair(pair, n, &token) || n + m > sizeof(translated))
		return -EINVAL;
	memcpy(translated, pair, token);
	memcpy(translated + token, prefix, m);
	memcpy(translated + token + m, pair + token, n - token);
	*len = (uint32_t)(n + m);
	return 0;
}

static void unwatch_all(const struct client *c)
{
	struct xsd_sockmsg request = {.type = XS_UNWATCH, .req_id = NO_REQUEST};
	const char *pair;
	size_t at = 0, n;

	while (c->watch && (pair = watch_next(c->watch, &at, &n)))
		if (translate(c, pair, n, &request.len) ||
		    xenstore_send(&request, translated))
			return;
}

static void end_transactions(const struct client *c)
{
	struct xsd_sockmsg request = {
		.type = XS_TRANSACTION_END, .req_id = NO_REQUEST, .len = 2};

	for (unsigned int i = 0; i < TRANSACTIONS_MAX; i++) {
		request.tx_id = c->transaction[i];
		if (request.tx_id && xenstore_send(&request, "F"))
			return;
	}
}

static void close_xenstore_device(struct file *f)
{
	struct client *c = f->state, **at = &clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	if (!xenstore_status()) {
		end_transactions(c);
		unwatch_all(c);
	}
	free_page(c->watch);
	free_page(c->payload);
	file_free_state(f);
}

static uint32_t *find_transaction(struct client *c, uint32_t id)
{
	for (unsigned int i = 0; i < TRANSACTIONS_MAX; i++)
		if (c->transaction[i] == id)
			return &c->transaction[i];
	return NULL;
}

static int note_watch(struct client *c, size_t len)
{
	uint64_t pa;
	int rc;

	if (!c->watch) {
		rc = page_alloc(&pa);
		if (rc)
			return rc;
		c->watch = page_address(pa);
	}
	/* Before it is sent: the first event may come with the reply. */
	rc = watch_add(c->watch, c->payload, len);
	c->added = !rc;
	/* xenstored knows better how to say so. */
	return rc == -EEXIST ? 0 : rc;
}

/* What this file must know of its request; *bytes is what to send. */
static int prepare(struct client *c, struct xsd_sockmsg *out, const char **bytes)
{
	uint32_t *transaction;
	int rc;

	*bytes = c->payload;
	switch (c->header.type) {
	case XS_WATCH:
		rc = note_watch(c, c->header.len);
		if (rc)
			return rc;
		/* fallthrough */
	case XS_UNWATCH:
		*bytes = translated;
		return translate(c, c->payload, c->header.len, &out->len);
	case XS_RESET_WATCHES:
		return -EINVAL; /* would be the other files' too */
	case XS_TRANSACTION_START:
		return find_transaction(c, 0) ? 0 : -ENOSPC;
	default:
		break;
	}
	if (!c->header.tx_id)
		return 0;
	transaction = find_transaction(c, c->header.tx_id);
	if (!transaction)
		return -ENOENT;
	if (c->header.type == XS_TRANSACTION_END)
		*transaction = 0;
	return 0;
}

static int submit(struct client *c)
{
	struct xsd_sockmsg out = c->header;
	const char *bytes;
	int rc;

	c->at = 0;
	c->added = false;
	c->asked = c->header.req_id;
	out.req_id = c->id;
	rc = prepare(c, &out, &bytes);
	if (rc)
		return rc;
	c->stage = STAGE_SENT;
	return xenstore_send(&out, bytes);
}

/* Takes what fits into the part of the request that lasts up to `end`. */
static int xenbus_take(struct client *c, char *to, size_t end, uint64_t from, size_t n,
		       size_t *done)
{
	size_t part = end - c->at;
	int rc;

	if (part > n - *done)
		part = n - *done;
	rc = copy_from_user(to, from + *done, part);
	if (rc)
		return rc;
	c->at += part;
	*done += part;
	return 0;
}

/* Takes the bytes of one request at most. */
static long write_xenstore_device(struct file *f, uint64_t from, size_t n)
{
	struct client *c = f->state;
	size_t done = 0;
	int rc = xenstore_status();

	if (rc)
		return rc;
	if (c->stage != STAGE_WRITING)
		return -EBUSY;
	if (c->at < HEADER) {
		rc = xenbus_take(c, (char *)&c->header + c->at, HEADER, from, n, &done);
		if (rc || c->at < HEADER)
			return rc ? rc : (long)done;
		if (c->header.len > XENSTORE_PAYLOAD_MAX) {
			c->at = 0;
			return -EINVAL;
		}
	}
	rc = xenbus_take(c, c->payload + (c->at - HEADER), HEADER + c->header.len, from,
			 n, &done);
	if (!rc && c->at == HEADER + c->header.len)
		rc = submit(c);
	return rc ? rc : (long)done;
}

static uint32_t read_number(const char *digits, size_t n)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n && digits[i] >= '0' && digits[i] <= '9'; i++)
		v = v * 10 + (uint32_t)(digits[i] - '0');
	return v;
}

/* The reply's header and payload take the request's place. */
static void settle_xenstore(struct client *c, const struct xsd_sockmsg *h,
			    const char *payload)
{
	uint32_t type = c->header.type, *slot;
	bool failed = h->type == XS_ERROR;

	if (c->watch &&
	    ((type == XS_WATCH && failed && c->added) || (type == XS_UNWATCH && !failed)))
		watch_remove(c->watch, c->payload, c->header.len);
	if (type == XS_TRANSACTION_START && !failed) {
		slot = find_transaction(c, 0);
		if (slot)
			*slot = read_number(payload, h->len);
	}
	c->header = *h;
	c->header.req_id = c->asked;
	memcpy(c->payload, payload, h->len);
	c->at = 0;
	c->stage = STAGE_REPLY;
}

static bool read_prefix(const char *token, uint32_t *id, size_t *n)
{
	*id = 0;
	for (*n = 0; *n < PREFIX_MAX - 2; (*n)++) {
		char d = token[*n];

		if (d >= '0' && d <= '9')
			*id = *id << 4 | (uint32_t)(d - '0');
		else if (d >= 'a' && d <= 'f')
			*id = *id << 4 | (uint32_t)(d - 'a' + 10);
		else
			break;
	}
	return token[(*n)++] == ':';
}

static struct client *find_client(uint32_t id)
{
	struct client *c = clients;

	while (c && c->id != id)
		c = c->next;
	return c;
}

static void route_event(char *payload, size_t len)
{
	struct client *c;
	size_t token, prefix;
	uint32_t id;

	if (!watch_is_pair(payload, len, &token) ||
	    !read_prefix(payload + token, &id, &prefix))
		return;
	c = find_client(id);
	if (!c || !c->watch)
		return;
	memmove(payload + token, payload + token + prefix, len - token - prefix);
	watch_put(c->watch, payload, len - prefix);
}

/* A message from xenstored; header->len bytes, at most XENSTORE_PAYLOAD_MAX, which
 * may be changed. */
static void xenbus_receive(const struct xsd_sockmsg *h, char *payload)
{
	struct client *c;

	if (h->type == XS_WATCH_EVENT) {
		route_event(payload, h->len);
		return;
	}
	c = find_client(h->req_id);
	if (c && c->stage == STAGE_SENT)
		settle_xenstore(c, h, payload);
}

static bool has_xenstore_event(const struct client *c)
{
	size_t n;

	return c->watch && watch_first(c->watch, &n);
}

/* Hands out from byte *at on of a message; *whole once its last byte went. */
static long hand_out(const struct xsd_sockmsg *h, const char *payload, size_t *at,
		     uint64_t to, size_t n, bool *whole)
{
	size_t done = 0, part;
	int rc;

	while (done < n && *at + done < HEADER + h->len) {
		size_t from = *at + done;
		const char *bytes = from < HEADER ? (const char *)h + from
						  : payload + (from - HEADER);

		part = (from < HEADER ? HEADER : HEADER + h->len) - from;
		if (part > n - done)
			part = n - done;
		rc = copy_to_user(to + done, bytes, part);
		if (rc)
			return rc;
		done += part;
	}
	*at += done;
	*whole = *at == HEADER + h->len;
	if (*whole)
		*at = 0;
	return (long)done;
}

static long read_event(struct client *c, uint64_t to, size_t n)
{
	struct xsd_sockmsg h = {.type = XS_WATCH_EVENT};
	bool whole = false;
	const char *pair;
	size_t len;
	long rc;

	pair = watch_first(c->watch, &len);
	h.len = (uint32_t)len;
	rc = hand_out(&h, pair, &c->event_at, to, n, &whole);
	if (whole)
		watch_drop_first(c->watch);
	return rc;
}

static long read_reply(struct client *c, uint64_t to, size_t n)
{
	bool whole = false;
	long rc = hand_out(&c->header, c->payload, &c->at, to, n, &whole);

	if (whole)
		c->stage = STAGE_WRITING;
	return rc;
}

static long read_xenstore_device(struct file *f, uint64_t to, size_t n)
{
	struct client *c = f->state;

	if (!n)
		return 0;
	for (;;) {
		xenstore_pump();
		if (c->stage == STAGE_REPLY && !c->event_at)
			return read_reply(c, to, n);
		if (has_xenstore_event(c))
			return read_event(c, to, n);
		if (xenstore_status())
			return -EIO;
		if (f->nonblocking)
			return -EAGAIN;
		evtchn_wait(TIME_NEVER);
	}
}

static unsigned int poll_xenstore(struct file *f)
{
	struct client *c = f->state;
	unsigned int events = POLLOUT | POLLWRNORM;

	xenstore_pump();
	if (c->stage == STAGE_REPLY || has_xenstore_event(c))
		events |= POLLIN | POLLRDNORM;
	return xenstore_status() ? events | POLLERR : events;
}

const struct file_ops xenbus_ops = {
	.mode = FILE_CHARACTER | 0600,
	.open = open_device,
	.close = close_xenstore_device,
	.read = read_xenstore_device,
	.write = write_xenstore_device,
	.poll = poll_xenstore,
};

static volatile struct xenstore_domain_interface *ring;
static struct evtchn *event;
static bool broken;

/* The message that is coming in. */
static struct xsd_sockmsg header;
static char payload[XENSTORE_PAYLOAD_MAX];
static uint32_t have; /* bytes of both */

void xenstore_init(void)
{
	uint64_t frame = platform_param(HVM_PARAM_STORE_PFN);

	if (!frame) {
		broken = true;
		return;
	}
	map_fixed(LAYOUT_XENSTORE, frame * LAYOUT_PAGE);
	ring = (struct xenstore_domain_interface *)LAYOUT_FIXED_AT(LAYOUT_XENSTORE);
	event = evtchn_adopt((uint32_t)platform_param(HVM_PARAM_STORE_EVTCHN));
	broken = !event;
	evtchn_arm(event);
}

/* 0, or -EIO: the ring is not to be used any more. */
static int xenstore_status(void)
{
	return broken ? -EIO : 0;
}

static void give_up(const char *why)
{
	if (!broken)
		print_line("xenstore cannot be used any more: %s", why);
	broken = true;
}

static uint32_t xenstore_take(void *to, uint32_t want)
{
	uint32_t consumed = ring->rsp_cons, n;

	if (ring_used(ring->rsp_prod, consumed, XENSTORE_RING_SIZE, &n)) {
		give_up("its index is impossible");
		return 0;
	}
	/* The index before the bytes that it covers: pairs with xenstored's. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (n > want)
		n = want;
	ring_get(ring->rsp, XENSTORE_RING_SIZE, consumed, to, n);
	/* Read first, then let them be overwritten. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ring->rsp_cons = consumed + n;
	return n;
}

/* Some bytes of the message in hand; false when nothing has arrived. */
static bool step(void)
{
	uint32_t n;

	if (have < sizeof(header)) {
		n = xenstore_take((char *)&header + have, sizeof(header) - have);
		have += n;
		if (have == sizeof(header) && header.len > sizeof(payload)) {
			give_up("its message is too long");
			return false;
		}
	} else {
		uint32_t at = have - (uint32_t)sizeof(header);

		n = xenstore_take(payload + at, header.len - at);
		have += n;
	}
	if (have < sizeof(header) || have < sizeof(header) + header.len)
		return n;
	have = 0;
	xenbus_receive(&header, payload);
	return true;
}

/* Takes in all that has arrived; calls xenbus_receive() for each whole message. */
static void xenstore_pump(void)
{
	uint32_t before;

	if (broken)
		return;
	(void)evtchn_scan();
	if (!event->fired && !have && ring->rsp_prod == ring->rsp_cons)
		return;
	evtchn_disarm(event);
	evtchn_arm(event);
	before = ring->rsp_cons;
	while (!broken && step())
		;
	if (ring->rsp_cons != before)
		(void)evtchn_notify(event);
}

static uint32_t put_xenstore(const char *from, uint32_t len)
{
	uint32_t produced = ring->req_prod, n;

	if (ring_room(produced, ring->req_cons, XENSTORE_RING_SIZE, &n)) {
		give_up("its index is impossible");
		return 0;
	}
	if (n > len)
		n = len;
	ring_put(ring->req, XENSTORE_RING_SIZE, produced, from, n);
	/* The bytes before the index: pairs with xenstored's. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	ring->req_prod = produced + n;
	return n;
}

static int put_all(const void *from, uint32_t len)
{
	const char *at = from;

	while (len && !broken) {
		uint32_t n = put_xenstore(at, len);

		at += n;
		len -= n;
		if (!len || n)
			continue;
		(void)evtchn_notify(event);
		xenstore_pump();
		if (ring->req_prod - ring->req_cons == XENSTORE_RING_SIZE)
			evtchn_wait(TIME_NEVER);
	}
	return xenstore_status();
}

/* Sends one message; waits for room, taking in what arrives meanwhile. */
static int xenstore_send(const struct xsd_sockmsg *request, const void *bytes)
{
	int rc = put_all(request, sizeof(*request));

	if (!rc)
		rc = put_all(bytes, request->len);
	if (!rc)
		(void)evtchn_notify(event);
	return rc;
}
