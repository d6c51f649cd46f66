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

#define EVIDENCE_PROFILE "tag:xen-vtpm,2026:deep-quote-2"
#define EVIDENCE_MAX	 (1024 * 1024)

struct evidence_bytes {
	uint8_t *p; /* NULL: absent */
	size_t n;
};

struct evidence_bank {
	const struct tpm2_hash *alg;
	uint32_t pcrs; /* bit n: value[n] is there */
	uint8_t value[TPM2_PCRS][TPM2_HASH_MAX];
};

/* What one TPM, the virtual one or the host's, says. */
struct evidence_side {
	struct evidence_bytes ak, quote,
		signature;	   /* TPMT_PUBLIC, TPMS_ATTEST, TPMT_SIGNATURE */
	struct evidence_bytes log; /* may be absent */
	size_t banks;
	struct evidence_bank bank[TPM2_ATTEST_BANKS];
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

/*
 * The TCG's crypto-agile event log, and the PCRs that it leads to: TCG PC Client
 * Platform Firmware Profile 1.05, 10.  Little-endian, as nothing else of the TCG's.
 */

#define EVENTLOG_PCRS	   24
#define EVENTLOG_BANKS	   8
#define EVENTLOG_EVENTS	   8192
#define EVENTLOG_NO_ACTION 3

struct eventlog {
	size_t banks;
	const struct tpm2_hash *alg[EVENTLOG_BANKS];
	uint32_t pcrs; /* bit n: PCR n is extended by an event */
	uint8_t value[EVENTLOG_BANKS][EVENTLOG_PCRS][TPM2_HASH_MAX];
	size_t first; /* where the events begin, after the header */
};

struct eventlog_event {
	uint32_t pcr, type;
	const uint8_t *digest[EVENTLOG_BANKS]; /* by eventlog.alg */
	const uint8_t *data;
	size_t len;
};

/* All of buf.  -EBADMSG: it does not parse, or does not say a digest for each of its
 * algorithms in each event; then nothing of *log may be used. */
int __must_check eventlog_replay(const uint8_t *buf, size_t len, struct eventlog *log);
/* The next event of a log that was replayed; *at starts at log->first.  false: the end */
bool __must_check eventlog_next(const struct eventlog *log, const uint8_t *buf,
				size_t len, size_t *at, struct eventlog_event *e);
/* NULL: the log has no such bank. */
const uint8_t *eventlog_value(const struct eventlog *log, const struct tpm2_hash *alg,
			      unsigned int pcr);
/* What people may call it: its text, or its type; nothing in it but printable ASCII. */
void eventlog_name(const struct eventlog_event *e, char *out, size_t size);

#endif
