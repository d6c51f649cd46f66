/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a backup is of the vTPM that is meant.  Anybody can make a backup of a vTPM of his
 * own that opens with a recovery key, since that needs its public half only; the endorsement
 * keys are what tells one vTPM from another.
 */
#ifndef XVTPM_EXPECTEK_H
#define XVTPM_EXPECTEK_H

#include "lib/envelope.h"
#include "tools/vtpmctl/args.h"

#define EXPECTEK_OPTION(type, field)                                                     \
	{                                                                                \
		.name = "expect-ek", .kind = ARGS_TEXT, .offset = offsetof(type, field), \
		.value = "NAME", .help = "refuse other vTPMs than the one with this EK", \
	}

/* Prints on stderr the Names of the endorsement keys that the header names.  expected: a
 * TPM Name in hex, which one of them has to be, or NULL.  -EINVAL: it is no Name; -EKEYREJECTED
 * (CAUSE_WRONG_VTPM): they are others. */
int __must_check expectek_check(const struct envelope_desc *desc, const char *expected,
				struct error *e);

#endif
