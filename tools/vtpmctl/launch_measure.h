/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a launch measures, and into which PCR: docs/launch.md says why.
 *
 *   PCR 1   each line of the config that says what the guest's machine is
 *   0 to 7  a separator: the machine is complete, what follows is what it boots
 *   PCR 4   the kernel
 *   PCR 9   the initial RAM disk, or that there is none
 *   PCR 12  the kernel's command line
 */
#ifndef XVTPM_LAUNCH_MEASURE_H
#define XVTPM_LAUNCH_MEASURE_H

#include <libxlutil.h>
#include "lib/cursor.h"
#include "tools/vtpmctl/launch_image.h"

struct launch_measured {
	XLU_Config *cfg;
	const char *kernel; /* the file's name */
	const struct launch_image *kernel_image;
	const char *ramdisk; /* NULL: none */
	const struct launch_image *ramdisk_image;
	const char *cmdline; /* "": none */
};

/* Writes the list.  -EIO: OpenSSL failed; -E2BIG: something is too long. */
int __must_check launch_measure(const struct launch_measured *m, struct cursor *list);

#endif
