/* SPDX-License-Identifier: Apache-2.0 */
#include "hostchan.h"
#include "hostchan_call.h"

#include <errno.h>
#include <string.h>

/* How long a guest waits for the host's TPM, which others may use. */
#define QUOTE_MS 20000

int hostchan_quote(void *hostchan, const uint8_t *request, size_t len, uint8_t **reply,
		   size_t *reply_len)
{
	struct hostchan *h = hostchan;
	struct hostchan_call c = {
		.type = CHANNEL_QUOTE, .ms = QUOTE_MS, .body = request, .body_len = len};

	return h->up ? hostchan_call_bytes(h, &c, reply, reply_len) : -EPIPE;
}

int hostchan_attest(struct hostchan *h, uint8_t **request, size_t *len)
{
	struct hostchan_call c = {.type = CHANNEL_ATTEST};

	return hostchan_call_bytes(h, &c, request, len);
}

void hostchan_attested(struct hostchan *h, const struct error *e, const char *evidence,
		       size_t len)
{
	uint8_t head[4];
	struct cursor w = cursor_writer(head, sizeof(head));
	bool failed = e->cause != CAUSE_NONE;
	struct hostchan_call c = {
		.type = CHANNEL_ATTEST,
		.head = head,
		.head_len = sizeof(head),
		.body = (const uint8_t *)(failed ? e->text : evidence),
		.body_len = failed ? strnlen(e->text, sizeof(e->text)) : len,
	};

	cursor_put_u32(&w, e->cause);
	hostchan_call_later(h, &c);
}
