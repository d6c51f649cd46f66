/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_VTPMCTL_HOST_QUOTE_H
#define XVTPM_VTPMCTL_HOST_QUOTE_H

#include "lib/hostconf.h"
#include "lib/tpm2/quote.h"
#include "tools/vtpmctl/tpm.h"

/*
 * The host's attestation key, and quotes with it: the host's half of a deep quote
 * (docs/attestation.md).  The key is a child of the storage key, ECC P-256, that signs
 * nothing but what the TPM itself has made ("restricted").  Verifiers know the host by its
 * Name, which is pinned in host.json.  So is a random authValue: who may open the TPM, and
 * has no more, signs nothing with the key, and cannot make it again, as it is random; and the
 * object, of which the key is put back when somebody removed it.
 */

/* In the endorsement range of the TCG's registry (2.3.1), with the storage key's number
 * and one more. */
#define TPMQUOTE_HANDLE 0x81015655u
/* What boots: firmware, boot loader, Secure Boot, kernel, and shim's PCR. */
#define TPMQUOTE_PCRS	   0x43ffu
#define TPMQUOTE_EXTRA_MAX 64

#define TPMQUOTE_PART_MAX 1024

struct tpmquote {
	struct tpmquote_part {
		uint8_t p[TPMQUOTE_PART_MAX];
		size_t n;
	} public, quote;		    /* TPMT_PUBLIC, TPMS_ATTEST */
	uint8_t signature[TPM2_ECDSA_P256]; /* TPMT_SIGNATURE, in its one form */
	uint32_t pcrs;			    /* SHA-256 bank; bit n: value[n] is there */
	uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
};

/* The key of the configuration that is replaced stays. */
void tpmquote_inherit(struct hostconf *h, const struct hostconf *old);
/* Both need the storage key (tpm_srk_pinned()).
 * Has the key of *h at its handle; makes one, and notes it in *h, if that has none. */
int __must_check tpmquote_make_key(struct tpm *t, struct hostconf *h, bool *made,
				   struct error *e);
/* -ENOENT, CAUSE_NOT_CONFIGURED: h has none; CAUSE_TPM_REPLACED: it is not that key */
int __must_check tpmquote(struct tpm *t, const struct hostconf *h, const uint8_t *extra,
			  size_t len, struct tpmquote *out, struct error *e);

#endif
