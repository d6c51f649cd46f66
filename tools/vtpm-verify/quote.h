/* SPDX-License-Identifier: Apache-2.0 */
/* A TPMS_ATTEST of TPM2_Quote: TPM 2.0 Library, Part 2, 10.12.8 and 10.12.1. */
#ifndef VERIFY_QUOTE_H
#define VERIFY_QUOTE_H

#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

#include <openssl/evp.h>
#include <stdbool.h>

/* A TPMT_PUBLIC of an asymmetric key: TPM 2.0 Library, Part 2, 12.2.4. */

/* The hash algorithms of TPMs and event logs (TCG Algorithm Registry, 6). */

#define TPMALG_SIZE_MAX 64

struct tpmalg {
	uint16_t id;
	const char *name; /* OpenSSL's, and ours in JSON: "sha256" */
	size_t size;
};

/* NULL: not one that we know. */
const struct tpmalg *tpmalg_find(uint16_t id);
const struct tpmalg *tpmalg_named(const char *name);
/* out has room for TPMALG_SIZE_MAX. -EIO */
int __must_check tpmalg_hash(const struct tpmalg *alg, const struct crypt_part *parts,
			     size_t count, uint8_t *out);

#define PUBLIC_NAME_MAX (2 + TPMALG_SIZE_MAX)

/* TPM_RH, Part 2, 7.4 */

/* TPMA_OBJECT, Part 2, 8.3 */
#define PUBLIC_AK_ATTRIBUTES                                        \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |           \
	 TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_RESTRICTED | \
	 TPMA_OBJECT_SIGN_ENCRYPT)
#define PUBLIC_EK_ATTRIBUTES                              \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | \
	 TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)

struct public
{
	uint16_t type;	      /* TPM2_ALG_RSA, TPM2_ALG_ECC */
	uint16_t scheme;      /* TPM2_ALG_NULL: any */
	uint16_t scheme_hash; /* 0: none */
	uint32_t attributes;
	const struct tpmalg *name_alg;
	EVP_PKEY *key;
	uint8_t name[PUBLIC_NAME_MAX];
	size_t name_len;
};

/* All of buf.  -EBADMSG: it is not one, or of a kind that is not known.  In either case
 * public_free() may follow. */
int __must_check public_parse(const uint8_t *buf, size_t len, struct public *p);
void public_free(struct public *p);
/* The Name that a signature shows as its signer's (Part 1, 16.3): of a primary key of that
 * hierarchy. */
int __must_check public_qualified(const struct public *p, uint32_t hierarchy,
				  uint8_t out[PUBLIC_NAME_MAX], size_t *len);
/* SHA-256 of the key's SubjectPublicKeyInfo, by which certificates know it. */
int __must_check public_spki_hash(const struct public *p, uint8_t out[CRYPT_HASH_SIZE]);

#define QUOTE_PCRS  24
#define QUOTE_BANKS 8

struct quote_part {
	const uint8_t *p;
	size_t n;
};

struct quote {
	struct quote_part signer; /* qualified Name */
	struct quote_part extra;  /* qualifyingData */
	size_t banks;
	struct {
		const struct tpmalg *alg;
		uint32_t pcrs; /* bit n: PCR n is in */
	} bank[QUOTE_BANKS];
	struct quote_part digest; /* of the PCRs */
};

/* All of buf; parts point into it.  -EBADMSG: it is no quote, or not made inside of a
 * TPM (TPM_GENERATED_VALUE). */
int __must_check quote_parse(const uint8_t *buf, size_t len, struct quote *q);

/* A TPMT_SIGNATURE: TPM 2.0 Library, Part 2, 11.3.4.  RSASSA, RSAPSS and ECDSA. */

struct signature {
	uint16_t scheme;
	const struct tpmalg *hash;
	const uint8_t *first, *second; /* r and s; or the RSA signature and NULL */
	size_t first_len, second_len;
};

/* All of buf, which is pointed into.  -EBADMSG */
int __must_check signature_parse(const uint8_t *buf, size_t len, struct signature *s);
/* Whether it has the one form that there is of it (lib/tpmpub.h); of RSA there is one only. */
bool __must_check signature_one_form(const struct signature *s, const struct public *by);
/* -EACCES: it is not this key's over data, or by another scheme than the key's own. */
int __must_check signature_verify(const struct signature *s, const struct public *by,
				  const uint8_t *data, size_t len);

#endif
