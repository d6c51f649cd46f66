/* SPDX-License-Identifier: Apache-2.0 */
#include "hostchan.h"
#include "hostchan_call.h"

#include <errno.h>
#include <stdlib.h>

static int place_get(void *ctx, enum channel_object object, uint8_t **buf, size_t *len)
{
	uint8_t head[2];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct hostchan_call c = {
		.type = CHANNEL_GET,
		.repeat = true,
		.head = head,
		.head_len = sizeof(head),
	};

	cursor_put_u16(&w, (uint16_t)object);
	return hostchan_call_bytes(ctx, &c, buf, len);
}

static int put(struct hostchan *h, bool later, enum channel_object object, uint64_t seq,
	       const uint8_t *buf, size_t len)
{
	uint8_t head[10];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct hostchan_call c = {
		.type = CHANNEL_PUT,
		.repeat = true,
		.head = head,
		.head_len = sizeof(head),
		.body = buf,
		.body_len = len,
	};
	int rc;

	cursor_put_u16(&w, (uint16_t)object);
	cursor_put_u64(&w, seq);
	if (later)
		return hostchan_call_later(h, &c);
	rc = hostchan_call(h, &c);
	free(c.reply);
	return rc;
}

static int place_put(void *ctx, enum channel_object object, uint64_t seq,
		     const uint8_t *buf, size_t len)
{
	return put(ctx, false, object, seq, buf, len);
}

/* While vtpmd is away the write is dropped: nobody was promised it, and the
 * next one carries it. */
static int place_put_later(void *ctx, enum channel_object object, uint64_t seq,
			   const uint8_t *buf, size_t len)
{
	int rc = put(ctx, true, object, seq, buf, len);

	return rc == -EPIPE ? 0 : rc;
}

struct state_place hostchan_place(struct hostchan *h)
{
	return (struct state_place){
		.ctx = h,
		.get = place_get,
		.put = place_put,
		.put_later = place_put_later,
	};
}
