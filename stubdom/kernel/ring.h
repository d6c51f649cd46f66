/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of bytes shared with a peer that is not trusted to keep its index: two
 * free-running 32-bit counters and a power-of-two buffer (xen/io/console.h,
 * xen/io/xs_wire.h).  Pure: the caller has read each index once, and publishes.
 */
#ifndef STUB_RING_H
#define STUB_RING_H

#include <stddef.h>
#include <stdint.h>
#include "include/compiler.h"

/* Bytes to read, given both counters; -EPROTO when they are impossible. */
int __must_check ring_used(uint32_t produced, uint32_t consumed, uint32_t size,
			   uint32_t *n);
/* Room to write, likewise. */
int __must_check ring_room(uint32_t produced, uint32_t consumed, uint32_t size,
			   uint32_t *n);
/* Copies n bytes, at most the ring's size, from or to counter `at`. */
void ring_get(const volatile char *ring, uint32_t size, uint32_t at, void *to,
	      uint32_t n);
void ring_put(volatile char *ring, uint32_t size, uint32_t at, const void *from,
	      uint32_t n);

#endif
