/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/move_record.h"
#include "lib/cursor.h"
#include "lib/text.h"

#include <errno.h>
#include <string.h>

/* What is in each, and not in those before. */
#define LABEL	   "xen-vtpm handover 1"
#define LABEL_AK   "xen-vtpm handover 2"
#define LABEL_CAME "xen-vtpm handover 3"

static void put_text(struct cursor *w, const char *text)
{
	cursor_put_u16(w, (uint16_t)strlen(text));
	cursor_put(w, text, strlen(text));
}

int move_record_encode(const struct move_record *r, uint8_t *out, size_t *len)
{
	bool has_come = r->h.state == HANDOVER_OWNED && r->came;
	struct cursor w = cursor_writer(out, *len);

	put_text(&w, has_come ? LABEL_CAME : r->ak.n ? LABEL_AK : LABEL);
	cursor_put_u8(&w, (uint8_t)r->h.state);
	cursor_put(&w, r->h.txid, sizeof(r->h.txid));
	cursor_put(&w, r->h.gone, sizeof(r->h.gone));
	cursor_put(&w, r->uuid, sizeof(r->uuid));
	put_text(&w, r->name);
	put_text(&w, r->peer);
	if (r->ak.n || has_come) {
		cursor_put_u16(&w, r->ak.n);
		cursor_put(&w, r->ak.bytes, r->ak.n);
	}
	if (has_come)
		cursor_put_u64(&w, r->came);
	*len = w.pos;
	return cursor_ok(&w) ? 0 : -EMSGSIZE;
}

static void take_text(struct cursor *c, char *out, size_t room)
{
	size_t n = cursor_u16(c);

	if (n >= room) {
		cursor_fail(c);
		n = 0;
	}
	cursor_copy(c, out, n);
	out[n] = '\0';
	if (strlen(out) != n || !text_is_clean(out, n))
		cursor_fail(c);
}

static void take_ak(struct cursor *c, struct move_ak *ak)
{
	ak->n = cursor_u16(c);
	if (ak->n > sizeof(ak->bytes)) {
		cursor_fail(c);
		ak->n = 0;
	}
	cursor_copy(c, ak->bytes, ak->n);
}

static bool is_recorded(unsigned int state)
{
	const unsigned int all =
		1u << HANDOVER_ABSENT | 1u << HANDOVER_HERE | 1u << HANDOVER_RELEASED |
		1u << HANDOVER_AWAY | 1u << HANDOVER_INCOMING | 1u << HANDOVER_PREPARED |
		1u << HANDOVER_OWNED | 1u << HANDOVER_BACK | 1u << HANDOVER_TAKEN;

	return state < HANDOVER_STATES && all & 1u << state;
}

int move_record_decode(const uint8_t *buf, size_t len, struct move_record *r)
{
	struct cursor c = cursor_reader(buf, len);
	char label[sizeof(LABEL)];
	unsigned int state;

	memset(r, 0, sizeof(*r));
	take_text(&c, label, sizeof(label));
	state = cursor_u8(&c);
	cursor_copy(&c, r->h.txid, sizeof(r->h.txid));
	cursor_copy(&c, r->h.gone, sizeof(r->h.gone));
	cursor_copy(&c, r->uuid, sizeof(r->uuid));
	take_text(&c, r->name, sizeof(r->name));
	take_text(&c, r->peer, sizeof(r->peer));
	if (!strcmp(label, LABEL_CAME)) {
		take_ak(&c, &r->ak);
		r->came = cursor_u64(&c);
		if (!r->came || state != HANDOVER_OWNED)
			cursor_fail(&c);
	} else if (!strcmp(label, LABEL_AK)) {
		take_ak(&c, &r->ak);
		if (!r->ak.n)
			cursor_fail(&c);
	} else if (strcmp(label, LABEL) != 0) {
		cursor_fail(&c);
	}
	if (!cursor_done(&c) || !is_recorded(state))
		return -EBADMSG;
	r->h.state = (enum handover_state)state;
	return 0;
}
