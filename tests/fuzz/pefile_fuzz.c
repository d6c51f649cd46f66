/* SPDX-License-Identifier: Apache-2.0 */
/* Any file in a boot loader's place; what is hashed is all in it. */
#include "tools/vtpmctl/pefile.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t hash[CRYPT_HASH_SIZE];
	int rc = pefile_hash(data, size, hash);

	if (rc && rc != -EBADMSG)
		abort();
	return 0;
}
