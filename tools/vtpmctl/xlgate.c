/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/xlgate.h"

#include <errno.h>
#include <string.h>

/* The first is written without its zero, the others with it. */
static const char banner[] = "xl migration receiver ready, send binary domain data.\n";
static const char ready[] = "domain received, ready to unpause";
static const char go[] = "domain is yours, you are cleared to unpause";
static const char report[] = "my copy unpause results are as follows";

const uint8_t *xlgate_bytes(enum xlgate_text text, size_t *len)
{
	switch (text) {
	case XLGATE_BANNER:
		*len = sizeof(banner) - 1;
		return (const uint8_t *)banner;
	case XLGATE_READY:
		*len = sizeof(ready);
		return (const uint8_t *)ready;
	case XLGATE_GO:
		*len = sizeof(go);
		return (const uint8_t *)go;
	case XLGATE_REPORT:
		*len = sizeof(report);
		return (const uint8_t *)report;
	default:
		*len = 0;
		return NULL;
	}
}

/*
 * A saved domain: xl's header, with the guest's description; libxl's header and records
 * (Xen's docs/specs/libxl-migration-stream.pandoc), one of which has libxc's headers and records behind
 * it (libxc-migration-stream.pandoc).  A record's body is padded to 8 bytes.
 */
enum xlgate_part {
	PART_XL,
	PART_LIBXL,
	PART_RECORD,
	PART_LIBXC,
	PART_DOMAIN,
	PART_LIBXC_RECORD,
	PART_END,
};

#define RECORD_END   0u
#define RECORD_LIBXC 1u
#define XL_STREAM_2  2u /* of the flags that a reader must know */
#define BYTEORDER    0x01020304u

/* xl and libxl keep these in domain 0's memory as a whole. */
#define DESCRIPTION_MAX (1u << 20)
#define RECORD_MAX	(64u << 20) /* of libxl's: a device model's state is the largest */

static const uint8_t head_size[] = {
	[PART_XL] = 48,	   [PART_LIBXL] = 16,  [PART_RECORD] = 8,
	[PART_LIBXC] = 24, [PART_DOMAIN] = 16, [PART_LIBXC_RECORD] = 8,
};

static const char xl_magic[32] = "Xen saved domain, xl format\n \0 \r";
static const uint8_t libxl_magic[12] = "LibxlFmt\0\0\0\2";
static const uint8_t libxc_magic[12] = "\xff\xff\xff\xff\xff\xff\xff\xff"
				       "XENF";

/* x86's order: what another machine's xl writes is none that this one can take */
static uint32_t number_at(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int parse_xl(struct xlgate_stream *s)
{
	if (memcmp(s->head, xl_magic, sizeof(xl_magic)) != 0 ||
	    number_at(s->head + 32) != BYTEORDER ||
	    !(number_at(s->head + 36) & XL_STREAM_2))
		return -EBADMSG;
	s->skip = number_at(s->head + 44);
	if (s->skip > DESCRIPTION_MAX)
		return -EBADMSG;
	s->part = PART_LIBXL;
	return 0;
}

/* A record's head; its body follows, or the end of this level's records. */
static void parse_record(struct xlgate_stream *s, enum xlgate_part at_end)
{
	uint32_t type = number_at(s->head);

	s->skip = ((uint64_t)number_at(s->head + 4) + 7) & ~UINT64_C(7);
	if (type == RECORD_END)
		s->part = at_end;
	else if (type == RECORD_LIBXC && s->part == PART_RECORD)
		s->part = PART_LIBXC;
}

static int parse_head(struct xlgate_stream *s)
{
	switch (s->part) {
	case PART_XL:
		return parse_xl(s);
	case PART_LIBXL:
		s->part = PART_RECORD;
		return memcmp(s->head, libxl_magic, sizeof(libxl_magic)) ? -EBADMSG : 0;
	case PART_RECORD:
		parse_record(s, PART_END);
		return s->skip > RECORD_MAX ? -EBADMSG : 0;
	case PART_LIBXC:
		s->part = PART_DOMAIN;
		return memcmp(s->head, libxc_magic, sizeof(libxc_magic)) ? -EBADMSG : 0;
	case PART_DOMAIN:
		s->part = PART_LIBXC_RECORD;
		return 0;
	default:
		parse_record(s, PART_RECORD);
		return 0;
	}
}

bool xlgate_stream_ended(const struct xlgate_stream *s)
{
	return s->part == PART_END && !s->skip;
}

/* A part's next bytes; how many of the n were taken. */
static size_t take_part(struct xlgate_stream *s, const uint8_t *p, size_t n)
{
	size_t take;

	if (s->skip) {
		take = s->skip < n ? (size_t)s->skip : n;
		s->skip -= take;
		return take;
	}
	take = head_size[s->part] - s->have;
	take = take < n ? take : n;
	memcpy(s->head + s->have, p, take);
	s->have += take;
	return take;
}

int xlgate_stream_take(struct xlgate_stream *s, const uint8_t *p, size_t n, size_t *pass,
		       bool *go_came)
{
	size_t at = 0;

	*pass = 0;
	*go_came = false;
	while (at < n && !xlgate_stream_ended(s)) {
		at += take_part(s, p + at, n - at);
		if (s->skip || s->have < head_size[s->part % PART_END])
			continue;
		s->have = 0;
		if (parse_head(s))
			return -EBADMSG;
	}
	*pass = at;
	if (at == n)
		return 0;
	if (n - at > sizeof(go) - s->go || memcmp(go + s->go, p + at, n - at) != 0)
		return -EBADMSG;
	s->go += n - at;
	*go_came = s->go == sizeof(go);
	return 0;
}

/* What is due next; a receiver that says how it went says no more if it went well. */
static enum xlgate_text due(const struct xlgate_answer *a)
{
	static const enum xlgate_text after[] = {
		[XLGATE_NONE] = XLGATE_BANNER,	[XLGATE_BANNER] = XLGATE_READY,
		[XLGATE_READY] = XLGATE_REPORT, [XLGATE_GO] = XLGATE_NONE,
		[XLGATE_REPORT] = XLGATE_GO,
	};

	return a->last == XLGATE_REPORT && !a->code ? XLGATE_NONE : after[a->last];
}

int xlgate_answer_take(struct xlgate_answer *a, const uint8_t *p, size_t n, size_t *used,
		       enum xlgate_text *found)
{
	enum xlgate_text next = due(a);
	size_t len, take;
	const uint8_t *text = xlgate_bytes(next, &len);

	*used = 0;
	*found = XLGATE_NONE;
	if (!n)
		return 0;
	if (!text)
		return -EBADMSG;
	take = len - a->have < n ? len - a->have : n;
	if (memcmp(text + a->have, p, take) != 0)
		return -EBADMSG;
	a->have += take;
	*used = take;
	if (a->have < len || (next == XLGATE_REPORT && take == n))
		return 0;
	if (next == XLGATE_REPORT) {
		a->code = p[take];
		*used = take + 1;
	}
	a->have = 0;
	a->last = next;
	*found = next;
	return 0;
}
