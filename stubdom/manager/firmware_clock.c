/* SPDX-License-Identifier: Apache-2.0 */
#include "firmware_clock.h"
#include "lib/tpm2/types.h"

#include <errno.h>

#define STARTUP_ORDERLY 0x80000000u

/* Whether the end before this start was a TPM2_Shutdown; Part 2, 8.7.  The clock's own
 * "safe" is gone once libtpms has put the clock into its state, at any moment. */
static int was_orderly(struct command *c, bool *orderly)
{
	int rc;

	command_begin(c, TPM2_CC_GetCapability);
	cursor_put_u32(&c->in, TPM2_CAP_TPM_PROPERTIES);
	cursor_put_u32(&c->in, TPM2_PT_STARTUP_CLEAR);
	cursor_put_u32(&c->in, 1);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_bytes(&c->out, 1 + 4 + 4 + 4); /* moreData, capability, n, tag */
	*orderly = cursor_u32(&c->out) & STARTUP_ORDERLY;
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

static int read_clock(struct command *c, uint64_t *clock)
{
	int rc;

	command_begin(c, TPM2_CC_ReadClock);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_u64(&c->out); /* time, since the power-on */
	*clock = cursor_u64(&c->out);
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

int firmware_clock(struct command *c)
{
	uint64_t clock;
	bool orderly;
	int rc = was_orderly(c, &orderly);

	if (rc || orderly)
		return rc;
	rc = read_clock(c, &clock);
	if (rc)
		return rc;
	command_begin(c, TPM2_CC_ClockSet);
	cursor_put_u32(&c->in, TPM2_RH_PLATFORM);
	command_auth(c, NULL, 0);
	cursor_put_u64(&c->in, clock + ENGINE_CLOCK_LAG_MS);
	return command_run(c);
}
