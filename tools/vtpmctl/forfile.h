/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vtpm line in a guest's file: `vtpmctl create --for FILE`.  The file is replaced as a
 * whole, with its owner, mode and attributes; a link is followed.
 */
#ifndef XVTPM_VTPMCTL_FORFILE_H
#define XVTPM_VTPMCTL_FORFILE_H

#include "include/compiler.h"

#include <jansson.h>

/* Whether a line can be added, before there is a vTPM: xl reads the file, and it has no vtpm
 * line, or one that can be the vTPM's of this name.  An exit status; a sentence was printed
 * when it is not 0. */
int __must_check forfile_check(const char *file, const char *name);
/* Adds the line of vtpm, as vtpmd tells of it, unless the file has it.  An exit status; a
 * sentence was printed in any case. */
int __must_check forfile_add(const char *file, const json_t *vtpm);

#endif
