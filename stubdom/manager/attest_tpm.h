/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the manager asks its own TPM for a deep quote: an attestation key below an
 * endorsement key, a quote with it, the PCRs, and the certificates in its NV memory.
 * As command_run(): -EREMOTEIO, and c->rc tells why the TPM refused.
 */
#ifndef XVTPM_ATTEST_TPM_H
#define XVTPM_ATTEST_TPM_H

#include "command.h"

#define ATTEST_BANKS	4
#define ATTEST_PCRS	24
#define ATTEST_PART_MAX 1024

struct attest_bytes {
	uint8_t p[ATTEST_PART_MAX];
	size_t n;
};

/* A key, and what it signed. */
struct attest_quote {
	struct attest_bytes public; /* TPMT_PUBLIC */
	struct attest_bytes name;
	struct attest_bytes quote;     /* TPMS_ATTEST */
	struct attest_bytes signature; /* TPMT_SIGNATURE */
};

struct attest_bank {
	uint16_t alg, size;
	const char *name; /* "sha256" */
	uint32_t pcrs;	  /* that this TPM has */
};

struct attest_banks {
	size_t n;
	struct attest_bank bank[ATTEST_BANKS];
};

/* The banks that this TPM has, with those of the PCRs that are in pcrs. */
int __must_check attest_tpm_banks(struct command *c, uint32_t pcrs,
				  struct attest_banks *out);
/* One value; c->out is at the digest, of the bank's size. */
int __must_check attest_tpm_pcr(struct command *c, const struct attest_bank *b,
				unsigned int pcr);
/* Makes a key below the P-256 endorsement key, quotes with it, and forgets it.  It needs
 * the empty endorsementAuth, and two free places for objects. */
int __must_check attest_tpm_quote(struct command *c, const struct attest_banks *banks,
				  const uint8_t *nonce, size_t len,
				  struct attest_quote *out);
/* The public part and Name of the key at a handle.  -EPERM: it may sign other things than
 * what this TPM made, or leave it. */
int __must_check attest_tpm_vouch(struct command *c, uint32_t handle,
				  struct attest_quote *out);
/* The NV index's content, malloc()ed; NULL: there is none that everybody can read. */
uint8_t *attest_tpm_nv(struct command *c, uint32_t index, size_t *len);

#endif
