/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object for one TPM, made outside of it: what that TPM's TPM2_Import takes, and no other's.
 * It is encrypted to a storage key of P-256, SHA-256 and AES-128-CFB, the only one that opens
 * it (outer duplication wrapper; there is no inner one).
 * Source: TPM 2.0 Library, Part 1, clauses 22.4, 22.5 and 23.3; C.6.3.
 */
#ifndef XVTPM_LIB_TPM2_DUPLICATE_H
#define XVTPM_LIB_TPM2_DUPLICATE_H

#include "include/compiler.h"
#include "lib/tpm2/cmd.h"
#include "lib/tpm2/marshal.h"

#include <stddef.h>
#include <stdint.h>

#define TPM2_DUPLICATE_MAX    512 /* of a secret of TPM2_DUPLICATE_SECRET bytes */
#define TPM2_DUPLICATE_SECRET 32

/* The three parts of what tpm2_duplicate_make() wrote. */
struct tpm2_duplicate {
	struct tpm2_bytes public, duplicate, seed;
};

/* Writes TPM2B_PUBLIC | TPM2B_PRIVATE | TPM2B_ENCRYPTED_SECRET of a keyedHash object that has
 * the secret.  t: all but its unique; fixedTPM and fixedParent are not set.  -EIO; what does
 * not fit makes *out bad. */
int __must_check tpm2_duplicate_make(const struct tpm2_point *parent,
				     const struct tpm2_template *t,
				     const uint8_t secret[TPM2_DUPLICATE_SECRET],
				     struct cursor *out);
/* -EBADMSG: it has not these three parts. */
int __must_check tpm2_duplicate_parse(struct tpm2_bytes object, struct tpm2_duplicate *d);
/* The point of a storage key's TPMT_PUBLIC.  -EBADMSG: it is no such key. */
int __must_check tpm2_storage_point(struct tpm2_bytes public, struct tpm2_point *p);

#endif
