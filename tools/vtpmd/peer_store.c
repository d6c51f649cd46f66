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

/* What the journal says of a put that is over. */
static void log_put(struct peer *p, int rc)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (p->put.rc)
		log_about(LOG_WARNING, PEER_ABOUT(p, .id = LOG_ID_STORE_GOOD),
			  "after %lld s the disk %s",
			  (long long)(now.tv_sec - p->put.since.tv_sec),
			  rc ? strerror(-rc) : "took the state");
	else if (rc)
		peer_log(p, LOG_ERR, PEER_ABOUT(p),
			 "object %u, generation %llu was not stored: %s", p->put.object,
			 (unsigned long long)p->put.seq, strerror(-rc));
}

static void end_put(struct peer *p, int rc)
{
	struct channel_frame f = {.type = CHANNEL_PUT, .id = p->put.id};

	log_put(p, rc);
	store_put_free(p->put.put);
	p->put.put = NULL;
	p->put.rc = 0;
	peer_answer(p, &f, rc);
}

/* Nothing that was not stored may be acknowledged, and what the guest was promised
 * before must not be given up: wait for the disk.  Before the manager is ready, somebody
 * waits for its start, and is told. */
static bool wait_for_disk(struct peer *p, int rc)
{
	struct timeval pause = {.tv_usec = PUT_PAUSE_US};

	if (!p->ready || !may_pass(rc) || event_add(p->put.again, &pause))
		return false;
	if (!p->put.rc)
		log_about(LOG_ERR, PEER_ABOUT(p, .id = LOG_ID_STORE_WAITS),
			  "its state cannot be stored (%s): the guest waits until the "
			  "disk takes it",
			  strerror(-rc));
	p->put.rc = rc;
	return true;
}

static void on_put(void *ctx, int rc)
{
	struct peer *p = ctx;

	if (!rc && p->owner->stored(p->ctx, p->put.object))
		return;
	if (!wait_for_disk(p, rc))
		end_put(p, rc);
}

void peer_put_counts(struct peer *p, int rc)
{
	if (p->put.put)
		end_put(p, rc);
}

static void put_again(evutil_socket_t fd, short what, void *ctx)
{
	struct peer *p = ctx;
	int rc = store_put_run(p->put.put);

	if (rc)
		on_put(p, rc);
}

void peer_store_put(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	int rc;

	if (!p->put.again)
		p->put.again = evtimer_new(p->env.base, put_again, p);
	p->put.id = f->id;
	p->put.object = cursor_u16(c);
	p->put.seq = cursor_u64(c);
	if (!cursor_ok(c) || !cursor_left(c)) {
		peer_answer_malformed(p, f);
		return;
	}
	rc = p->owner->put(p->ctx, p->put.object, f->payload + c->pos, cursor_left(c));
	if (rc) {
		peer_answer(p, f, rc);
		return;
	}
	if (p->put.again)
		p->put.put =
			store_put_new(p->env.store, p->put.object, p->put.seq,
				      f->payload + c->pos, cursor_left(c), on_put, p);
	if (!p->put.put) {
		peer_answer(p, f, -ENOMEM);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &p->put.since);
	put_again(-1, 0, p);
}

int peer_store_error(const struct peer *p)
{
	return p->put.rc;
}

void peer_store_end(struct peer *p)
{
	if (p->put.again)
		event_free(p->put.again);
	store_put_free(p->put.put);
}
