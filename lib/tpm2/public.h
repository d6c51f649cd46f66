/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public part of a TPM's RSA or ECC key, a TPMT_PUBLIC: what it says, its Name, and
 * the same key as OpenSSL has it.  Source: TPM 2.0 Library, Part 2, 12.2.
 */
#ifndef XVTPM_LIB_TPM2_PUBLIC_H
#define XVTPM_LIB_TPM2_PUBLIC_H

#include "include/compiler.h"
#include "lib/tpm2/marshal.h"

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

struct tpm2_public {
	struct tpm2_bytes whole; /* all that was parsed */
	uint16_t type, name_alg;
	uint32_t attributes; /* TPMA_OBJECT */
	struct tpm2_bytes policy;
	uint16_t symmetric;	      /* TPM2_ALG_NULL: none */
	uint16_t scheme, scheme_hash; /* TPM2_ALG_NULL: none */
	uint16_t size;		      /* RSA: bits; ECC: TPM_ECC_CURVE */
	uint32_t exponent;	      /* RSA; 0: 65537 */
	struct tpm2_bytes x, y;	      /* RSA: x is the modulus */
};

/* p points into buf.  -EBADMSG: it is no such key, or one of another kind. */
int __must_check tpm2_public_parse(const uint8_t *buf, size_t len, struct tpm2_public *p);
/* "rsa2048", "ecc-p256", ...; NULL: none that is known here. */
const char *tpm2_public_word(const struct tpm2_public *p);
/* Part 1, 16.  -ENOTSUP: an unknown nameAlg, or SHA-1. */
int __must_check tpm2_public_name(const struct tpm2_public *p,
				  uint8_t name[TPM2_NAME_MAX], size_t *len);
/* The Name that a signature shows as its signer's (Part 1, 16.3): of a primary key of that
 * hierarchy. */
int __must_check tpm2_public_qualified(const struct tpm2_public *p, uint32_t hierarchy,
				       uint8_t name[TPM2_NAME_MAX], size_t *len);
/* NULL: its numbers make no key. */
EVP_PKEY *tpm2_public_key(const struct tpm2_public *p);
/* SHA-256 of its SubjectPublicKeyInfo. -EBADMSG */
int __must_check tpm2_public_digest(const struct tpm2_public *p, uint8_t digest[32]);

#endif
