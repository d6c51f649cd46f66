/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are said to be certificates: nothing of them reaches a TPM's index that it
 * does not belong to. */
#include "tools/vtpmctl/certfile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct holder h;
	struct error e = {.cause = CAUSE_NONE};
	json_t *certs = json_object();
	int rc;

	if (!h.eks) {
		h.ek[0] = (struct holder_ek){"ecc-p256", "01c0000a", EVP_EC_gen("P-256")};
		h.eks = 1;
	}
	rc = certfile_take(data, size, &h, certs, &e);
	/* nobody can guess the key */
	if (json_object_get(certs, "01c0000a"))
		abort();
	if (rc ? e.cause == CAUSE_NONE : !json_object_get(certs, HOLDER_PLATFORM))
		abort();
	json_decref(certs);
	return 0;
}
