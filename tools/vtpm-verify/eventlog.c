/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/eventlog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHA1_SIZE 20
#define SIGNATURE "Spec ID Event03"
#define LOCALITY  "StartupLocality"
#define DYNAMIC_FIRST \
	17 /* PCRs that start with ones (PC Client Platform TPM Profile, 4.6) */
#define DYNAMIC_LAST 22

/* TCG_EfiSpecIdEvent, 10.4.5.1: which algorithms the log has. */
static void take_spec_id(struct cursor *c, struct eventlog *log)
{
	char signature[sizeof(SIGNATURE)];
	uint32_t i, n;

	cursor_copy(c, signature, sizeof(signature));
	(void)cursor_bytes(c, 4 + 1 + 1 + 1 + 1); /* class, version, errata, uintn */
	n = cursor_le32(c);
	if (memcmp(signature, SIGNATURE, sizeof(signature)) || !n || n > EVENTLOG_BANKS)
		cursor_fail(c);
	for (i = 0; cursor_ok(c) && i < n; i++) {
		log->alg[i] = tpmalg_find(cursor_le16(c));
		if (!log->alg[i] || cursor_le16(c) != log->alg[i]->size)
			cursor_fail(c);
	}
	log->banks = cursor_ok(c) ? n : 0;
	(void)cursor_bytes(c, cursor_u8(c)); /* vendorInfo */
}

/* The first event, in the format of before (TCG_PCClientPCREvent): 10.4.5 */
static int take_header(struct cursor *c, struct eventlog *log)
{
	uint32_t pcr = cursor_le32(c), type = cursor_le32(c);
	struct cursor spec;

	(void)cursor_bytes(c, SHA1_SIZE);
	spec = cursor_sub(c, cursor_le32(c));
	take_spec_id(&spec, log);
	if (pcr || type != EVENTLOG_NO_ACTION || !cursor_done(&spec) || !cursor_ok(c))
		return -EBADMSG;
	log->first = c->pos;
	return 0;
}

static void take_digest(struct cursor *c, const struct eventlog *log,
			struct eventlog_event *e)
{
	uint16_t id = cursor_le16(c);
	size_t i;

	for (i = 0; i < log->banks && log->alg[i]->id != id; i++)
		;
	if (i == log->banks || e->digest[i]) {
		cursor_fail(c);
		return;
	}
	e->digest[i] = cursor_bytes(c, log->alg[i]->size);
}

/* TCG_PCR_EVENT2, 10.2.2 */
static void take_event(struct cursor *c, const struct eventlog *log,
		       struct eventlog_event *e)
{
	uint32_t i;

	memset(e, 0, sizeof(*e));
	e->pcr = cursor_le32(c);
	e->type = cursor_le32(c);
	if (cursor_le32(c) != log->banks || e->pcr >= EVENTLOG_PCRS)
		cursor_fail(c);
	for (i = 0; cursor_ok(c) && i < log->banks; i++)
		take_digest(c, log, e);
	e->len = cursor_le32(c);
	e->data = cursor_bytes(c, e->len);
}

static void reset(struct eventlog *log)
{
	size_t i, pcr;

	for (i = 0; i < log->banks; i++)
		for (pcr = DYNAMIC_FIRST; pcr <= DYNAMIC_LAST; pcr++)
			memset(log->value[i][pcr], 0xff, log->alg[i]->size);
}

/* 10.4.5.3: Startup from another locality than 0 leaves it in PCR 0. */
static void start_locality(struct eventlog *log, const struct eventlog_event *e)
{
	size_t i, size = sizeof(LOCALITY);

	if (e->pcr || e->len != size + 1 || memcmp(e->data, LOCALITY, size) != 0)
		return;
	for (i = 0; i < log->banks; i++)
		log->value[i][0][log->alg[i]->size - 1] = e->data[size];
}

static int extend(struct eventlog *log, const struct eventlog_event *e)
{
	size_t i;
	int rc = 0;

	if (e->type == EVENTLOG_NO_ACTION) {
		if (!(log->pcrs & 1))
			start_locality(log, e);
		return 0;
	}
	for (i = 0; !rc && i < log->banks; i++) {
		uint8_t *value = log->value[i][e->pcr];
		const struct crypt_part parts[] = {{value, log->alg[i]->size},
						   {e->digest[i], log->alg[i]->size}};

		rc = tpmalg_hash(log->alg[i], parts, 2, value);
	}
	log->pcrs |= 1u << e->pcr;
	return rc;
}

int eventlog_replay(const uint8_t *buf, size_t len, struct eventlog *log)
{
	struct cursor c = cursor_reader(buf, len);
	struct eventlog_event e;
	int rc, n;

	memset(log, 0, sizeof(*log));
	rc = take_header(&c, log);
	reset(log);
	for (n = 0; !rc && cursor_left(&c); n++) {
		take_event(&c, log, &e);
		rc = !cursor_ok(&c) || n == EVENTLOG_EVENTS ? -EBADMSG : extend(log, &e);
	}
	return rc;
}

bool eventlog_next(const struct eventlog *log, const uint8_t *buf, size_t len, size_t *at,
		   struct eventlog_event *e)
{
	struct cursor c = cursor_reader(buf, len);

	(void)cursor_bytes(&c, *at);
	if (!cursor_left(&c))
		return false;
	take_event(&c, log, e);
	*at = c.pos;
	return cursor_ok(&c);
}

const uint8_t *eventlog_value(const struct eventlog *log, const struct tpmalg *alg,
			      unsigned int pcr)
{
	size_t i;

	for (i = 0; i < log->banks; i++)
		if (log->alg[i] == alg)
			return log->value[i][pcr];
	return NULL;
}

void eventlog_name(const struct eventlog_event *e, char *out, size_t size)
{
	size_t i, n = e->len < 80 ? e->len : 80;

	while (n && !e->data[n - 1])
		n--;
	for (i = 0; i < n; i++)
		if (e->data[i] < ' ' || e->data[i] > '~')
			break;
	if (n && i == n)
		snprintf(out, size, "%.*s", (int)n, (const char *)e->data);
	else
		snprintf(out, size, "of type 0x%x", e->type);
}
