/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the manager asks its own TPM for a deep quote: the attestation key, a quote with it,
 * the PCRs, and the certificates in its NV memory.
 * As command_run(): -EREMOTEIO, and c->rc tells why the TPM refused.
 *
 * The attestation key is a primary key of the platform hierarchy: it follows from the
 * platform's primary seed and one template, so it is the same for as long as the vTPM
 * exists, TPM2_Clear leaves it as it is, and no password of the guest's is needed for it.  To
 * make it, to use it, to disable its hierarchy (TPM2_HierarchyControl, Part 3, 24.2) and to
 * change its seed (TPM2_ChangePPS, 24.4) takes platformAuth, which the manager alone has
 * (firmware.h).  It is in the TPM from one command of the manager's to the next, between
 * which the guest has none: there is no handle of it that a guest could use.
 */
#ifndef XVTPM_ATTEST_TPM_H
#define XVTPM_ATTEST_TPM_H

#include "command.h"
#include "firmware.h"

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
/* Makes the attestation key, quotes these PCRs with it, and flushes it.  It needs one free
 * place for an object. */
int __must_check attest_tpm_quote(struct command *c, const struct firmware *f,
				  const struct attest_banks *banks, const uint8_t *nonce,
				  size_t len, struct attest_quote *out);
/* The NV index's content, malloc()ed; NULL: there is none that everybody can read. */
uint8_t *attest_tpm_nv(struct command *c, uint32_t index, size_t *len);

#endif
