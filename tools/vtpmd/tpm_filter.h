/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manager may ask of the host's TPM: the commands that sealing and unsealing under
 * the pinned storage key need, each in the one form that stubdom/manager/hosttpm.c,
 * _pcr.c and _policy.c give it, on the handles that this manager got itself.  A stub
 * domain that its guest took over can so neither raise the TPM's failure count (no
 * object that counts, no password, no session bound to another entity), nor make keys,
 * nor reach what belongs to other vTPMs.
 * Source: TPM 2.0 Library, Part 2 clause 6.5.2 (command codes), Part 3.
 */
#ifndef VTPMD_TPM_FILTER_H
#define VTPMD_TPM_FILTER_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "include/channel.h"
#include "lib/cursor.h"
#include "lib/slot/shares.h"
#include "lib/tpm2/types.h"

#define TPM_FILTER_COMMAND_MAX 4096
/* A manager has three at most: an object, a policy session, and beside them the policy key
 * or another session. */
#define TPM_FILTER_HANDLES 4

/* What host.json pins. */
struct tpm_filter_host {
	uint32_t srk;		   /* handle of the storage key; 0: none */
	const uint8_t *policy_key; /* TPMT_PUBLIC */
	size_t policy_key_len;
	/* whose shares the manager may have derived of a pool's key: its own vTPM's, and the
	 * one's that this is made as a copy of; 16 bytes, or NULL: none */
	const uint8_t *uuid[2];
};

enum tpm_filter_kind {
	TPM_FILTER_NONE = 0,
	TPM_FILTER_HMAC, /* a session */
	TPM_FILTER_POLICY,
	TPM_FILTER_SEALED, /* an object */
	TPM_FILTER_KEY,	   /* the policy key */
	TPM_FILTER_SHARE,  /* a pool's key */
};

/* The handles that the TPM gave to one manager and that are still its own.  Starts
 * zeroed; is zeroed again when the file of the TPM is closed. */
struct tpm_filter {
	struct {
		uint32_t handle;
		enum tpm_filter_kind kind;
	} own[TPM_FILTER_HANDLES];
};

struct tpm_filter_verdict {
	uint32_t code;	  /* of the command; 0 when it has none */
	const char *name; /* TPM2_...; NULL when unknown here */
	const char *why;  /* of a refusal */
	/* what a success makes: a handle of this kind, or that this one is gone */
	enum tpm_filter_kind gives;
	uint32_t flushes;
};

/* TPMA_OBJECT of what is sealed: fixedTPM, fixedParent, adminWithPolicy, noDA; no
 * userWithAuth and no sensitiveDataOrigin (Part 2, 8.3) */
#define TPM_FILTER_SEALED_ATTRIBUTES 0x00000492u
/* The same of a pool's key: adminWithPolicy, noDA, sign; it came from outside, so neither
 * fixedTPM nor fixedParent */
#define TPM_FILTER_SHARE_ATTRIBUTES 0x00040480u
/* TPM2B_SENSITIVE_CREATE with an authValue of 32 and a secret of 128 bytes */
#define TPM_FILTER_SENSITIVE_MAX (2 + 32 + 2 + 128)
#define TPM_FILTER_PRIVATE_MAX	 1024
#define TPM_FILTER_RANDOM_MAX	 32

/*
 * The list: `make prove` proves that tpm_filter_check() lets through nothing else, whatever a
 * manager sends (docs/proofs.md).  A structure begins at b[at]; a command has len bytes, ten of
 * them its header.  Of a session's attributes 1 is continueSession, 0x20 decrypt, 0x40 encrypt.
 */
/*@ predicate tpm_filter_same(uint8_t *a, uint8_t *b, integer n) =
	\forall integer i; 0 <= i < n ==> a[i] == b[i];
    predicate tpm_filter_is(struct tpm_filter *f, integer i, integer handle, integer kind) =
	f->own[i].kind == kind && f->own[i].handle == handle;
    predicate tpm_filter_own(struct tpm_filter *f, integer handle, integer kind) =
	kind != TPM_FILTER_NONE &&
	(tpm_filter_is(f, 0, handle, kind) || tpm_filter_is(f, 1, handle, kind) ||
	 tpm_filter_is(f, 2, handle, kind) || tpm_filter_is(f, 3, handle, kind));
    predicate tpm_filter_srk(struct tpm_filter_host *host, integer handle) =
	host->srk != 0 && handle == host->srk;
    predicate tpm_filter_auth(struct tpm_filter *f, uint8_t *b, integer at, integer kind,
			      integer attributes) =
	cursor_be32(b + at) == 73 && tpm_filter_own(f, cursor_be32(b + at + 4), kind) &&
	cursor_be16(b + at + 8) == 32 && b[at + 42] == attributes &&
	cursor_be16(b + at + 43) == 32;
    predicate tpm_filter_parent(struct tpm_filter *f, struct tpm_filter_host *host,
				uint8_t *b, integer at, integer attributes) =
	tpm_filter_srk(host, cursor_be32(b + at)) &&
	tpm_filter_auth(f, b, at + 4, TPM_FILTER_HMAC, attributes);
    predicate tpm_filter_template(uint8_t *b, integer at, integer size, integer attributes) =
	cursor_be16(b + at) == size && cursor_be16(b + at + 2) == TPM2_ALG_KEYEDHASH &&
	cursor_be16(b + at + 4) == TPM2_ALG_SHA256 && cursor_be32(b + at + 6) == attributes &&
	cursor_be16(b + at + 10) == 32;
    predicate tpm_filter_sealed(uint8_t *b, integer at, integer unique) =
	tpm_filter_template(b, at, 46 + unique, TPM_FILTER_SEALED_ATTRIBUTES) &&
	cursor_be16(b + at + 44) == TPM2_ALG_NULL && cursor_be16(b + at + 46) == unique;
    predicate tpm_filter_share(uint8_t *b, integer at) =
	tpm_filter_template(b, at, 80, TPM_FILTER_SHARE_ATTRIBUTES) &&
	cursor_be16(b + at + 44) == TPM2_ALG_HMAC &&
	cursor_be16(b + at + 46) == TPM2_ALG_SHA256 && cursor_be16(b + at + 48) == 32;
    predicate tpm_filter_object(uint8_t *b, integer at, integer end, integer kind) =
	kind == TPM_FILTER_SHARE ?
		tpm_filter_share(b, at) && end == at + 82 :
		kind == TPM_FILTER_SEALED && tpm_filter_sealed(b, at, 32) && end == at + 80;
    predicate tpm_filter_wrapped(uint8_t *b, integer at) =
	cursor_be16(b + at) == 108 && cursor_be16(b + at + 110) == 68 &&
	cursor_be16(b + at + 180) == TPM2_ALG_NULL;
    predicate tpm_filter_equals(uint8_t *b, integer at) =
	cursor_be16(b + at) == 8 && cursor_be32(b + at + 10) == 0;
    predicate tpm_filter_signature(uint8_t *b, integer at, integer end) =
	\let r = cursor_be16(b + at + 4);
	\let s = cursor_be16(b + at + 6 + r);
	cursor_be16(b + at) == TPM2_ALG_ECDSA && cursor_be16(b + at + 2) == TPM2_ALG_SHA256 &&
	r <= 32 && s <= 32 && end == at + 8 + r + s;
    predicate tpm_filter_ticket(uint8_t *b, integer at, integer end) =
	cursor_be16(b + at) == TPM2_ST_VERIFIED && cursor_be32(b + at + 2) == TPM2_RH_OWNER &&
	cursor_be16(b + at + 6) <= 64 && end == at + 8 + cursor_be16(b + at + 6);
    predicate tpm_filter_uuid(struct tpm_filter_host *host, uint8_t *uuid) =
	(host->uuid[0] != \null && tpm_filter_same(host->uuid[0], uuid, 16)) ||
	(host->uuid[1] != \null && tpm_filter_same(host->uuid[1], uuid, 16));
    predicate tpm_filter_pool_data(struct tpm_filter_host *host, uint8_t *b, integer at) =
	cursor_be16(b + at) == SHARES_POOL_SIZE && tpm_filter_uuid(host, b + at + 25);
    predicate tpm_filter_policy_key(struct tpm_filter_host *host, uint8_t *b, integer at,
				    integer end) =
	cursor_be16(b + at) == host->policy_key_len && host->policy_key_len != 0 &&
	end == at + 2 + host->policy_key_len &&
	tpm_filter_same(b + at + 2, host->policy_key, host->policy_key_len);
    predicate tpm_filter_selection(uint8_t *b, integer at) =
	cursor_be32(b + at) == 1 && cursor_be16(b + at + 4) == TPM2_ALG_SHA256 &&
	b[at + 6] == 3;
*/
/*@ predicate tpm_filter_create(struct tpm_filter *f, struct tpm_filter_host *host,
				uint8_t *cmd, integer len) =
	\let sensitive = cursor_be16(cmd + 91);
	tpm_filter_parent(f, host, cmd, 10, 0x21) &&
	sensitive <= TPM_FILTER_SENSITIVE_MAX &&
	tpm_filter_sealed(cmd, 93 + sensitive, 0) &&
	cursor_be16(cmd + 141 + sensitive) == 0 &&
	cursor_be32(cmd + 143 + sensitive) == 0 && len == 147 + sensitive;
    predicate tpm_filter_load(struct tpm_filter *f, struct tpm_filter_host *host,
			      uint8_t *cmd, integer len, integer gives) =
	\let private = cursor_be16(cmd + 91);
	tpm_filter_parent(f, host, cmd, 10, 1) &&
	private <= TPM_FILTER_PRIVATE_MAX &&
	tpm_filter_object(cmd, 93 + private, len, gives);
    predicate tpm_filter_import(struct tpm_filter *f, struct tpm_filter_host *host,
				uint8_t *cmd, integer len) =
	tpm_filter_parent(f, host, cmd, 10, 1) && cursor_be16(cmd + 91) == 0 &&
	tpm_filter_share(cmd, 93) && tpm_filter_wrapped(cmd, 175) && len == 357;
    predicate tpm_filter_hmac(struct tpm_filter *f, struct tpm_filter_host *host,
			      uint8_t *cmd, integer len) =
	tpm_filter_own(f, cursor_be32(cmd + 10), TPM_FILTER_SHARE) &&
	tpm_filter_auth(f, cmd, 14, TPM_FILTER_POLICY, 0x41) &&
	tpm_filter_pool_data(host, cmd, 91) &&
	cursor_be16(cmd + 164) == TPM2_ALG_SHA256 && len == 166;
    predicate tpm_filter_unseal(struct tpm_filter *f, uint8_t *cmd, integer len) =
	tpm_filter_own(f, cursor_be32(cmd + 10), TPM_FILTER_SEALED) &&
	tpm_filter_auth(f, cmd, 14, TPM_FILTER_POLICY, 0x41) && len == 91;
    predicate tpm_filter_policy_nv(struct tpm_filter *f, uint8_t *cmd, integer len) =
	cursor_be32(cmd + 10) == CHANNEL_COUNTER_INDEX &&
	cursor_be32(cmd + 14) == CHANNEL_COUNTER_INDEX &&
	tpm_filter_own(f, cursor_be32(cmd + 18), TPM_FILTER_POLICY) &&
	tpm_filter_auth(f, cmd, 22, TPM_FILTER_HMAC, 1) && tpm_filter_equals(cmd, 99) &&
	len == 113;
    predicate tpm_filter_flush(struct tpm_filter *f, uint8_t *cmd, integer len,
			       integer flushes) =
	flushes == cursor_be32(cmd + 10) && len == 14 &&
	\exists integer kind; tpm_filter_own(f, flushes, kind);
    predicate tpm_filter_external(struct tpm_filter_host *host, uint8_t *cmd, integer len,
				  integer gives) =
	cursor_be16(cmd + 10) == 0 && tpm_filter_policy_key(host, cmd, 12, len - 4) &&
	cursor_be32(cmd + len - 4) == TPM2_RH_OWNER && gives == TPM_FILTER_KEY;
    predicate tpm_filter_verify(struct tpm_filter *f, uint8_t *cmd, integer len) =
	tpm_filter_own(f, cursor_be32(cmd + 10), TPM_FILTER_KEY) &&
	cursor_be16(cmd + 14) == 32 && tpm_filter_signature(cmd, 48, len);
    predicate tpm_filter_authorize(struct tpm_filter *f, uint8_t *cmd, integer len) =
	tpm_filter_own(f, cursor_be32(cmd + 10), TPM_FILTER_POLICY) &&
	cursor_be16(cmd + 14) == 32 && cursor_be16(cmd + 48) == 32 &&
	cursor_be16(cmd + 82) == 34 && tpm_filter_ticket(cmd, 118, len);
    predicate tpm_filter_policy_pcr(struct tpm_filter *f, uint8_t *cmd, integer len) =
	tpm_filter_own(f, cursor_be32(cmd + 10), TPM_FILTER_POLICY) &&
	cursor_be16(cmd + 14) == 0 && tpm_filter_selection(cmd, 16) && len == 26;
    predicate tpm_filter_start(struct tpm_filter_host *host, uint8_t *cmd, integer len,
			       integer gives) =
	tpm_filter_srk(host, cursor_be32(cmd + 10)) &&
	cursor_be32(cmd + 14) == TPM2_RH_NULL && cursor_be16(cmd + 18) == 32 &&
	cursor_be16(cmd + 52) == 68 &&
	(cmd[122] == 0 ? gives == TPM_FILTER_HMAC :
			 cmd[122] == 1 && gives == TPM_FILTER_POLICY) &&
	cursor_be16(cmd + 123) == TPM2_ALG_AES && cursor_be16(cmd + 125) == 128 &&
	cursor_be16(cmd + 127) == TPM2_ALG_CFB &&
	cursor_be16(cmd + 129) == TPM2_ALG_SHA256 && len == 131;
*/
/*@ predicate tpm_filter_authorized(struct tpm_filter *f, struct tpm_filter_host *host,
				    struct tpm_filter_verdict *v, uint8_t *cmd,
				    integer len) =
	v->flushes == 0 &&
	(v->code == TPM2_CC_Load ?
		 tpm_filter_load(f, host, cmd, len, v->gives) :
		 v->gives == TPM_FILTER_NONE &&
		 ((v->code == TPM2_CC_Create && tpm_filter_create(f, host, cmd, len)) ||
		  (v->code == TPM2_CC_Unseal && tpm_filter_unseal(f, cmd, len)) ||
		  (v->code == TPM2_CC_Import && tpm_filter_import(f, host, cmd, len)) ||
		  (v->code == TPM2_CC_HMAC && tpm_filter_hmac(f, host, cmd, len)) ||
		  (v->code == TPM2_CC_PolicyNV && tpm_filter_policy_nv(f, cmd, len))));
    predicate tpm_filter_policy(struct tpm_filter *f, integer code, uint8_t *cmd,
				integer len) =
	(code == TPM2_CC_PolicyAuthorize && tpm_filter_authorize(f, cmd, len)) ||
	(code == TPM2_CC_PolicyPCR && tpm_filter_policy_pcr(f, cmd, len)) ||
	((code == TPM2_CC_PolicyAuthValue || code == TPM2_CC_PolicyGetDigest) &&
	 tpm_filter_own(f, cursor_be32(cmd + 10), TPM_FILTER_POLICY) && len == 14);
    predicate tpm_filter_plain(struct tpm_filter *f, struct tpm_filter_host *host,
			       struct tpm_filter_verdict *v, uint8_t *cmd, integer len) =
	v->code == TPM2_CC_FlushContext ?
		v->gives == TPM_FILTER_NONE && tpm_filter_flush(f, cmd, len, v->flushes) :
	v->flushes == 0 &&
	(v->code == TPM2_CC_LoadExternal ? tpm_filter_external(host, cmd, len, v->gives) :
	 v->code == TPM2_CC_StartAuthSession ? tpm_filter_start(host, cmd, len, v->gives) :
		v->gives == TPM_FILTER_NONE &&
		(tpm_filter_policy(f, v->code, cmd, len) ||
		 (v->code == TPM2_CC_VerifySignature && tpm_filter_verify(f, cmd, len)) ||
		 (v->code == TPM2_CC_ReadPublic &&
		  tpm_filter_srk(host, cursor_be32(cmd + 10)) && len == 14) ||
		 (v->code == TPM2_CC_PCR_Read && tpm_filter_selection(cmd, 10) && len == 20) ||
		 (v->code == TPM2_CC_GetRandom &&
		  cursor_be16(cmd + 10) <= TPM_FILTER_RANDOM_MAX && len == 12)));
    predicate tpm_filter_header(uint8_t *cmd, integer len, integer tag,
				integer code) =
	10 <= len <= TPM_FILTER_COMMAND_MAX && cursor_be16(cmd) == tag &&
	cursor_be32(cmd + 2) == len && cursor_be32(cmd + 6) == code;
    predicate tpm_filter_listed(struct tpm_filter *f, struct tpm_filter_host *host,
				uint8_t *cmd, integer len, struct tpm_filter_verdict *v) =
	(tpm_filter_header(cmd, len, TPM2_ST_SESSIONS, v->code) &&
	 tpm_filter_authorized(f, host, v, cmd, len)) ||
	(tpm_filter_header(cmd, len, TPM2_ST_NO_SESSIONS, v->code) &&
	 tpm_filter_plain(f, host, v, cmd, len));
    predicate tpm_filter_pinned(struct tpm_filter_host *host) =
	\valid_read(host) &&
	\valid_read(host->policy_key + (0 .. host->policy_key_len - 1)) &&
	(host->uuid[0] == \null || \valid_read(host->uuid[0] + (0 .. 15))) &&
	(host->uuid[1] == \null || \valid_read(host->uuid[1] + (0 .. 15)));
*/

/* 0, or -EPERM with the reason in *v, and neither gives nor flushes. */
/*@ requires \valid_read(f) && tpm_filter_pinned(host) && \valid(v);
    requires \valid_read(cmd + (0 .. len - 1));
    requires \separated(v, f, host);
    assigns *v;
    ensures \result == 0 || \result == -EPERM;
    ensures \result == 0 ==> tpm_filter_listed(f, host, cmd, len, v);
    ensures \result != 0 ==> v->gives == TPM_FILTER_NONE && v->flushes == 0; */
int __must_check tpm_filter_check(const struct tpm_filter *f,
				  const struct tpm_filter_host *host, const uint8_t *cmd,
				  size_t len, struct tpm_filter_verdict *v);
/* Takes the response to the command that *v lets through.  Nothing becomes the manager's own
 * but the handle that a success names, of the kind that the command gives. */
/*@ requires \valid(f) && \valid_read(v) && \valid_read(rsp + (0 .. len - 1));
    requires \separated(f, v, rsp + (0 .. len - 1));
    assigns f->own[0 .. TPM_FILTER_HANDLES - 1];
    ensures \forall integer i; 0 <= i < TPM_FILTER_HANDLES ==>
	    f->own[i].kind == TPM_FILTER_NONE ||
	    (f->own[i].kind == \old(f->own[i].kind) &&
	     f->own[i].handle == \old(f->own[i].handle)) ||
	    (f->own[i].kind == v->gives && len >= 14 && cursor_be32(rsp + 6) == 0 &&
	     f->own[i].handle == cursor_be32(rsp + 10)); */
void tpm_filter_answered(struct tpm_filter *f, const struct tpm_filter_verdict *v,
			 const uint8_t *rsp, size_t len);

#endif
