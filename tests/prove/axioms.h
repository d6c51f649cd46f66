/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that the proofs take for granted of code that they do not see, each with its reason
 * (docs/proofs.md).  tests/prove/run has it before each source, in place of nothing: no
 * program is built with it.  A name begins with axiom_.
 */
#ifndef XVTPM_PROVE_AXIOMS_H
#define XVTPM_PROVE_AXIOMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* ISO C, 7.24.2.1: memcpy() copies n bytes between objects that do not overlap.  Of bytes
 * only: WP's typed memory has no other view of an object than that of its type. */
/*@ requires \valid(to + (0 .. n - 1)) && \valid_read(from + (0 .. n - 1));
    requires \separated(to + (0 .. n - 1), from + (0 .. n - 1));
    assigns to[0 .. n - 1] \from from[0 .. n - 1];
    ensures \forall integer i; 0 <= i < n ==> to[i] == \old(from[i]); */
void axiom_memcpy(uint8_t *to, const uint8_t *from, size_t n);
#define memcpy(to, from, n) axiom_memcpy((uint8_t *)(to), (const uint8_t *)(from), n)

/* ISO C, 7.24.6.1: memset() sets n bytes. */
/*@ requires \valid(to + (0 .. n - 1));
    assigns to[0 .. n - 1];
    ensures \forall integer i; 0 <= i < n ==> to[i] == (uint8_t)byte; */
void axiom_memset(uint8_t *to, int byte, size_t n);
#define memset(to, byte, n) axiom_memset((uint8_t *)(to), byte, n)

/* GCC, "Other Builtins": the order of the bytes is reversed, so zero stays zero, which is
 * all that is used. */
/*@ assigns \nothing;
    ensures v == 0 ==> \result == 0; */
uint16_t __builtin_bswap16(uint16_t v);
/*@ assigns \nothing;
    ensures v == 0 ==> \result == 0; */
uint32_t __builtin_bswap32(uint32_t v);

#endif
