/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that seal and unseal, one function each.  Source: TPM 2.0
 * Library, Part 3, the clause of each command.  Errors as in hosttpm_call_run.
 */
#ifndef XVTPM_HOSTTPM_CMD_H
#define XVTPM_HOSTTPM_CMD_H

#include "include/channel.h"
#include "lib/tpm2/types.h"
#include "stubdom/manager/hosttpm_session.h"

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

/* A TPM2B's content inside a message or a stored object. */
struct hosttpm_bytes {
	const uint8_t *p;
	uint16_t n;
};

struct hosttpm_bytes hosttpm_cmd_get(struct cursor *c);

/* The Name of a TPMT_PUBLIC with nameAlg SHA-256 (Part 1, 16). */
int __must_check hosttpm_cmd_name(struct hosttpm_bytes public,
				  uint8_t name[HOSTTPM_NAME_SIZE]);

/* Whether a TPMT_PUBLIC is what hosttpm_cmd_create() makes: what else claims to be one of
 * our sealed objects is damaged, and vtpmd lets none but these through. */
bool __must_check hosttpm_cmd_is_sealed(struct hosttpm_bytes public);

/* ReadPublic of the storage key: refuses any but the pinned one (-EXDEV). */
int __must_check hosttpm_cmd_srk(const struct hosttpm_config *c,
				 const struct hosttpm_transport *t,
				 struct hosttpm_point *srk, struct error *e);
/* StartAuthSession, salted to srk. */
int __must_check hosttpm_cmd_start(const struct hosttpm_config *c,
				   const struct hosttpm_transport *t, uint8_t type,
				   const struct hosttpm_point *srk,
				   struct hosttpm_session *s, struct error *e);
/* FlushContext; a failure only costs the TPM a slot until the relay closes. */
void hosttpm_cmd_flush(const struct hosttpm_transport *t, uint32_t handle);
/* Create under the storage key: object is TPM2B_PUBLIC | TPM2B_PRIVATE. */
int __must_check hosttpm_cmd_create(const struct hosttpm_config *c,
				    const struct hosttpm_transport *t,
				    struct hosttpm_session *s,
				    const uint8_t policy[CRYPT_HASH_SIZE],
				    struct hosttpm_bytes auth,
				    struct hosttpm_bytes secret, uint8_t *object,
				    size_t *len, struct error *e);

int __must_check hosttpm_cmd_load(const struct hosttpm_config *c,
				  const struct hosttpm_transport *t,
				  struct hosttpm_session *s, struct hosttpm_bytes public,
				  struct hosttpm_bytes private, uint32_t *handle,
				  struct error *e);
/* len: room in, bytes out. */
int __must_check hosttpm_cmd_unseal(const struct hosttpm_transport *t,
				    struct hosttpm_session *s, uint32_t handle,
				    const uint8_t name[HOSTTPM_NAME_SIZE], uint8_t *out,
				    size_t *len, struct error *e);

/*
 * The policy of everything sealed to the host: a boot state (PCRs) that the host
 * policy key has signed for this purpose and not revoked, and perhaps an authValue.  Source: TPM 2.0 Library,
 * Part 1, 19.7 and Part 3, 23.
 */

/* The authPolicy of a sealed object. -EINVAL, CAUSE_NOT_CONFIGURED */
int __must_check hosttpm_policy_digest(const struct hosttpm_config *c,
				       enum approval_purpose purpose, bool with_auth,
				       uint8_t digest[CRYPT_HASH_SIZE], struct error *e);
/* Brings the policy session s into that state: finds the approval that the PCRs
 * fit, or fails with CAUSE_PCRS_CHANGED and the PCRs that do not. */
int __must_check hosttpm_policy_satisfy(const struct hosttpm_config *c,
					const struct hosttpm_transport *t,
					const struct hosttpm_point *srk,
					const struct hosttpm_session *s,
					enum approval_purpose purpose, bool with_auth,
					struct error *e);

#endif
