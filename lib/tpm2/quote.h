/* SPDX-License-Identifier: Apache-2.0 */
/* What a TPM signed: TPMS_ATTEST of TPM2_Quote (TPM 2.0 Library, Part 2, 10.12.8 and
 * 10.12.1), TPMT_SIGNATURE (11.3.4), and the key that did. */
#ifndef XVTPM_LIB_TPM2_QUOTE_H
#define XVTPM_LIB_TPM2_QUOTE_H

#include "lib/tpm2/public.h"

#include <openssl/evp.h>
#include <stdbool.h>

/* TPMA_OBJECT, Part 2, 8.3 */
#define TPM2_AK_ATTRIBUTES                                          \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |           \
	 TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_RESTRICTED | \
	 TPMA_OBJECT_SIGN_ENCRYPT)
#define TPM2_EK_ATTRIBUTES                                \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | \
	 TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)

struct tpm2_key {
	struct tpm2_public area; /* points into what was parsed */
	EVP_PKEY *key;
	uint8_t name[TPM2_NAME_MAX];
	size_t name_len;
};

/* All of buf, a TPMT_PUBLIC.  -EBADMSG: it is not one, or of a kind that is not known.  In
 * either case tpm2_key_free() may follow. */
int __must_check tpm2_key_parse(const uint8_t *buf, size_t len, struct tpm2_key *k);
void tpm2_key_free(struct tpm2_key *k);

#define TPM2_ATTEST_BANKS 8

struct tpm2_attest {
	struct tpm2_bytes signer; /* qualified Name */
	struct tpm2_bytes extra;  /* qualifyingData */
	size_t banks;
	struct {
		const struct tpm2_hash *alg;
		uint32_t pcrs; /* bit n: PCR n is in */
	} bank[TPM2_ATTEST_BANKS];
	struct tpm2_bytes digest; /* of the PCRs */
};

/* All of buf; parts point into it.  -EBADMSG: it is no quote, or not made inside of a
 * TPM (TPM_GENERATED_VALUE). */
int __must_check tpm2_attest_parse(const uint8_t *buf, size_t len, struct tpm2_attest *q);

/* PCR values of one bank, as who asks for a quote reads them. */
struct tpm2_pcr_bank {
	const struct tpm2_hash *alg;
	uint32_t pcrs; /* bit n: value[n] is there */
	uint8_t value[TPM2_PCRS][TPM2_HASH_MAX];
};

/* Whether the values, in the quote's order, are what it has the digest of (Part 3, 18.4), by
 * the hash of its signature; none more and none less than it names. */
bool __must_check tpm2_attest_fits(const struct tpm2_attest *q,
				   const struct tpm2_hash *hash,
				   const struct tpm2_pcr_bank *bank, size_t banks);
/* Whether a key signs only what its TPM made, and never left that: its attributes. */
bool __must_check tpm2_key_attests(const struct tpm2_key *k);

/* A TPMT_SIGNATURE: RSASSA, RSAPSS and ECDSA. */
struct tpm2_signature {
	uint16_t scheme;
	const struct tpm2_hash *hash;
	struct tpm2_bytes first, second; /* r and s; or the RSA signature alone */
};

/* All of buf, which is pointed into.  -EBADMSG */
int __must_check tpm2_signature_parse(const uint8_t *buf, size_t len,
				      struct tpm2_signature *s);
/* Whether it has the one form that there is of it (below); of RSA there is one only. */
bool __must_check tpm2_signature_one_form(const struct tpm2_signature *s,
					  const struct tpm2_key *by);
/* -EACCES: it is not this key's over data, or by another scheme than the key's own. */
int __must_check tpm2_signature_verify(const struct tpm2_signature *s,
				       const struct tpm2_key *by, const uint8_t *data,
				       size_t len);

/*
 * Of an ECDSA signature (r, s), (r, n - s) is one too, by the same key over the same data,
 * and a TPM gives either; integers may come with leading zeroes or without.  Evidence has
 * one form: r and s of the curve's size, and s the smaller of the two.
 */

#define TPM2_ECDSA_P256 72 /* a TPMT_SIGNATURE with two integers of 32 bytes */

/* Brings a TPMT_SIGNATURE (TPM 2.0, Part 2, 11.3.4) of a P-256 key into that form.
 * -EBADMSG: it is none, or an integer is not in 1 to n - 1. */
int __must_check tpm2_ecdsa_p256(const uint8_t *signature, size_t len,
				 uint8_t out[TPM2_ECDSA_P256]);

#endif
