/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/move_board.h"
#include "lib/cursor.h"

#include <errno.h>
#include <string.h>

#define LOCALITIES_MASK ((1u << CRB_LOCALITIES) - 1)

static bool is_locality(uint8_t n)
{
	return n < CRB_LOCALITIES || n == CRB_NO_LOCALITY;
}

/* Whether a vtpm-crb can have them; vCPU numbers are of the old domain, and left out. */
static bool is_possible(const struct crb_state *s)
{
	return is_locality(s->active) && s->locality < CRB_LOCALITIES &&
	       !((s->pending | s->seized) & ~LOCALITIES_MASK) && s->ready <= 1 &&
	       s->failed <= 1 && s->cancel <= 1 && s->start <= CRB_EXECUTING &&
	       s->rsp_len <= sizeof(s->rsp);
}

int move_board_encode(const struct move_board *b, uint8_t *out, size_t *len)
{
	const struct crb_state *s = &b->crb;
	struct cursor w = cursor_writer(out, *len);

	if (!is_possible(s))
		return -EBADMSG;
	cursor_put_u16(&w, (uint16_t)strlen(MOVE_BOARD_LABEL));
	cursor_put(&w, MOVE_BOARD_LABEL, strlen(MOVE_BOARD_LABEL));
	cursor_put_u8(&w, s->active);
	cursor_put_u8(&w, s->pending);
	cursor_put_u8(&w, s->seized);
	cursor_put_u8(&w, s->ready);
	cursor_put_u8(&w, s->failed);
	cursor_put_u8(&w, s->cancel);
	cursor_put_u8(&w, s->locality);
	cursor_put_u8(&w, (uint8_t)s->start);
	cursor_put_u32(&w, s->int_enable);
	cursor_put_u32(&w, b->request);
	cursor_put_u16(&w, (uint16_t)s->rsp_len);
	cursor_put(&w, s->rsp, s->rsp_len);
	cursor_put(&w, b->buffer, sizeof(b->buffer));
	*len = w.pos;
	return cursor_ok(&w) ? 0 : -EMSGSIZE;
}

int move_board_decode(const uint8_t *buf, size_t len, struct move_board *b)
{
	struct cursor c = cursor_reader(buf, len);
	const uint8_t *label;
	struct crb_state *s = &b->crb;

	memset(b, 0, sizeof(*b));
	if (cursor_u16(&c) != strlen(MOVE_BOARD_LABEL))
		return -EBADMSG;
	label = cursor_bytes(&c, strlen(MOVE_BOARD_LABEL));
	if (!label || memcmp(label, MOVE_BOARD_LABEL, strlen(MOVE_BOARD_LABEL)) != 0)
		return -EBADMSG;
	s->active = cursor_u8(&c);
	s->pending = cursor_u8(&c);
	s->seized = cursor_u8(&c);
	s->ready = cursor_u8(&c);
	s->failed = cursor_u8(&c);
	s->cancel = cursor_u8(&c);
	s->locality = cursor_u8(&c);
	s->start = cursor_u8(&c);
	s->int_enable = cursor_u32(&c);
	b->request = cursor_u32(&c);
	s->rsp_len = cursor_u16(&c);
	if (!cursor_ok(&c) || !is_possible(s))
		return -EBADMSG;
	cursor_copy(&c, s->rsp, s->rsp_len);
	cursor_copy(&c, b->buffer, sizeof(b->buffer));
	return cursor_done(&c) ? 0 : -EBADMSG;
}
