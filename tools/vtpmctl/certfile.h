/* SPDX-License-Identifier: Apache-2.0 */
/* A file of certificates from a CA, and where each belongs in a TPM. */
#ifndef XVTPM_CERTFILE_H
#define XVTPM_CERTFILE_H

#include "lib/error.h"
#include "tools/vtpmctl/cert.h"

#include <stddef.h>
#include <stdint.h>

/* PEM, any number, or one in DER.  Those that are of a key of h, and platform
 * certificates, are added to certs, others are passed over; none at all, and -EINVAL with
 * the reason. */
int __must_check certfile_take(const uint8_t *file, size_t len, const struct holder *h,
			       json_t *certs, struct error *e);

/* For certificates to be installed: adds one.  -EFBIG */
int __must_check holder_add(json_t *certs, const char *index, const uint8_t *der,
			    size_t len);
int __must_check holder_add_x509(json_t *certs, const char *index, X509 *cert);

#endif
