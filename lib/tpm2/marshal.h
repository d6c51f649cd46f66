/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structures of TPM 2.0 that more than one command has, as bytes and as we use them.
 * Source: TPM 2.0 Library, Part 2.
 */
#ifndef XVTPM_LIB_TPM2_MARSHAL_H
#define XVTPM_LIB_TPM2_MARSHAL_H

#include "include/compiler.h"
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

/* The Name of a TPMT_PUBLIC with nameAlg SHA-256 (Part 1, 16); TPM2_NAME_SIZE bytes.
 * -EINVAL: it has another nameAlg. */
int __must_check tpm2_name(struct tpm2_bytes public, uint8_t *name);

/* The hash algorithms that TPMs have PCR banks of (TCG Algorithm Registry, 6): bit n of a
 * mask of banks, here and in host.json, is the n-th. */
#define TPM2_BANKS    4
#define TPM2_HASH_MAX 64

struct tpm2_hash {
	uint16_t id, size;
	const char *name; /* OpenSSL's, and ours in JSON: "sha256" */
};

/* SHA-1, SHA-256, SHA-384, SHA-512 */
extern const struct tpm2_hash tpm2_banks[TPM2_BANKS];
/* -1: none of these. */
int tpm2_bank_of(uint16_t id);

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
	uint16_t ecdsa;		/* the scheme's hash; 0: no scheme */
	uint16_t size;		/* RSA: bits; ECC: curve */
	struct tpm2_bytes x, y; /* unique; RSA, KEYEDHASH: x alone */
};

/* TPMT_PUBLIC, and the same in a TPM2B_PUBLIC */
void tpm2_put_template(struct cursor *w, const struct tpm2_template *t);
void tpm2_put_public(struct cursor *w, const struct tpm2_template *t);

/* The endorsement keys that everybody uses, and where their certificates are.  Source: TCG
 * EK Credential Profile for TPM Family 2.0, version 2.5: B.3 (L-1, L-2), B.4 (H-3), 2.2.1.4,
 * 2.2.1.5 */
enum tpm2_ek { TPM2_EK_P256, TPM2_EK_RSA2048, TPM2_EK_P384, TPM2_EKS };

extern const struct tpm2_ek_kind {
	struct tpm2_template template;
	uint32_t certificate; /* NV index */
} tpm2_eks[TPM2_EKS];

#endif
