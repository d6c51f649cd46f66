/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/peer_kms.h"
#include "tools/vtpmd/peer_answer.h"

#include <errno.h>
#include <string.h>

void peer_kms_answered(void *ctx, int rc, const uint8_t *data, size_t len)
{
	struct peer *p = ctx;
	struct channel_frame f = {.type = p->kms_type, .id = p->kms_id};

	p->kms_type = 0;
	if (f.type == CHANNEL_KMS_OPEN)
		peer_log(p, rc ? LOG_WARNING : LOG_DEBUG, PEER_ABOUT(p),
			 "tunnel to KMS %s: %s", p->kms_address,
			 rc ? strerror(-rc) : "open");
	if (rc)
		peer_answer(p, &f, rc);
	else
		peer_reply(p, f.type, f.id, data, len);
}

/* The manager names a place in the list of addresses, never an address. */
static int open_tunnel(struct peer *p, unsigned int nth)
{
	int rc = -EDESTADDRREQ;

	if (p->env.config->kms_address)
		rc = address_nth(p->env.config->kms_address, nth, p->kms_address);
	return rc ? rc : tunnel_open(p->tunnel, p->kms_address);
}

void peer_kms(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint32_t max = 0, nth = 0;
	int rc = -EBUSY;

	if (p->kms_type) {
		peer_answer(p, f, rc);
		return;
	}
	if (f->type == CHANNEL_KMS_RECV)
		max = cursor_u32(c);
	if (f->type == CHANNEL_KMS_OPEN && f->len)
		nth = cursor_u16(c);
	if (!cursor_ok(c)) {
		peer_answer_malformed(p, f);
		return;
	}
	p->kms_type = f->type;
	p->kms_id = f->id;
	if (f->type == CHANNEL_KMS_RECV)
		rc = tunnel_recv(p->tunnel, max);
	else if (f->type == CHANNEL_KMS_SEND)
		rc = tunnel_send(p->tunnel, f->payload, f->len);
	else
		rc = open_tunnel(p, nth);
	if (rc) {
		p->kms_type = 0;
		peer_answer(p, f, rc);
	}
}

void peer_kms_close(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	tunnel_close(p->tunnel);
	p->kms_type = 0;
	peer_answer(p, f, 0);
}
