/* SPDX-License-Identifier: Apache-2.0 */
#include "vtpm_attest.h"

#include <errno.h>
#include <stdlib.h>

void vtpm_attest(struct hostchan *chan, const struct attest *guest)
{
	struct error e = {.cause = CAUSE_NONE};
	struct attest_request r;
	struct attest own = *guest;
	uint8_t *request;
	struct cursor c;
	uint32_t tpm_rc;
	size_t len;

	own.evidence = NULL;
	if (hostchan_attest(chan, &request, &len))
		return;
	c = cursor_reader(request, len);
	r.pcrs = cursor_u32(&c);
	r.nonce_len = cursor_u16(&c);
	r.nonce = cursor_bytes(&c, r.nonce_len);
	r.user_len = cursor_u16(&c);
	r.user = cursor_bytes(&c, r.user_len);
	if (!cursor_done(&c) || r.nonce_len > ATTEST_NONCE_MAX ||
	    r.user_len > ATTEST_USER_MAX)
		error_set(&e, -EPROTO, CAUSE_CHANNEL, "vtpmd asked for nonsense.");
	else
		(void)!attest_run(&own, &r, &tpm_rc, &e);
	hostchan_attested(chan, &e, own.evidence, own.len);
	attest_clear(&own);
	free(request);
}
