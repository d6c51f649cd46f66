/* SPDX-License-Identifier: Apache-2.0 */
/* A list of measurements: what parses is what would have been written. */
#include "lib/measure.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor r = cursor_reader(data, size), w;
	struct measure_event e;
	uint8_t *again;

	if (!measure_check(data, size))
		return 0;
	again = malloc(size);
	w = cursor_writer(again, size);
	while (cursor_left(&r)) {
		if (!measure_next(&r, &e))
			abort();
		measure_put(&w, &e);
	}
	if (w.pos != size || memcmp(again, data, size))
		abort();
	free(again);
	return 0;
}
