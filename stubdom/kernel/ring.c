/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "stubdom/kernel/ring.h"

int ring_used(uint32_t produced, uint32_t consumed, uint32_t size, uint32_t *n)
{
	*n = produced - consumed;
	return *n > size ? -EPROTO : 0;
}

int ring_room(uint32_t produced, uint32_t consumed, uint32_t size, uint32_t *n)
{
	int rc = ring_used(produced, consumed, size, n);

	*n = rc ? 0 : size - *n;
	return rc;
}

void ring_get(const volatile char *ring, uint32_t size, uint32_t at, void *to, uint32_t n)
{
	char *out = to;

	for (uint32_t i = 0; i < n; i++)
		out[i] = ring[(at + i) & (size - 1)];
}

void ring_put(volatile char *ring, uint32_t size, uint32_t at, const void *from,
	      uint32_t n)
{
	const char *in = from;

	for (uint32_t i = 0; i < n; i++)
		ring[(at + i) & (size - 1)] = in[i];
}
