/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/object.h"
#include "lib/cursor.h"
#include "lib/slot/envelope.h"

#include <errno.h>
#include <string.h>

const char *object_name(uint16_t object)
{
	switch (object) {
	case CHANNEL_OBJECT_HEADER:
		return "header";
	case CHANNEL_OBJECT_PERMALL:
		return "permall";
	case CHANNEL_OBJECT_VOLATILE:
		return "volatile";
	case CHANNEL_OBJECT_SAVESTATE:
		return "savestate";
	case CHANNEL_OBJECT_SOURCE_HEADER:
		return "source.header";
	case CHANNEL_OBJECT_SOURCE_PERMALL:
		return "source.permall";
	}
	return NULL;
}

int object_parse(uint16_t object, const uint8_t *buf, size_t len, struct object_head *h)
{
	bool header = object == CHANNEL_OBJECT_HEADER;
	struct cursor c = cursor_reader(buf, len);
	const uint8_t *magic = cursor_bytes(&c, 8);

	(void)cursor_u16(&c);
	h->second = cursor_u16(&c);
	cursor_copy(&c, h->uuid, sizeof(h->uuid));
	h->seq = cursor_u64(&c);
	h->epoch = cursor_u64(&c);
	if (!cursor_ok(&c) || memcmp(magic, header ? "XVTPMHDR" : "XVTPMBLB", 8))
		return -EBADMSG;
	return 0;
}

size_t object_slots(const uint8_t *buf, size_t len, uint16_t *kinds, size_t room)
{
	struct cursor c = cursor_reader(buf, len);
	struct object_head h;
	size_t n = 0, i;

	(void)cursor_bytes(&c, ENVELOPE_HEAD_SIZE + 6);
	for (i = 0; i < ENVELOPE_EKS; i++)
		(void)cursor_bytes(&c, cursor_u16(&c));
	if (!object_parse(CHANNEL_OBJECT_HEADER, buf, len, &h))
		for (; n < room && n < h.second && cursor_ok(&c); n++) {
			kinds[n] = cursor_u16(&c);
			(void)cursor_u16(&c);
			(void)cursor_bytes(&c, cursor_u32(&c));
		}
	return cursor_ok(&c) ? n : 0;
}

bool object_has_old_key(const uint8_t *header, size_t len)
{
	uint16_t kinds[ENVELOPE_SLOTS_MAX];
	size_t i, n = object_slots(header, len, kinds, ENVELOPE_SLOTS_MAX);

	for (i = 0; i < n; i++)
		if (kinds[i] == ENVELOPE_SLOT_OLD_KEY)
			return true;
	return false;
}
