/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public part of a TPM's RSA or ECC key, a TPMT_PUBLIC: what it says, its Name, and
 * the same key as OpenSSL has it.  Source: TPM 2.0 Library, Part 2, 12.2.
 */
#ifndef XVTPM_LIB_TPMPUB_H
#define XVTPM_LIB_TPMPUB_H

#include "include/compiler.h"
#include "lib/tpm2/types.h"

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

/* A Name: the hash's algorithm, and the digest. */
#define TPMPUB_NAME_MAX (2 + 64)

struct tpmpub {
	const uint8_t *whole; /* all that was parsed */
	size_t len;
	uint16_t type, name_alg;
	uint32_t attributes; /* TPMA_OBJECT */
	const uint8_t *policy;
	uint16_t policy_len;
	uint16_t symmetric;	      /* TPM2_ALG_NULL: none */
	uint16_t scheme, scheme_hash; /* TPM2_ALG_NULL: none */
	uint16_t size;		      /* RSA: bits; ECC: TPM_ECC_CURVE */
	uint32_t exponent;	      /* RSA; 0: 65537 */
	const uint8_t *x, *y;	      /* RSA: x is the modulus */
	uint16_t x_len, y_len;
};

/* p points into buf.  -EBADMSG: it is no such key, or one of another kind. */
int __must_check tpmpub_parse(const uint8_t *buf, size_t len, struct tpmpub *p);
/* "rsa2048", "ecc-p256", ...; NULL: none that is known here. */
const char *tpmpub_word(const struct tpmpub *p);
/* Part 1, 16.  -ENOTSUP: an unknown nameAlg. */
int __must_check tpmpub_name(const struct tpmpub *p, uint8_t name[TPMPUB_NAME_MAX],
			     size_t *len);
/* NULL: its numbers make no key. */
EVP_PKEY *tpmpub_key(const struct tpmpub *p);
/* SHA-256 of its SubjectPublicKeyInfo. -EBADMSG */
int __must_check tpmpub_digest(const struct tpmpub *p, uint8_t digest[32]);

/*
 * Of an ECDSA signature (r, s), (r, n - s) is one too, by the same key over the same data,
 * and a TPM gives either; integers may come with leading zeroes or without.  Evidence has
 * one form: r and s of the curve's size, and s the smaller of the two.
 */

#define ECDSA_P256 72 /* a TPMT_SIGNATURE with two integers of 32 bytes */

/* Brings a TPMT_SIGNATURE (TPM 2.0, Part 2, 11.3.4) of a P-256 key into that form.
 * -EBADMSG: it is none, or an integer is not in 1 to n - 1. */
int __must_check ecdsa_p256(const uint8_t *signature, size_t len,
			    uint8_t out[ECDSA_P256]);

#endif
