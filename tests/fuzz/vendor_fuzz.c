/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's command.  The first byte: the room for the answer. */
#include "stubdom/manager/vendor.h"

#include <stdlib.h>
#include <string.h>

/* The TPM and the host are not of interest here: what is asked of them is. */
int attest_run(struct attest *a, const struct attest_request *r, uint32_t *tpm_rc,
	       struct error *e)
{
	if (r->nonce_len < ATTEST_NONCE_MIN || r->nonce_len > ATTEST_NONCE_MAX ||
	    r->user_len > ATTEST_USER_MAX)
		abort();
	*tpm_rc = r->nonce[0];
	return r->nonce[0] ? -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char evidence[5000];
	static const uint8_t digests[MEASURE_DIGESTS], text[1000];
	struct measure_event e = {1, MEASURE_EV_IPL, digests, text, sizeof(text)};
	struct eventlog l = {0};
	struct attest a = {.evidence = evidence, .len = sizeof(evidence) - 1};
	struct vendor v = {.log = &l, .attest = &a};
	size_t len = size && data[0] ? data[0] : 4096, room = len;
	uint8_t *rsp = malloc(len);

	if (size % 2)
		if (eventlog_begin(&l, 15) || eventlog_add(&l, &e) ||
		    eventlog_add(&l, &e) || eventlog_add(&l, &e))
			abort();
	if (size && vendor_execute(&v, data + 1, size - 1, rsp, &len) &&
	    (len < 10 || len > room))
		abort();
	eventlog_clear(&l);
	free(rsp);
	return 0;
}
