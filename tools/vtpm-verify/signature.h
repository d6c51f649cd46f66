/* SPDX-License-Identifier: Apache-2.0 */
/* A TPMT_SIGNATURE: TPM 2.0 Library, Part 2, 11.3.4.  RSASSA, RSAPSS and ECDSA. */
#ifndef VERIFY_SIGNATURE_H
#define VERIFY_SIGNATURE_H

#include <stdbool.h>
#include "tools/vtpm-verify/public.h"

struct signature {
	uint16_t scheme;
	const struct tpmalg *hash;
	const uint8_t *first, *second; /* r and s; or the RSA signature and NULL */
	size_t first_len, second_len;
};

/* All of buf, which is pointed into.  -EBADMSG */
int __must_check signature_parse(const uint8_t *buf, size_t len, struct signature *s);
/* Whether it has the one form that there is of it (lib/ecdsa.h); of RSA there is one only. */
bool __must_check signature_one_form(const struct signature *s, const struct public *by);
/* -EACCES: it is not this key's over data, or by another scheme than the key's own. */
int __must_check signature_verify(const struct signature *s, const struct public *by,
				  const uint8_t *data, size_t len);

#endif
