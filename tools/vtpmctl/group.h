/* SPDX-License-Identifier: Apache-2.0 */
/* A command that has commands of its own: `vtpmctl GROUP COMMAND`. */
#ifndef XVTPM_GROUP_H
#define XVTPM_GROUP_H

#include <stddef.h>
#include "tools/vtpmctl/vtpmctl.h"

/* An exit status. */
int group_main(const char *group, const struct vtpmctl_command *commands, size_t count,
	       int argc, char **argv);

#endif
