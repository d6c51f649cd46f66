/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small TPM 2.0 client for the host's physical TPM, over a transport that is
 * not trusted (the relay in vtpmd, the bus): every secret crosses it inside a
 * session that is salted to the pinned storage key, with parameter encryption.
 * Source: TPM 2.0 Library, Part 1 clauses 11.4.10, 19.6, 21 and Part 3.
 */
#ifndef XVTPM_HOSTTPM_H
#define XVTPM_HOSTTPM_H

#include "include/channel.h"
#include "include/compiler.h"
#include "lib/error.h"
#include "lib/tpm2/types.h"
#include "stubdom/manager/hosttpm_session.h"

#include <stddef.h>
#include <stdint.h>

struct hosttpm_config {
	uint32_t srk_handle;
	uint8_t srk_name[34];	   /* pinned; compared with what ReadPublic gives */
	const uint8_t *policy_key; /* TPMT_PUBLIC */
	size_t policy_key_len;
	/* approvals in the form of include/channel.h */
	const uint8_t *approval[16];
	size_t approval_len[16];
	size_t approvals;
	uint8_t counter_name[34]; /* pinned, as approvals have it */
	uint8_t auth[32];	  /* of the counter */
};

#define HOSTTPM_OBJECT_MAX 1024 /* TPM2B_PUBLIC | TPM2B_PRIVATE, marshalled */

/* Errors: -ENODEV etc. with CAUSE_TPM_UNREACHABLE, -EXDEV with CAUSE_TPM_REPLACED. */
int __must_check hosttpm_random(const struct hosttpm_transport *t, uint8_t *out,
				size_t len, struct error *e);
/* Seals len <= 128 bytes for a purpose; auth NULL: policy is PolicyAuthorize alone, else
 * PolicyAuthorize and PolicyAuthValue with this 32-byte authValue. noDA. */
int __must_check hosttpm_seal(const struct hosttpm_config *c,
			      const struct hosttpm_transport *t,
			      enum approval_purpose purpose, const uint8_t *auth,
			      const uint8_t *secret, size_t len, uint8_t *object,
			      size_t *object_len, struct error *e);
/* The reverse.  CAUSE_PCRS_CHANGED names the PCRs that differ from the nearest
 * approval; CAUSE_TPM_REFUSED carries the TPM's code in hex and in words. */
int __must_check hosttpm_unseal(const struct hosttpm_config *c,
				const struct hosttpm_transport *t,
				enum approval_purpose purpose, const uint8_t *auth,
				const uint8_t *object, size_t object_len, uint8_t *secret,
				size_t *len, struct error *e);

/*
 * The commands that seal and unseal, one function each.  Source: TPM 2.0
 * Library, Part 3, the clause of each command.  Errors as in hosttpm_call_run.
 */

/* A TPM2B's content inside a message or a stored object. */
struct hosttpm_bytes {
	const uint8_t *p;
	uint16_t n;
};

struct hosttpm_bytes hosttpm_cmd_get(struct cursor *c);
void hosttpm_cmd_put(struct cursor *c, struct hosttpm_bytes b);
/* The Name of a TPMT_PUBLIC with nameAlg SHA-256 (Part 1, 16). */
int __must_check hosttpm_cmd_name(struct hosttpm_bytes public,
				  uint8_t name[HOSTTPM_NAME_SIZE]);

/* StartAuthSession, salted to srk. */
int __must_check hosttpm_cmd_start(const struct hosttpm_config *c,
				   const struct hosttpm_transport *t, uint8_t type,
				   const struct hosttpm_point *srk,
				   struct hosttpm_session *s, struct error *e);
/* FlushContext; a failure only costs the TPM a slot until the relay closes. */
void hosttpm_cmd_flush(const struct hosttpm_transport *t, uint32_t handle);

/* PolicyNV in the policy session: the counter of revocations equals number.  s has the
 * counter's authValue.  *code: of a refusal. */
int __must_check hosttpm_cmd_policy_nv(const struct hosttpm_config *c,
				       const struct hosttpm_transport *t,
				       struct hosttpm_session *s, uint32_t policy,
				       uint64_t number, uint32_t *code, struct error *e);

#endif
