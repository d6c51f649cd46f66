/* SPDX-License-Identifier: Apache-2.0 */
/* The only way to memory of the program's.  A bad pointer is -EFAULT. */
#ifndef STUB_USER_H
#define STUB_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "include/compiler.h"
#include "stubdom/kernel/layout.h"

/*
 * The contracts, which `make prove` proves for every address and length (docs/proofs.md).
 * user_bytes: [at, at + n) lies in the program's half, whatever at + n wraps to.
 */
/*@ predicate user_bytes(integer at, integer n) =
	LAYOUT_USER_BOTTOM <= at && at < LAYOUT_USER_TOP && at + n <= LAYOUT_USER_TOP;
*/

/* [at, at + n) lies in the program's half; says nothing of what is mapped. */
/*@ assigns \nothing;
    ensures \result <==> user_bytes(at, n); */
bool user_range(uint64_t at, uint64_t n);
/*@ requires \valid((uint8_t *)to + (0 .. n - 1));
    assigns ((uint8_t *)to)[0 .. n - 1];
    ensures \result == 0 || \result == -EFAULT;
    ensures \result == 0 && n > 0 ==> user_bytes(from, n); */
int __must_check copy_from_user(void *to, uint64_t from, size_t n);
/*@ requires \valid_read((uint8_t *)from + (0 .. n - 1));
    assigns ((uint8_t *)to)[0 .. n - 1];
    ensures \result == 0 || \result == -EFAULT;
    ensures \result == 0 && n > 0 ==> user_bytes(to, n); */
int __must_check copy_to_user(uint64_t to, const void *from, size_t n);
/* A text of at most size - 1 bytes: 0, -EFAULT, or -ENAMETOOLONG. */
/*@ requires \valid(to + (0 .. size - 1));
    assigns to[0 .. size - 1];
    ensures \result == 0 || \result == -EFAULT || \result == -ENAMETOOLONG;
    ensures \result == 0 ==> \exists integer i; 0 <= i < size && to[i] == 0; */
int __must_check copy_text_from_user(char *to, uint64_t from, size_t size);

#endif
