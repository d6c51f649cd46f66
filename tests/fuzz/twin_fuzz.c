/* SPDX-License-Identifier: Apache-2.0 */
/* Any file as a twin: what is said to be its value is within a side.  So that inputs get
 * past the hash, the first byte says which sides get their right one. */
#include "lib/twin.h"
#include "lib/crypt.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(uint8_t *side, size_t size)
{
	const size_t hashed = TWIN_HEAD - CRYPT_HASH_SIZE;
	size_t len = (size_t)side[12] << 24 | (size_t)side[13] << 16 |
		     (size_t)side[14] << 8 | side[15];
	const struct crypt_part parts[] = {{side, hashed}, {side + TWIN_HEAD, len}};

	if (len <= size - TWIN_HEAD && crypt_sha256(parts, 2, side + hashed))
		abort();
}

/* Heads are far from each other: the input is two heads, each with what follows it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t side = TWIN_BLOCK * (size_t)(size ? 1 + (data[0] >> 4) % 3 : 1), half;
	uint8_t *file = calloc(2, side);
	struct twin t;

	if (!file)
		abort();
	if (size) {
		half = (size - 1) / 2;
		half = half > side ? side : half;
		memcpy(file, data + 1, half);
		memcpy(file + side, data + 1 + half, half);
		if (data[0] & 1)
			mend(file, side);
		if (data[0] & 2)
			mend(file + side, side);
	}
	if (twin_parse(file, 2 * side, &t))
		abort();
	if (t.side && t.side != side)
		abort();
	if (t.newest >= 0 && (!t.side || t.newest > 1 || t.len > side - TWIN_HEAD))
		abort();
	/* and what is cut, and no twin for that alone */
	if (twin_parse(file, size < 2 * side ? size : 2 * side - 1, &t))
		abort();
	if (t.newest >= 0 && (t.newest + 1) * t.side > size)
		abort();
	free(file);
	return 0;
}
