/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access to memory that a guest can change at any moment.  Every byte is read
 * exactly once, into memory of our own, and only that copy is looked at.
 *
 * A test defines SHARED_ACCESS before it includes the product file, and plays the
 * guest there: it is called before each access.
 */
#ifndef XVTPM_BACKEND_SHARED_H
#define XVTPM_BACKEND_SHARED_H

#include <stddef.h>
#include <stdint.h>

#ifndef SHARED_ACCESS
#define SHARED_ACCESS(address) ((void)(address))
#endif

static inline uint32_t shared_read_u32(const volatile uint8_t *from)
{
	SHARED_ACCESS(from);
	return *(const volatile uint32_t *)from;
}

static inline uint8_t shared_read_u8(const volatile uint8_t *from)
{
	SHARED_ACCESS(from);
	return *from;
}

static inline void shared_write_u32(volatile uint8_t *to, uint32_t value)
{
	SHARED_ACCESS(to);
	*(volatile uint32_t *)to = value;
}

static inline void shared_write_u8(volatile uint8_t *to, uint8_t value)
{
	SHARED_ACCESS(to);
	*to = value;
}

static inline void shared_copy_in(uint8_t *to, const volatile uint8_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = shared_read_u8(from + i);
}

static inline void shared_copy_out(volatile uint8_t *to, const uint8_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		shared_write_u8(to + i, from[i]);
}

#endif
