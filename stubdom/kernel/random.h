/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers straight from the processor (RDSEED, else RDRAND).  A processor that
 * has neither, or that stops, or repeats itself, is a panic: keys depend on it. */
#ifndef STUB_RANDOM_H
#define STUB_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_init(void);
uint64_t random_word(void);
void random_bytes(void *out, size_t n);

#endif
