/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of others (a manager, a KMS, a certificate, a file, another program) on its way to
 * a terminal, the journal, the audit log or JSON: printable UTF-8.  It is made so where
 * it comes in; what is not printable becomes '?'.
 *
 * Not printable are bytes that are no UTF-8 (RFC 3629), the control characters (with
 * which a terminal is told what to do), line and paragraph separators, characters without
 * width, and those that change the direction of what follows.
 */
#ifndef XVTPM_LIB_TEXT_H
#define XVTPM_LIB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include "compiler.h"

/* Writes at most room - 1 bytes and a zero; a character that does not fit as a whole, and
 * all behind it, is left out. out may be in: it never gets longer. */
void text_clean(char *out, size_t room, const void *in, size_t len);
/* Whether text_clean() would change nothing. */
bool __must_check text_is_clean(const void *in, size_t len);

#endif
