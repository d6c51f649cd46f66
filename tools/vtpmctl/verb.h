/* SPDX-License-Identifier: Apache-2.0 */
/* A command that names a vTPM, asks vtpmd for one thing, and prints nothing. */
#ifndef XVTPM_VERB_H
#define XVTPM_VERB_H

#include "tools/vtpmctl/args.h"

struct verb {
	const char *op;	   /* what vtpmd calls it */
	const char *usage; /* as in struct args_command */
	const char *about;
};

/* An exit status. */
int verb_main(const struct verb *v, int argc, char **argv);

#endif
