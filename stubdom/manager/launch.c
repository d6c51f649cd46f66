/* SPDX-License-Identifier: Apache-2.0 */
#include "launch.h"
#include "command.h"
#include "lib/tpm2/types.h"

#include <errno.h>

#define BANKS_MAX  16
#define SELECT_MAX 32

static unsigned int bank_of(uint16_t id)
{
	for (unsigned int i = 0; i < MEASURE_HASHES; i++)
		if (measure_hashes[i].id == id)
			return 1u << i;
	return 0;
}

/* One TPMS_PCR_SELECTION: a bank without any PCR is not active. */
static unsigned int read_selection(struct cursor *c)
{
	uint16_t id = cursor_u16(c);
	uint8_t size = cursor_u8(c), any = 0;

	if (size > SELECT_MAX)
		cursor_fail(c);
	for (uint8_t i = 0; i < size && cursor_ok(c); i++)
		any |= cursor_u8(c);
	return any ? bank_of(id) : 0;
}

/* Part 3, 30.2: the banks that the TPM has, as in struct eventlog. */
static int read_banks(struct command *c, unsigned int *banks)
{
	uint32_t n;
	int rc;

	command_begin(c, TPM2_CC_GetCapability);
	cursor_put_u32(&c->in, TPM2_CAP_PCRS);
	cursor_put_u32(&c->in, 0);
	cursor_put_u32(&c->in, BANKS_MAX);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_u8(&c->out); /* moreData */
	if (cursor_u32(&c->out) != TPM2_CAP_PCRS)
		return -EBADMSG;
	n = cursor_u32(&c->out);
	*banks = 0;
	for (uint32_t i = 0; i < n && cursor_ok(&c->out); i++)
		*banks |= read_selection(&c->out);
	return cursor_done(&c->out) ? 0 : -EBADMSG;
}

/* Part 3, 22.2 */
static int extend(struct command *c, unsigned int banks, const struct measure_event *e)
{
	command_begin(c, TPM2_CC_PCR_Extend);
	cursor_put_u32(&c->in, e->pcr);
	command_auth(c, NULL, 0);
	cursor_put_u32(&c->in, (uint32_t)__builtin_popcount(banks));
	for (size_t i = 0; i < MEASURE_HASHES; i++) {
		if (!(banks >> i & 1))
			continue;
		cursor_put_u16(&c->in, measure_hashes[i].id);
		cursor_put(&c->in, e->digests + measure_hashes[i].offset,
			   measure_hashes[i].size);
	}
	return command_run(c);
}

int launch_measure(const uint8_t *list, size_t len, struct eventlog *log)
{
	struct cursor in = cursor_reader(list, len);
	struct measure_event e;
	struct command c;
	unsigned int banks = 0;
	int rc;

	if (!measure_check(list, len))
		return -EBADMSG;
	rc = read_banks(&c, &banks);
	if (!rc)
		rc = eventlog_begin(log, banks);
	while (!rc && measure_next(&in, &e)) {
		/* never extended without a line in the log */
		rc = eventlog_add(log, &e);
		if (!rc)
			rc = extend(&c, banks, &e);
		if (!cursor_left(&in))
			break;
	}
	if (rc)
		eventlog_clear(log);
	return rc;
}
