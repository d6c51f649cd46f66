/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deep quotes, the manager's part: this TPM's quote, which the manager makes with a key that
 * only the manager can use, the key's public part, the PCRs, certificates and event log; and,
 * from vtpmd, the quote of the host's TPM that binds all that.  The result is the text of
 * the file that vtpm-verify reads (docs/attestation.md), kept until the next one or the
 * TPM's next power-on.
 */
#ifndef XVTPM_ATTEST_H
#define XVTPM_ATTEST_H

#include "lib/error.h"
#include "stubdom/manager/eventlog.h"
#include "stubdom/manager/firmware.h"
#include "stubdom/manager/hostchan.h"

/*
 * The attestation key is a primary key of the platform hierarchy: it follows from the
 * platform's primary seed and one template, so it is the same for as long as the vTPM
 * exists, TPM2_Clear leaves it as it is, and no password of the guest's is needed for it.  To
 * make it, to use it, to disable its hierarchy (TPM2_HierarchyControl, Part 3, 24.2) and to
 * change its seed (TPM2_ChangePPS, 24.4) takes platformAuth, which the manager alone has
 * (firmware.h).  Where an HVM guest's firmware keeps platformAuth to itself, the key is one of
 * the null hierarchy, whose authorization is always the empty one (Part 1, 13.2): a new key at
 * each power-on.  Of both the guest could make quotes by itself;
 * the host's quote has the hash of the manager's.  It is in the TPM from one command of the manager's to the next, between
 * which the guest has none: there is no handle of it that a guest could use.
 */

#define ATTEST_PART_MAX 1024

#define ATTEST_NONCE_MIN 16
#define ATTEST_NONCE_MAX 64
#define ATTEST_USER_MAX	 64

struct attest {
	/* vtpmd, over the host channel: CHANNEL_QUOTE.  *reply is malloc()ed. */
	int (*host)(void *ctx, const uint8_t *request, size_t len, uint8_t **reply,
		    size_t *reply_len);
	void *ctx;
	const struct eventlog *log; /* of the guest's launch */
	const struct firmware *firmware;

	char *evidence; /* NULL: none; else len bytes, zero-terminated */
	size_t len;
};

struct attest_request {
	const uint8_t *nonce;
	size_t nonce_len;
	uint32_t pcrs; /* bit n: PCR n, in each bank */
	const uint8_t *user;
	size_t user_len; /* 0 to ATTEST_USER_MAX */
};

/* 0, and a->evidence is new; else a->evidence is NULL, *tpm_rc is the guest's response code and *e
 * what an operator is. */
int __must_check attest_run(struct attest *a, const struct attest_request *r,
			    uint32_t *tpm_rc, struct error *e);
void attest_clear(struct attest *a);

/* Answers EVENT_ATTEST.  Private to vtpm*.c. */

/* For `vtpmctl attest`: the guest has no part in it, and keeps what it may be reading. */
void vtpm_attest(struct hostchan *chan, const struct attest *guest);

#endif
