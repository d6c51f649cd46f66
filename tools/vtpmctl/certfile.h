/* SPDX-License-Identifier: Apache-2.0 */
/* A file of certificates from a CA, and where each belongs in a TPM. */
#ifndef XVTPM_CERTFILE_H
#define XVTPM_CERTFILE_H

#include <stddef.h>
#include <stdint.h>
#include "tools/vtpmctl/holder.h"
#include "lib/error.h"

/* PEM, any number, or one in DER.  Those that are of a key of h, and platform
 * certificates, are added to certs, others are passed over; none at all, and -EINVAL with
 * the reason. */
int __must_check certfile_take(const uint8_t *file, size_t len, const struct holder *h,
			       json_t *certs, struct error *e);

#endif
