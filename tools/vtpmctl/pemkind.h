/* SPDX-License-Identifier: Apache-2.0 */
/* What a file of an operator's holds, in his words: to tell that two files were swapped. */
#ifndef XVTPM_PEMKIND_H
#define XVTPM_PEMKIND_H

#include <stddef.h>

/* "a certificate", "a private key", ... of the first PEM block; "no PEM" words when there is
 * none; never NULL. */
const char *pemkind_of(const char *text, size_t len);

#endif
