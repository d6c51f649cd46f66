/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TPM commands, one function each, under the names of TPM 2.0 Library, Part 3.  c has its
 * transport.  Errors as those of tpm2_run(); what they give points into c->rsp until the
 * next command.
 */
#ifndef XVTPM_LIB_TPM2_COMMANDS_H
#define XVTPM_LIB_TPM2_COMMANDS_H

#include "lib/tpm2/cmd.h"
#include "lib/tpm2/marshal.h"

/* A handle and its Name, which a session's HMAC covers; NULL where there is none. */
struct tpm2_object {
	uint32_t handle;
	const uint8_t *name;
};

/* TPM2_Startup(CLEAR) */
int __must_check tpm2_startup(struct tpm2_cmd *c);
/* One TPM_PT.  -EBADMSG: the TPM has no such property. */
int __must_check tpm2_get_property(struct tpm2_cmd *c, uint32_t property,
				   uint32_t *value);
/* TPM_CAP_PCRS: the PCRs that each bank has; none: it is not active. */
int __must_check tpm2_get_banks(struct tpm2_cmd *c, uint32_t pcrs[TPM2_BANKS]);
int __must_check tpm2_read_clock(struct tpm2_cmd *c, uint64_t *clock);
/* With platformAuth, here and in the next four. */
int __must_check tpm2_clock_set(struct tpm2_cmd *c, const struct tpm2_auth *auth,
				uint64_t clock);
int __must_check tpm2_hierarchy_change_auth(struct tpm2_cmd *c,
					    const struct tpm2_auth *auth,
					    struct tpm2_bytes new_auth);
int __must_check tpm2_clear_control(struct tpm2_cmd *c, const struct tpm2_auth *auth,
				    bool disable);
int __must_check tpm2_clear(struct tpm2_cmd *c, const struct tpm2_auth *auth);
/* All PCRs in the banks of the mask, and none in the others.  -ENOSPC */
int __must_check tpm2_pcr_allocate(struct tpm2_cmd *c, const struct tpm2_auth *auth,
				   unsigned int banks);
/* digests: of all TPM2_BANKS hashes, one after the other; banks: those that are used. */
int __must_check tpm2_pcr_extend(struct tpm2_cmd *c, uint32_t pcr, unsigned int banks,
				 const uint8_t *digests);
/* Some of the PCRs, at most eight at once: *got tells which.  value: TPM2_PCRS of the bank's
 * size. */
int __must_check tpm2_pcr_read(struct tpm2_cmd *c, const struct tpm2_hash *bank,
			       uint32_t pcrs, uint32_t *got, uint8_t *value);
int __must_check tpm2_get_random(struct tpm2_cmd *c, size_t len,
				 struct tpm2_bytes *random);

/* c->handle is the key, until tpm2_flush_context(). */
int __must_check tpm2_create_primary(struct tpm2_cmd *c, uint32_t hierarchy,
				     const struct tpm2_auth *auth,
				     const struct tpm2_template *t,
				     struct tpm2_bytes *public, struct tpm2_bytes *name);
/* auth, secret: of the new object; they are encrypted. */
int __must_check tpm2_create(struct tpm2_cmd *c, struct tpm2_object parent,
			     const struct tpm2_auth *by, const struct tpm2_template *t,
			     struct tpm2_bytes auth, struct tpm2_bytes secret,
			     struct tpm2_bytes *public, struct tpm2_bytes *private);
/* c->handle is the object. */
int __must_check tpm2_load(struct tpm2_cmd *c, struct tpm2_object parent,
			   const struct tpm2_auth *by, struct tpm2_bytes public,
			   struct tpm2_bytes private);
/* Gives an object that tpm2_duplicate_make() made a private part of this TPM's, for
 * tpm2_load(). */
int __must_check tpm2_import(struct tpm2_cmd *c, struct tpm2_object parent,
			     const struct tpm2_auth *by, struct tpm2_bytes public,
			     struct tpm2_bytes duplicate, struct tpm2_bytes seed,
			     struct tpm2_bytes *private);
/* A public part, of a hierarchy with a proof, or its tickets would be empty. */
int __must_check tpm2_load_external(struct tpm2_cmd *c, struct tpm2_bytes public);
int __must_check tpm2_read_public(struct tpm2_cmd *c, uint32_t handle,
				  struct tpm2_bytes *public, struct tpm2_bytes *name);
/* The secret comes encrypted. */
int __must_check tpm2_unseal(struct tpm2_cmd *c, struct tpm2_object object,
			     const struct tpm2_auth *by, struct tpm2_bytes *secret);
/* HMAC-SHA256 of data by a key of the TPM's; it comes encrypted. */
int __must_check tpm2_hmac(struct tpm2_cmd *c, struct tpm2_object key,
			   const struct tpm2_auth *by, struct tpm2_bytes data,
			   struct tpm2_bytes *hmac);
/* With the empty ownerAuth. */
int __must_check tpm2_evict_control(struct tpm2_cmd *c, uint32_t handle,
				    uint32_t persistent);
int __must_check tpm2_flush_context(struct tpm2_cmd *c, uint32_t handle);
int __must_check tpm2_quote(struct tpm2_cmd *c, struct tpm2_object key,
			    const struct tpm2_auth *by, struct tpm2_bytes nonce,
			    const uint32_t pcrs[TPM2_BANKS], struct tpm2_bytes *quote,
			    struct tpm2_bytes *signature);
/* signature: TPMT_SIGNATURE; *ticket: TPMT_TK_VERIFIED */
int __must_check tpm2_verify_signature(struct tpm2_cmd *c, uint32_t key,
				       const uint8_t hash[CRYPT_HASH_SIZE],
				       struct tpm2_bytes signature,
				       struct tpm2_bytes *ticket);

/* Salted by tpm2_session_salt() to the key, bound to nothing. */
int __must_check tpm2_start_auth_session(struct tpm2_cmd *c, uint32_t key, uint8_t type,
					 const struct tpm2_point *salt,
					 struct tpm2_session *s);
/* PCRs of the SHA-256 bank, as they are now. */
int __must_check tpm2_policy_pcr(struct tpm2_cmd *c, uint32_t policy, uint32_t pcrs);
/* The counter, whose authValue by has, equals number. */
int __must_check tpm2_policy_nv(struct tpm2_cmd *c, struct tpm2_object counter,
				const struct tpm2_auth *by, uint32_t policy,
				uint64_t number);
int __must_check tpm2_policy_authorize(struct tpm2_cmd *c, uint32_t policy,
				       const uint8_t approved[CRYPT_HASH_SIZE],
				       const uint8_t ref[CRYPT_HASH_SIZE],
				       const uint8_t key_name[TPM2_NAME_SIZE],
				       struct tpm2_bytes ticket);
/* By a key's signature of this session's nonce; signature: TPMT_SIGNATURE */
int __must_check tpm2_policy_signed(struct tpm2_cmd *c, uint32_t key,
				    const struct tpm2_session *policy,
				    struct tpm2_bytes signature);
int __must_check tpm2_policy_auth_value(struct tpm2_cmd *c, uint32_t policy);
int __must_check tpm2_policy_get_digest(struct tpm2_cmd *c, uint32_t policy,
					struct tpm2_bytes *digest);

struct tpm2_nv_public {
	uint32_t index, attributes; /* TPMA_NV; no policy, nameAlg SHA-256 */
	uint16_t size;
};

/* A handle that authorizes, the index, and the authorization.  name: for a session. */
struct tpm2_nv {
	uint32_t by, index;
	const struct tpm2_auth *auth;
	const uint8_t *name;
};

/* Reads and writes so much at once: libtpms's MAX_NV_BUFFER_SIZE. */
#define TPM2_NV_CHUNK 1024

int __must_check tpm2_nv_read_public(struct tpm2_cmd *c, uint32_t index,
				     struct tpm2_nv_public *public);
int __must_check tpm2_nv_define_space(struct tpm2_cmd *c, uint32_t hierarchy,
				      const struct tpm2_auth *auth,
				      const struct tpm2_nv_public *public);
int __must_check tpm2_nv_undefine_space(struct tpm2_cmd *c, const struct tpm2_nv *nv);
int __must_check tpm2_nv_write(struct tpm2_cmd *c, const struct tpm2_nv *nv,
			       struct tpm2_bytes data, uint16_t offset);
int __must_check tpm2_nv_write_lock(struct tpm2_cmd *c, const struct tpm2_nv *nv);
int __must_check tpm2_nv_read(struct tpm2_cmd *c, const struct tpm2_nv *nv, uint16_t size,
			      uint16_t offset, struct tpm2_bytes *data);

#endif
