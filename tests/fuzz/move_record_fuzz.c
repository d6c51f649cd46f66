/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is read as a handover's record is written as the same bytes. */
#include "tools/vtpmd/move_record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[MOVE_RECORD_MAX];
	size_t len = sizeof(again);
	struct move_record r;

	if (move_record_decode(data, size, &r))
		return 0;
	if (move_record_encode(&r, again, &len) || len != size ||
	    memcmp(again, data, size) != 0)
		abort();
	return 0;
}
