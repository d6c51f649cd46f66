/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that `vtpmctl attest` and vtpm-attest write: one JSON object, shaped as the
 * claims set of an EAT (RFC 9711) with two submodules; docs/attestation.md has its
 * members.  Byte strings are base64url.  Nothing in it is trusted for being there.
 *
 * It has one form: no space, no member that is not known, none twice, all in one order.  So there are no
 * two files that say the same, and no byte that is not checked.
 */
#ifndef VERIFY_EVIDENCE_H
#define VERIFY_EVIDENCE_H

#include "lib/binding.h"
#include "lib/cursor.h"
#include "lib/tpm2/quote.h"
#include "tools/vtpm-verify/eventlog.h"

#define EVIDENCE_PROFILE "tag:xen-vtpm,2026:deep-quote-2"
#define EVIDENCE_MAX	 (1024 * 1024)

struct evidence_bytes {
	uint8_t *p; /* NULL: absent */
	size_t n;
};

/* What one TPM, the virtual one or the host's, says. */
struct evidence_side {
	struct evidence_bytes ak, quote,
		signature;	   /* TPMT_PUBLIC, TPMS_ATTEST, TPMT_SIGNATURE */
	struct evidence_bytes log; /* may be absent */
	/* The guest handed it over: the log of its own firmware, which the host's quote does
	 * not vouch for.  Else the host does. */
	bool log_is_guests;
	/* Beside a log that the guest handed over: which firmware its launch gave to it, for
	 * which the host vouches (lib/measure.h); may be absent. */
	struct evidence_bytes record;
	size_t banks;
	struct tpm2_pcr_bank bank[TPM2_ATTEST_BANKS];
};

struct evidence {
	struct evidence_bytes nonce;
	struct evidence_bytes user; /* user data; may be absent */
	size_t keys;
	struct evidence_bytes ek[BINDING_KEYS_MAX]; /* TPMT_PUBLICs, from the host */
	size_t certificates; /* of them, from the vTPM; may be none */
	struct evidence_bytes certificate[BINDING_KEYS_MAX];
	struct evidence_side vtpm, host;
	struct evidence_bytes binding;
};

/* text ends with a zero.  -EBADMSG, and nothing is to be freed; -ENOMEM the same. */
int __must_check evidence_parse(const char *text, struct evidence **out);
void evidence_free(struct evidence *e);

#endif
