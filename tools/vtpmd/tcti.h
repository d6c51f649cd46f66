/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VTPMD_TCTI_H
#define VTPMD_TCTI_H

#include "tools/vtpmd/vtpmd.h"
#include "compiler.h"

/* How libtss2 calls what --tpm names: it has no name of its own for a raw stream.
 * -ENAMETOOLONG */
int __must_check tcti_name(const struct vtpmd *d, char *out, size_t room);

#endif
