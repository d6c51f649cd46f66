/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's xl file for a measured launch: read once, parsed by xl's own parser, and
 * made into the text that xl gets, in which kernel and ramdisk are descriptors.
 */
#ifndef XVTPM_LAUNCH_CONFIG_H
#define XVTPM_LAUNCH_CONFIG_H

#include <stdbool.h>
#include <libxlutil.h>
#include "compiler.h"

struct launch_config {
	XLU_Config *cfg;
	char *text; /* of the file; after launch_config_finish() the one for xl */
	size_t len;
	/* of launch_config_measurable() */
	const char *kernel, *ramdisk; /* ramdisk NULL: none */
	char *cmdline;		      /* "": none */
	char uuid[37];		      /* of the guest's domain */
	bool own_uuid;		      /* made here: the file has none */
};

/* An exit status; a sentence was printed when it is not 0. */
int __must_check launch_config_read(const char *file, struct launch_config *c);
/* Whether all that the guest boots can be measured; else a sentence was printed. */
bool __must_check launch_config_measurable(struct launch_config *c, const char *file);
/* -EINVAL: xl would not read it as it is meant; -ENOMEM.  ramdisk -1: none. */
int __must_check launch_config_finish(struct launch_config *c, int kernel, int ramdisk);
void launch_config_free(struct launch_config *c);

#endif
