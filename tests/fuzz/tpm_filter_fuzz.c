/* SPDX-License-Identifier: Apache-2.0 */
/* What passes the filter must be a command whose size field is its length and
 * whose code is on the list, written down here a second time. */
#include "tools/vtpmd/tpm_filter.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void must_be_allowed(const uint8_t *data, size_t size, uint32_t srk)
{
	static const uint32_t good[] = {0x153, 0x157, 0x15e, 0x165, 0x167, 0x16a, 0x16b,
					0x173, 0x176, 0x177, 0x17b, 0x17e, 0x17f, 0x189};
	uint32_t code;
	size_t i;

	if (size < 10 || size > 4096 || data[0] != 0x80 || be32(data + 2) != size)
		abort();
	code = be32(data + 6);
	for (i = 0; i < ARRAY_SIZE(good) && good[i] != code; i++)
		;
	if (i == ARRAY_SIZE(good))
		abort();
	if ((code == 0x153 || code == 0x157) && be32(data + 10) != srk)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t srk = 0x81005654;
	struct tpm_filter_verdict v;

	if (!tpm_filter_check(data, size, srk, &v))
		must_be_allowed(data, size, srk);
	else if (!v.why)
		abort();
	return 0;
}
