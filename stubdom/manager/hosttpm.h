/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small TPM 2.0 client for the host's physical TPM, over a transport that is
 * not trusted (the relay in vtpmd, the bus): every secret crosses it inside a
 * session that is salted to the pinned storage key, with parameter encryption.
 *
 * What it seals opens in a boot state (PCRs) that the host policy key has signed for this
 * purpose and not revoked, and perhaps with an authValue.  Source: TPM 2.0 Library, Part 1
 * clauses 11.4.10, 19.6, 19.7, 21 and Part 3.
 */
#ifndef XVTPM_HOSTTPM_H
#define XVTPM_HOSTTPM_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "include/channel.h"
#include "lib/error.h"
#include "lib/tpm2/commands.h"

#define HOSTTPM_OBJECT_MAX 1024 /* TPM2B_PUBLIC | TPM2B_PRIVATE, marshalled */

struct hosttpm_config {
	uint32_t srk_handle;
	uint8_t srk_name
		[TPM2_NAME_SIZE];  /* pinned; compared with what ReadPublic gives */
	const uint8_t *policy_key; /* TPMT_PUBLIC */
	size_t policy_key_len;
	/* approvals in the form of include/channel.h */
	const uint8_t *approval[16];
	size_t approval_len[16];
	size_t approvals;
	uint8_t counter_name[TPM2_NAME_SIZE]; /* pinned, as approvals have it */
	uint8_t auth[TPM2_AUTH_SIZE];	      /* of the counter */
};

/* Errors: -ENODEV etc. with CAUSE_TPM_UNREACHABLE, -EXDEV with CAUSE_TPM_REPLACED. */
int __must_check hosttpm_random(const struct tpm2_transport *t, uint8_t *out, size_t len,
				struct error *e);
/* Seals len <= 128 bytes for a purpose; auth NULL: policy is PolicyAuthorize alone, else
 * PolicyAuthorize and PolicyAuthValue with this 32-byte authValue. noDA. */
int __must_check hosttpm_seal(const struct hosttpm_config *c,
			      const struct tpm2_transport *t,
			      enum approval_purpose purpose, const uint8_t *auth,
			      const uint8_t *secret, size_t len, uint8_t *object,
			      size_t *object_len, struct error *e);
/* The reverse.  CAUSE_PCRS_CHANGED names the PCRs that differ from the nearest
 * approval; CAUSE_TPM_REFUSED carries the TPM's code in hex and in words. */
int __must_check hosttpm_unseal(const struct hosttpm_config *c,
				const struct tpm2_transport *t,
				enum approval_purpose purpose, const uint8_t *auth,
				const uint8_t *object, size_t object_len, uint8_t *secret,
				size_t *len, struct error *e);

/*
 * What these two are made of, for those who do something else with the host's TPM.
 *
 * hosttpm_open -> hosttpm_start, commands of lib/tpm2/commands.h on h->cmd, hosttpm_end ->
 * hosttpm_close, always.
 */
struct hosttpm {
	const struct hosttpm_config *c;
	struct tpm2_cmd cmd;
	struct tpm2_point srk;
};

/* Reads the storage key: refuses any but the pinned one (-EXDEV). */
int __must_check hosttpm_open(struct hosttpm *h, const struct hosttpm_config *c,
			      const struct tpm2_transport *t, struct error *e);
void hosttpm_close(struct hosttpm *h);
/* Says why a command failed with rc, which it returns; 0 stays 0. */
int __must_check hosttpm_result(const struct tpm2_cmd *c, int rc, struct error *e);
/* Whether what failed is to be begun anew, from hosttpm_open() on, which it has slept for: the
 * TPM had no memory for a further object or session beside what this program held.  *e is none
 * then.  b: of all tries, zeroed first. */
bool hosttpm_again(const struct hosttpm *h, struct tpm2_busy *b, struct error *e);
/* Starts a session that is salted to the storage key.  In either case hosttpm_end() follows. */
int __must_check hosttpm_start(struct hosttpm *h, uint8_t type, struct tpm2_session *s,
			       struct error *e);
void hosttpm_end(struct hosttpm *h, struct tpm2_session *s);
/* Brings a policy session into the state that opens what is sealed: finds the approval that
 * the PCRs fit, or fails with CAUSE_PCRS_CHANGED and the PCRs that do not. */
int __must_check hosttpm_satisfy(struct hosttpm *h, uint32_t policy,
				 enum approval_purpose purpose, bool with_auth,
				 struct error *e);
/* Makes an object under the storage key, in a session of its own, as
 * TPM2B_PUBLIC | TPM2B_PRIVATE; and loads it: *handle is 0 if it is not. */
int __must_check hosttpm_create(struct hosttpm *h, const struct tpm2_template *template,
				struct tpm2_bytes auth, struct tpm2_bytes secret,
				uint8_t *object, size_t *len, struct error *e);
int __must_check hosttpm_load(struct hosttpm *h, const uint8_t *object, size_t len,
			      uint32_t *handle, struct error *e);
/* A failure only costs the TPM a slot until the relay closes; handle 0: none. */
void hosttpm_flush(struct hosttpm *h, uint32_t handle);

#endif
