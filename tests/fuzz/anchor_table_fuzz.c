/* SPDX-License-Identifier: Apache-2.0 */
/* The anchor's table, as somebody who writes to the store would make it. */
#include "tools/vtpmd/anchor_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[ANCHOR_TABLE_MAX];
	struct anchor_table t;
	size_t i;

	if (anchor_table_decode(&t, data, size))
		return 0;
	/* what parses is what would have been written, but for an old version, which is written
	 * as a new one; and all of it is found */
	if (data[9] == 7 &&
	    (anchor_table_encode(&t, again) != size || memcmp(again, data, size)))
		abort();
	for (i = 0; i < t.count; i++)
		if (anchor_table_find(&t, t.entries[i].uuid) != &t.entries[i])
			abort();
	anchor_table_free(&t);
	return 0;
}
