/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is read as a binding is written as the same bytes: there is one form. */
#include "lib/binding.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[BINDING_SIZE_MAX];
	size_t len = sizeof(again);
	struct binding b;

	if (binding_decode(data, size, &b))
		return 0;
	if (binding_encode(&b, again, &len) || len != size || memcmp(again, data, size))
		abort();
	return 0;
}
