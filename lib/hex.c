/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/hex.h"

#include <errno.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

void hex_encode(const uint8_t *in, size_t len, char *out)
{
	size_t i;

	for (i = 0; i < len; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * len] = 0;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(const char *in, uint8_t *out, size_t *len)
{
	size_t i, n = strlen(in);

	if (n % 2)
		return -EINVAL;
	if (n / 2 > *len)
		return -ENOSPC;
	for (i = 0; i < n / 2; i++) {
		int high = nibble(in[2 * i]), low = nibble(in[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		out[i] = (uint8_t)(high << 4 | low);
	}
	*len = n / 2;
	return 0;
}
