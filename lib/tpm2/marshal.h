/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structures of TPM 2.0 that more than one command has, as bytes and as we use them.
 * Source: TPM 2.0 Library, Part 2.
 */
#ifndef XVTPM_LIB_TPM2_MARSHAL_H
#define XVTPM_LIB_TPM2_MARSHAL_H

#include "include/compiler.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The content of a TPM2B, inside of a message or a stored object. */
struct tpm2_bytes {
	const uint8_t *p;
	size_t n;
};

struct tpm2_bytes tpm2_get_2b(struct cursor *c);
void tpm2_put_2b(struct cursor *c, struct tpm2_bytes b);

#define TPM2_NAME_SIZE 34 /* of a Name with SHA-256 */

/* The Name of a TPMT_PUBLIC with nameAlg SHA-256 (Part 1, 16).  -EINVAL: it has another
 * nameAlg. */
int __must_check tpm2_name(struct tpm2_bytes public, uint8_t name[TPM2_NAME_SIZE]);

/* The hash algorithms of TPMs and event logs (TCG Algorithm Registry, 6).  The first
 * TPM2_BANKS, SHA-1, SHA-256, SHA-384 and SHA-512, are those that a TPM may have PCR banks
 * of: bit n of a mask of banks, here and in vtpm.json, is the n-th. */
#define TPM2_BANKS    4
#define TPM2_HASH_MAX 64
#define TPM2_NAME_MAX (2 + TPM2_HASH_MAX) /* nameAlg, and a digest */

struct tpm2_hash {
	uint16_t id, size;
	const char *name; /* OpenSSL's, and ours in JSON: "sha256" */
};

extern const struct tpm2_hash tpm2_hashes[];
/* NULL: not one that we know. */
const struct tpm2_hash *tpm2_hash_of(uint16_t id);
const struct tpm2_hash *tpm2_hash_named(const char *name);
/* out has room for TPM2_HASH_MAX. -EIO */
int __must_check tpm2_digest(const struct tpm2_hash *hash, const struct crypt_part *parts,
			     size_t count, uint8_t *out);

#define TPM2_PCRS 24 /* of a PC Client's TPM */

/* TPMS_PCR_SELECTION, 10.6.2; bit n: PCR n.  *alg is a TPM_ALG_ID. */
void tpm2_put_selection(struct cursor *c, uint16_t alg, uint32_t pcrs);
uint32_t tpm2_get_selection(struct cursor *c, uint16_t *alg);

/* The public part of an object that is to be made, 12.2.4 */
struct tpm2_template {
	uint16_t type, name_alg;
	uint32_t attributes; /* TPMA_OBJECT */
	struct tpm2_bytes policy;
	uint16_t aes_bits;	/* 0: no symmetric cipher; else CFB */
	uint16_t ecdsa, hmac;	/* the scheme's hash; both 0: no scheme */
	uint16_t size;		/* RSA: bits; ECC: curve */
	struct tpm2_bytes x, y; /* unique; RSA, KEYEDHASH: x alone */
};

/* TPMT_PUBLIC, and the same in a TPM2B_PUBLIC */
void tpm2_put_template(struct cursor *w, const struct tpm2_template *t);
void tpm2_put_public(struct cursor *w, const struct tpm2_template *t);

/* The endorsement keys that everybody uses.  Source: TCG EK Credential Profile for TPM Family
 * 2.0, version 2.5, B.3 (L-1, L-2) and B.4 (H-3) */
enum tpm2_ek { TPM2_EK_P256, TPM2_EK_RSA2048, TPM2_EK_P384, TPM2_EKS };

extern const struct tpm2_template tpm2_eks[TPM2_EKS];

/* The attestation key, of the platform hierarchy in a vTPM and under the storage key in the
 * host's TPM.  Each change of a byte makes another key of every vTPM. */
extern const struct tpm2_template tpm2_attestation_key;

/* Where the certificates are: the same, 2.2.1.4 and 2.2.1.5; the index of the platform
 * certificate is the one that swtpm_setup gives. */
enum tpm2_certificate {
	TPM2_CERT_RSA2048,
	TPM2_CERT_P256,
	TPM2_CERT_P384,
	TPM2_CERT_EKS, /* so many are of endorsement keys */
	TPM2_CERT_PLATFORM = TPM2_CERT_EKS,
	TPM2_CERTS
};

extern const struct tpm2_cert {
	uint32_t index;
	const char *hex; /* the index, in files' names and in JSON */
	const char *key; /* tpm2_public_word() of its key; NULL: of none */
} tpm2_certs[TPM2_CERTS];

#endif
