/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/quote.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>

#define PART_MAX      (2 + TPMALG_SIZE_MAX)
#define CLOCK_SIZE    17 /* TPMS_CLOCK_INFO */
#define FIRMWARE_SIZE 8

static struct quote_part take_2b(struct cursor *c)
{
	size_t n = cursor_u16(c);

	if (n > PART_MAX)
		cursor_fail(c);
	return (struct quote_part){cursor_bytes(c, n), n};
}

/* TPMS_PCR_SELECTION; a bank that is named twice would be ambiguous. */
static void take_bank(struct cursor *c, struct quote *q, size_t i)
{
	size_t n, k;

	q->bank[i].alg = tpmalg_find(cursor_u16(c));
	n = cursor_u8(c);
	if (!q->bank[i].alg || n > QUOTE_PCRS / 8)
		cursor_fail(c);
	for (k = 0; cursor_ok(c) && k < n; k++)
		q->bank[i].pcrs |= (uint32_t)cursor_u8(c) << 8 * k;
	for (k = 0; k < i; k++)
		if (q->bank[k].alg == q->bank[i].alg)
			cursor_fail(c);
}

int quote_parse(const uint8_t *buf, size_t len, struct quote *q)
{
	struct cursor c = cursor_reader(buf, len);
	uint32_t magic = cursor_u32(&c), banks, i;
	uint16_t type = cursor_u16(&c);

	memset(q, 0, sizeof(*q));
	q->signer = take_2b(&c);
	q->extra = take_2b(&c);
	(void)cursor_bytes(&c, CLOCK_SIZE + FIRMWARE_SIZE);
	banks = cursor_u32(&c);
	if (banks > QUOTE_BANKS || magic != TPM2_GENERATED_VALUE ||
	    type != TPM2_ST_ATTEST_QUOTE)
		cursor_fail(&c);
	for (i = 0; cursor_ok(&c) && i < banks; i++)
		take_bank(&c, q, i);
	q->banks = cursor_ok(&c) ? banks : 0;
	q->digest = take_2b(&c);
	return cursor_done(&c) ? 0 : -EBADMSG;
}
