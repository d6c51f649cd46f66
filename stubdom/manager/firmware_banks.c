/* SPDX-License-Identifier: Apache-2.0 */
#include "firmware_banks.h"
#include "command.h"
#include "firmware_clock.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>

#define SELECT_SIZE 3

/* TPM_ALG_ID, Part 2, 6.3; in the order of the mask */
static const uint16_t algorithms[] = {TPM2_ALG_SHA, TPM2_ALG_SHA256, TPM2_ALG_SHA384,
				      TPM2_ALG_SHA512};

static int get(struct command *c, uint8_t *banks)
{
	uint32_t n;
	uint16_t algorithm;
	const uint8_t *select;
	int rc;

	command_begin(c, TPM2_CC_GetCapability);
	cursor_put_u32(&c->in, TPM2_CAP_PCRS);
	cursor_put_u32(&c->in, 0);
	cursor_put_u32(&c->in, 1);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_u8(&c->out);  /* moreData */
	(void)cursor_u32(&c->out); /* capability */
	n = cursor_u32(&c->out);
	*banks = 0;
	while (n-- && cursor_ok(&c->out)) {
		algorithm = cursor_u16(&c->out);
		select = cursor_bytes(&c->out, cursor_u8(&c->out));
		for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
			if (select && algorithm == algorithms[i] && select[0])
				*banks |= (uint8_t)(1 << i);
	}
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

/* Part 3, 22.5 */
static int allocate(struct command *c, uint8_t banks)
{
	uint8_t select[SELECT_SIZE];
	int rc;

	command_begin(c, TPM2_CC_PCR_Allocate);
	cursor_put_u32(&c->in, TPM2_RH_PLATFORM);
	command_auth(c, NULL, 0);
	cursor_put_u32(&c->in, ARRAY_SIZE(algorithms));
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		memset(select, banks >> i & 1 ? 0xff : 0, sizeof(select));
		cursor_put_u16(&c->in, algorithms[i]);
		cursor_put_u8(&c->in, sizeof(select));
		cursor_put(&c->in, select, sizeof(select));
	}
	rc = command_run(c);
	if (rc)
		return rc;
	return cursor_u8(&c->out) ? 0 : -ENOSPC; /* allocationSuccess */
}

int firmware_banks(uint8_t banks)
{
	struct command c;
	uint8_t now;
	int rc;

	command_begin(&c, TPM2_CC_Startup);
	cursor_put_u16(&c.in, TPM2_SU_CLEAR);
	rc = command_run(&c);
	/* a crash is behind this start alone: the next one is an orderly one */
	if (!rc)
		rc = firmware_clock(&c);
	if (!rc)
		rc = get(&c, &now);
	if (!rc && now != banks)
		rc = allocate(&c, banks);
	/* Whatever comes next finds the TPM as it is after a power-on. */
	return rc ? rc : engine_power_cycle();
}
