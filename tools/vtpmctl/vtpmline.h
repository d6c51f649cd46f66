/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of a guest's file that name its vTPMs, and whether the guest can have these.
 */
#ifndef XVTPM_VTPMCTL_VTPMLINE_H
#define XVTPM_VTPMCTL_VTPMLINE_H

#include "tools/vtpmctl/guestfile.h"

#include <jansson.h>

#define VTPMLINE_MAX 8 /* of one guest */

/* Who starts the guest. */
enum vtpmline_how {
	VTPMLINE_XL,	     /* `xl create` */
	VTPMLINE_MEASURED,   /* `vtpmctl launch` */
	VTPMLINE_UNMEASURED, /* `vtpmctl launch --unmeasured` */
};

struct vtpmline_guest {
	const char *file, *socket;
	enum vtpmline_how how;
	bool is_hvm;
};

/* Gives the file's lines of vTPMs, of which there are some, and all vTPMs of this host.
 * An exit status. */
int __must_check vtpmline_list(const struct vtpmline_guest *g, const struct guestfile *c,
			       XLU_ConfigList **lines, int *n, json_t **reply);
/* Finds the vTPM of one line among those of vtpmline_list(), when the guest can have it.
 * An exit status; a sentence was printed when it is not 0. */
int __must_check vtpmline_check(const struct vtpmline_guest *g, const json_t *vtpms,
				const char *text, const json_t **vtpm);

/* Gives the vTPM that a line's text names; NULL: none of these, or it is no such line.  Prints
 * nothing. */
const json_t *vtpmline_match(const json_t *vtpms, const char *text);
/* Whether it refuses guests that `xl create` starts. */
bool vtpmline_is_for_measured(const json_t *vtpm);

/* The line for a guest's file, vtpm=["backend=...,uuid=..."], of what vtpmd tells of a vTPM;
 * the caller frees it.  NULL: out of memory. */
char *vtpmline_text(const json_t *vtpm);
/* Prints it on standard error for a vTPM that was made; it is no loss when vtpmd does not
 * answer any more. */
void vtpmline_print(const char *socket, const char *name);

#endif
