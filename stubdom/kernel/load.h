/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the program's segments where they belong.  Whole pages of the file are used
 * where they lie; the others are copied, and what is left of the file is freed. */
#ifndef STUB_LOAD_H
#define STUB_LOAD_H

#include <stddef.h>
#include <stdint.h>
#include "include/compiler.h"
#include "stubdom/kernel/elf.h"

/* pa: of the file.  bias: added to every address.  0 or -ENOMEM. */
int __must_check load_program(const struct elf_plan *plan, uint64_t pa, size_t size,
			      uint64_t bias);

#endif
