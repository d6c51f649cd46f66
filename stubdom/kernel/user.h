/* SPDX-License-Identifier: Apache-2.0 */
/* The only way to memory of the program's.  A bad pointer is -EFAULT. */
#ifndef STUB_USER_H
#define STUB_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "include/compiler.h"

/* [at, at + n) lies in the program's half; says nothing of what is mapped. */
bool user_range(uint64_t at, uint64_t n);
int __must_check copy_from_user(void *to, uint64_t from, size_t n);
int __must_check copy_to_user(uint64_t to, const void *from, size_t n);
/* A text of at most size - 1 bytes: 0, -EFAULT, or -ENAMETOOLONG. */
int __must_check copy_text_from_user(char *to, uint64_t from, size_t size);

#endif
