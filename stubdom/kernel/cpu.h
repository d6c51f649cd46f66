/* SPDX-License-Identifier: Apache-2.0 */
/* Segments, the task state with its interrupt stacks, the exception table, and the
 * protections that the processor has. */
#ifndef STUB_CPU_H
#define STUB_CPU_H

#include <stdbool.h>
#include <stdint.h>

extern bool cpu_smap;

/* Loads our own tables.  From here on an exception is reported. */
void cpu_init(void);
/* CPUID leaf 7, and 1: bits of the features named below. */
bool cpu_has_rdrand(void);
bool cpu_has_rdseed(void);
/* CPUID leaf 1 EDX, as AT_HWCAP wants it. */
uint32_t cpu_hwcap(void);

#endif
