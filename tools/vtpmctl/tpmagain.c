/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/tpmagain.h"
#include "lib/tpmbusy.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC	    0x5856544147414e00ull
#define COMMAND_MAX 4096

struct tpmagain {
	TSS2_TCTI_CONTEXT_COMMON_V1 v1; /* first: what libtss2 sees */
	TSS2_TCTI_CONTEXT *inner;
	struct tpmbusy busy;
	bool gave_up; /* with the last command: the library's own tries do not wait again */
	uint8_t cmd[COMMAND_MAX];
	size_t len;
};

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *tcti, size_t len, const uint8_t *cmd)
{
	struct tpmagain *a = (struct tpmagain *)tcti;

	if (len > sizeof(a->cmd))
		return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
	memcpy(a->cmd, cmd, len);
	a->len = len;
	a->busy = (struct tpmbusy){0};
	return Tss2_Tcti_Transmit(a->inner, len, cmd);
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *tcti, size_t *len, uint8_t *rsp,
		       int32_t timeout)
{
	struct tpmagain *a = (struct tpmagain *)tcti;
	const size_t room = *len;
	TSS2_RC rc;

	for (;;) {
		*len = room;
		rc = Tss2_Tcti_Receive(a->inner, len, rsp, timeout);
		if (rc || !rsp)
			return rc;
		if (!tpmbusy_is_response(rsp, *len)) {
			a->gave_up = false;
			return 0;
		}
		if (a->gave_up || !tpmbusy_pause(&a->busy)) {
			a->gave_up = true;
			return 0;
		}
		rc = Tss2_Tcti_Transmit(a->inner, a->len, a->cmd);
		if (rc)
			return rc;
	}
}

TSS2_TCTI_CONTEXT *tpmagain_new(TSS2_TCTI_CONTEXT *inner)
{
	struct tpmagain *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->v1.magic = MAGIC;
	a->v1.version = 1;
	a->v1.transmit = transmit;
	a->v1.receive = receive;
	a->inner = inner;
	return (TSS2_TCTI_CONTEXT *)a;
}

void tpmagain_free(TSS2_TCTI_CONTEXT *tcti)
{
	free(tcti);
}
