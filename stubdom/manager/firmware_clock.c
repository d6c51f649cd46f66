/* SPDX-License-Identifier: Apache-2.0 */
#include "firmware_clock.h"

#include <errno.h>

#define CC_CLOCK_SET	  0x128
#define CC_GET_CAPABILITY 0x17a
#define CC_READ_CLOCK	  0x181
#define CAP_PROPERTIES	  6
#define PT_STARTUP_CLEAR  0x201
#define STARTUP_ORDERLY	  0x80000000u

/* Whether the end before this start was a TPM2_Shutdown; Part 2, 8.7.  The clock's own
 * "safe" is gone once libtpms has put the clock into its state, at any moment. */
static int was_orderly(struct command *c, bool *orderly)
{
	int rc;

	command_begin(c, CC_GET_CAPABILITY);
	cursor_put_u32(&c->in, CAP_PROPERTIES);
	cursor_put_u32(&c->in, PT_STARTUP_CLEAR);
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

	command_begin(c, CC_READ_CLOCK);
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
	command_begin(c, CC_CLOCK_SET);
	cursor_put_u32(&c->in, COMMAND_RH_PLATFORM);
	command_auth(c, NULL, 0);
	cursor_put_u64(&c->in, clock + ENGINE_CLOCK_LAG_MS);
	return command_run(c);
}
