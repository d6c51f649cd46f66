/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tpmbusy.h"
#include "lib/cursor.h"

#include <time.h>

#define PAUSE_MIN_MS 20
#define PAUSE_MAX_MS 1000

bool tpmbusy_is_code(uint32_t code)
{
	switch (code) {
	case 0x902: /* TPM_RC_OBJECT_MEMORY: others use it at the same time */
	case 0x903: /* TPM_RC_SESSION_MEMORY */
	case 0x908: /* TPM_RC_YIELDED */
	case 0x90a: /* TPM_RC_TESTING */
	case 0x920: /* TPM_RC_NV_RATE */
	case 0x922: /* TPM_RC_RETRY */
	case 0x923: /* TPM_RC_NV_UNAVAILABLE */
		return true;
	}
	return false;
}

bool tpmbusy_is_response(const uint8_t *rsp, size_t len)
{
	struct cursor c = cursor_reader(rsp, len);
	uint32_t code;

	(void)cursor_u16(&c);
	(void)cursor_u32(&c);
	code = cursor_u32(&c);
	return cursor_ok(&c) && tpmbusy_is_code(code);
}

bool tpmbusy_pause(struct tpmbusy *b)
{
	/* as long as it has waited altogether: twice as long each time */
	unsigned int ms = b->waited_ms;
	struct timespec pause;

	if (b->waited_ms >= 1000 * TPMBUSY_S)
		return false;
	if (ms < PAUSE_MIN_MS)
		ms = PAUSE_MIN_MS;
	if (ms > PAUSE_MAX_MS)
		ms = PAUSE_MAX_MS;
	pause = (struct timespec){ms / 1000, (long)(ms % 1000) * 1000000};
	nanosleep(&pause, NULL);
	b->waited_ms += ms;
	return true;
}
