/* SPDX-License-Identifier: Apache-2.0 */
#include "base64url.h"

#include <errno.h>
#include <string.h>

static const char digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_encode(const uint8_t *in, size_t len, char *out)
{
	uint32_t bits = 0;
	unsigned int have = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		bits = bits << 8 | in[i];
		for (have += 8; have >= 6; have -= 6)
			*out++ = digits[bits >> (have - 6) & 63];
	}
	if (have)
		*out++ = digits[bits << (6 - have) & 63];
	*out = 0;
}

int base64url_decode(const char *in, uint8_t *out, size_t *len)
{
	size_t room = *len, n = 0;
	unsigned int have = 0;
	uint32_t bits = 0;
	const char *d;

	for (; *in; in++) {
		d = strchr(digits, *in);
		if (!d)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)(d - digits);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n == room)
			return -ENOSPC;
		out[n++] = (uint8_t)(bits >> have);
	}
	/* 6 bits left are a digit too many; fewer have to be zero */
	if (have >= 6 || bits & ((1u << have) - 1))
		return -EINVAL;
	*len = n;
	return 0;
}
