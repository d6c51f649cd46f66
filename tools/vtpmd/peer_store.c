/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/peer_store.h"
#include "tools/vtpmd/peer_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PUT_PAUSE_US 300000

void peer_store_get(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint16_t object = cursor_u16(c);
	uint8_t *buf;
	size_t len;
	int rc;

	if (!cursor_done(c)) {
		peer_answer_malformed(p, f);
		return;
	}
	rc = store_get(p->env.store, object, &buf, &len);
	if (rc) {
		peer_answer(p, f, rc);
		return;
	}
	peer_reply(p, f->type, f->id, buf, len);
	free(buf);
}

/* The disk's fault, which may pass; everything else is the manager's or final. */
static bool may_pass(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || rc == -EIO || rc == -EROFS ||
	       rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

static int put(struct peer *p, const uint8_t *payload, size_t len)
{
	struct cursor c = cursor_reader(payload, len);
	uint16_t object = cursor_u16(&c);
	uint64_t seq = cursor_u64(&c);

	return store_put(p->env.store, object, seq, payload + c.pos, len - c.pos);
}

static void end_put(struct peer *p, int rc)
{
	struct channel_frame f = {.type = CHANNEL_PUT, .id = p->put.id};

	log_about(LOG_WARNING, PEER_ABOUT(p, .id = LOG_ID_STORE_GOOD),
		  "after %lld s the disk %s", (long long)(time(NULL) - p->put.since),
		  rc ? strerror(-rc) : "took the state");
	free(p->put.payload);
	p->put.payload = NULL;
	peer_answer(p, &f, rc);
}

static void put_again(evutil_socket_t fd, short what, void *ctx)
{
	struct peer *p = ctx;
	struct timeval pause = {.tv_usec = PUT_PAUSE_US};

	p->put.rc = put(p, p->put.payload, p->put.len);
	if (!may_pass(p->put.rc) || event_add(p->put.again, &pause))
		end_put(p, p->put.rc);
}

/* Nothing that was not stored may be acknowledged, and what the guest was promised
 * before must not be given up: wait for the disk. -ENOMEM */
static int wait_for_disk(struct peer *p, const struct channel_frame *f, int rc)
{
	struct timeval pause = {.tv_usec = PUT_PAUSE_US};

	if (!p->put.again)
		p->put.again = evtimer_new(p->env.base, put_again, p);
	if (p->put.payload || !p->put.again)
		return -EBUSY;
	p->put.payload = malloc(f->len);
	if (!p->put.payload || event_add(p->put.again, &pause)) {
		free(p->put.payload);
		p->put.payload = NULL;
		return -ENOMEM;
	}
	memcpy(p->put.payload, f->payload, f->len);
	p->put.len = f->len;
	p->put.id = f->id;
	p->put.rc = rc;
	p->put.since = time(NULL);
	log_about(LOG_ERR, PEER_ABOUT(p, .id = LOG_ID_STORE_WAITS),
		  "its state cannot be stored (%s): the guest waits until the "
		  "disk takes it",
		  strerror(-rc));
	return 0;
}

void peer_store_put(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint16_t object = cursor_u16(c);
	uint64_t seq = cursor_u64(c);
	int rc;

	if (!cursor_ok(c) || !cursor_left(c)) {
		peer_answer_malformed(p, f);
		return;
	}
	rc = put(p, f->payload, f->len);
	/* before it is ready, somebody waits for its start, and is told */
	if (p->ready && may_pass(rc) && !wait_for_disk(p, f, rc))
		return;
	if (rc && peer_may_log(p))
		log_about(LOG_ERR, PEER_ABOUT(p),
			  "object %u, generation %llu was not stored: %s", object,
			  (unsigned long long)seq, strerror(-rc));
	peer_answer(p, f, rc);
}

int peer_store_error(const struct peer *p)
{
	return p->put.payload ? p->put.rc : 0;
}

void peer_store_end(struct peer *p)
{
	if (p->put.again)
		event_free(p->put.again);
	free(p->put.payload);
}
