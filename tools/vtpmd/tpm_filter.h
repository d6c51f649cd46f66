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
 * manager sends (docs/proofs.md).  p is the place of a structure in the command, or where
 * the command's n bytes after its header begin.  Of a session's attributes 1 is continueSession,
 * 0x20 decrypt, 0x40 encrypt.
 */
/*@ predicate tpm_filter_same(uint8_t *a, uint8_t *b, integer n) =
	\forall integer i; 0 <= i < n ==> a[i] == b[i];
    predicate tpm_filter_is(struct tpm_filter *f, integer i, integer handle, integer kind) =
	f->own[i].kind == kind && f->own[i].handle == handle;
    predicate tpm_filter_own(struct tpm_filter *f, integer handle, integer kind) =
	kind != TPM_FILTER_NONE &&
	(tpm_filter_is(f, 0, handle, kind) || tpm_filter_is(f, 1, handle, kind) ||
	 tpm_filter_is(f, 2, handle, kind) || tpm_filter_is(f, 3, handle, kind));
    predicate tpm_filter_srk(struct tpm_filter_host *host, uint8_t *p) =
	host->srk != 0 && cursor_be32(p) == host->srk;
    predicate tpm_filter_auth(struct tpm_filter *f, uint8_t *p, integer kind,
			      integer attributes) =
	cursor_be32(p) == 73 && tpm_filter_own(f, cursor_be32(p + 4), kind) &&
	cursor_be16(p + 8) == 32 && p[42] == attributes && cursor_be16(p + 43) == 32;
    predicate tpm_filter_template(uint8_t *p, integer size, integer attributes) =
	cursor_be16(p) == size && cursor_be16(p + 2) == TPM2_ALG_KEYEDHASH &&
	cursor_be16(p + 4) == TPM2_ALG_SHA256 && cursor_be32(p + 6) == attributes &&
	cursor_be16(p + 10) == 32;
    predicate tpm_filter_sealed(uint8_t *p, integer unique) =
	tpm_filter_template(p, 46 + unique, TPM_FILTER_SEALED_ATTRIBUTES) &&
	cursor_be16(p + 44) == TPM2_ALG_NULL && cursor_be16(p + 46) == unique;
    predicate tpm_filter_share(uint8_t *p) =
	tpm_filter_template(p, 80, TPM_FILTER_SHARE_ATTRIBUTES) &&
	cursor_be16(p + 44) == TPM2_ALG_HMAC && cursor_be16(p + 46) == TPM2_ALG_SHA256 &&
	cursor_be16(p + 48) == 32;
    predicate tpm_filter_object(uint8_t *p, integer n, integer kind) =
	kind == TPM_FILTER_SHARE ? tpm_filter_share(p) && n == 82 :
		kind == TPM_FILTER_SEALED && tpm_filter_sealed(p, 32) && n == 80;
    predicate tpm_filter_wrapped(uint8_t *p) =
	cursor_be16(p) == 108 && cursor_be16(p + 110) == 68 &&
	cursor_be16(p + 180) == TPM2_ALG_NULL;
    predicate tpm_filter_equals(uint8_t *p) =
	cursor_be16(p) == 8 && cursor_be16(p + 10) == 0 && cursor_be16(p + 12) == 0;
    predicate tpm_filter_signature(uint8_t *p, integer n) =
	\let r = cursor_be16(p + 4);
	\let s = cursor_be16(p + 6 + r);
	cursor_be16(p) == TPM2_ALG_ECDSA && cursor_be16(p + 2) == TPM2_ALG_SHA256 &&
	r <= 32 && s <= 32 && n == 8 + r + s;
    predicate tpm_filter_ticket(uint8_t *p, integer n) =
	cursor_be16(p) == TPM2_ST_VERIFIED && cursor_be32(p + 2) == TPM2_RH_OWNER &&
	cursor_be16(p + 6) <= 64 && n == 8 + cursor_be16(p + 6);
    predicate tpm_filter_uuid(struct tpm_filter_host *host, uint8_t *p) =
	(host->uuid[0] != \null && tpm_filter_same(host->uuid[0], p, 16)) ||
	(host->uuid[1] != \null && tpm_filter_same(host->uuid[1], p, 16));
    predicate tpm_filter_pool_data(struct tpm_filter_host *host, uint8_t *p) =
	cursor_be16(p) == SHARES_POOL_SIZE && tpm_filter_uuid(host, p + 25);
    predicate tpm_filter_policy_key(struct tpm_filter_host *host, uint8_t *p, integer n) =
	n > 2 && n == 2 + cursor_be16(p) && n == 2 + host->policy_key_len &&
	tpm_filter_same(p + 2, host->policy_key, n - 2);
    predicate tpm_filter_selection(uint8_t *p) =
	cursor_be32(p) == 1 && cursor_be16(p + 4) == TPM2_ALG_SHA256 && p[6] == 3;
*/
/*@ predicate tpm_filter_create(struct tpm_filter *f, struct tpm_filter_host *host,
				uint8_t *p, integer n) =
	\let s = 83 + cursor_be16(p + 81);
	tpm_filter_srk(host, p) && tpm_filter_auth(f, p + 4, TPM_FILTER_HMAC, 0x21) &&
	s <= 83 + TPM_FILTER_SENSITIVE_MAX && tpm_filter_sealed(p + s, 0) &&
	cursor_be16(p + s + 48) == 0 && cursor_be32(p + s + 50) == 0 && n == s + 54;
    predicate tpm_filter_load(struct tpm_filter *f, struct tpm_filter_host *host,
			      uint8_t *p, integer n, integer gives) =
	\let s = 83 + cursor_be16(p + 81);
	tpm_filter_srk(host, p) && tpm_filter_auth(f, p + 4, TPM_FILTER_HMAC, 1) &&
	s <= 83 + TPM_FILTER_PRIVATE_MAX && tpm_filter_object(p + s, n - s, gives);
    predicate tpm_filter_import(struct tpm_filter *f, struct tpm_filter_host *host,
				uint8_t *p, integer n) =
	tpm_filter_srk(host, p) && tpm_filter_auth(f, p + 4, TPM_FILTER_HMAC, 1) &&
	cursor_be16(p + 81) == 0 && tpm_filter_share(p + 83) &&
	tpm_filter_wrapped(p + 165) && n == 347;
    predicate tpm_filter_hmac(struct tpm_filter *f, struct tpm_filter_host *host,
			      uint8_t *p, integer n) =
	tpm_filter_own(f, cursor_be32(p), TPM_FILTER_SHARE) &&
	tpm_filter_auth(f, p + 4, TPM_FILTER_POLICY, 0x41) &&
	tpm_filter_pool_data(host, p + 81) && cursor_be16(p + 154) == TPM2_ALG_SHA256 &&
	n == 156;
    predicate tpm_filter_unseal(struct tpm_filter *f, uint8_t *p, integer n) =
	tpm_filter_own(f, cursor_be32(p), TPM_FILTER_SEALED) &&
	tpm_filter_auth(f, p + 4, TPM_FILTER_POLICY, 0x41) && n == 81;
    predicate tpm_filter_policy_nv(struct tpm_filter *f, uint8_t *p, integer n) =
	cursor_be32(p) == CHANNEL_COUNTER_INDEX &&
	cursor_be32(p + 4) == CHANNEL_COUNTER_INDEX &&
	tpm_filter_own(f, cursor_be32(p + 8), TPM_FILTER_POLICY) &&
	tpm_filter_auth(f, p + 12, TPM_FILTER_HMAC, 1) && tpm_filter_equals(p + 89) &&
	n == 103;
    predicate tpm_filter_flush(struct tpm_filter *f, uint8_t *p, integer n,
			       integer flushes) =
	flushes == cursor_be32(p) && n == 4 &&
	\exists integer kind; tpm_filter_own(f, flushes, kind);
    predicate tpm_filter_external(struct tpm_filter_host *host, uint8_t *p, integer n,
				  integer gives) =
	cursor_be16(p) == 0 && tpm_filter_policy_key(host, p + 2, n - 6) &&
	cursor_be32(p + n - 4) == TPM2_RH_OWNER && gives == TPM_FILTER_KEY;
    predicate tpm_filter_verify(struct tpm_filter *f, uint8_t *p, integer n) =
	tpm_filter_own(f, cursor_be32(p), TPM_FILTER_KEY) && cursor_be16(p + 4) == 32 &&
	tpm_filter_signature(p + 38, n - 38);
    predicate tpm_filter_authorize(struct tpm_filter *f, uint8_t *p, integer n) =
	tpm_filter_own(f, cursor_be32(p), TPM_FILTER_POLICY) &&
	cursor_be16(p + 4) == 32 && cursor_be16(p + 38) == 32 &&
	cursor_be16(p + 72) == 34 && tpm_filter_ticket(p + 108, n - 108);
    predicate tpm_filter_policy_pcr(struct tpm_filter *f, uint8_t *p, integer n) =
	tpm_filter_own(f, cursor_be32(p), TPM_FILTER_POLICY) &&
	cursor_be16(p + 4) == 0 && tpm_filter_selection(p + 6) && n == 16;
    predicate tpm_filter_start(struct tpm_filter_host *host, uint8_t *p, integer n,
			       integer gives) =
	tpm_filter_srk(host, p) && cursor_be32(p + 4) == TPM2_RH_NULL &&
	cursor_be16(p + 8) == 32 && cursor_be16(p + 42) == 68 &&
	(p[112] == 0 ? gives == TPM_FILTER_HMAC :
		       p[112] == 1 && gives == TPM_FILTER_POLICY) &&
	cursor_be16(p + 113) == TPM2_ALG_AES && cursor_be16(p + 115) == 128 &&
	cursor_be16(p + 117) == TPM2_ALG_CFB && cursor_be16(p + 119) == TPM2_ALG_SHA256 &&
	n == 121;
*/
/*@ predicate tpm_filter_authorized(struct tpm_filter *f, struct tpm_filter_host *host,
				    struct tpm_filter_verdict *v, uint8_t *p, integer n) =
	v->flushes == 0 &&
	(v->code == TPM2_CC_Load ? tpm_filter_load(f, host, p, n, v->gives) :
		v->gives == TPM_FILTER_NONE &&
		((v->code == TPM2_CC_Create && tpm_filter_create(f, host, p, n)) ||
		 (v->code == TPM2_CC_Unseal && tpm_filter_unseal(f, p, n)) ||
		 (v->code == TPM2_CC_Import && tpm_filter_import(f, host, p, n)) ||
		 (v->code == TPM2_CC_HMAC && tpm_filter_hmac(f, host, p, n)) ||
		 (v->code == TPM2_CC_PolicyNV && tpm_filter_policy_nv(f, p, n))));
    predicate tpm_filter_policy(struct tpm_filter *f, integer code, uint8_t *p, integer n) =
	(code == TPM2_CC_PolicyAuthorize && tpm_filter_authorize(f, p, n)) ||
	(code == TPM2_CC_PolicyPCR && tpm_filter_policy_pcr(f, p, n)) ||
	((code == TPM2_CC_PolicyAuthValue || code == TPM2_CC_PolicyGetDigest) &&
	 tpm_filter_own(f, cursor_be32(p), TPM_FILTER_POLICY) && n == 4);
    predicate tpm_filter_plain(struct tpm_filter *f, struct tpm_filter_host *host,
			       struct tpm_filter_verdict *v, uint8_t *p, integer n) =
	v->code == TPM2_CC_FlushContext ?
		v->gives == TPM_FILTER_NONE && tpm_filter_flush(f, p, n, v->flushes) :
	v->flushes == 0 &&
	(v->code == TPM2_CC_LoadExternal ? tpm_filter_external(host, p, n, v->gives) :
	 v->code == TPM2_CC_StartAuthSession ? tpm_filter_start(host, p, n, v->gives) :
		v->gives == TPM_FILTER_NONE &&
		(tpm_filter_policy(f, v->code, p, n) ||
		 (v->code == TPM2_CC_VerifySignature && tpm_filter_verify(f, p, n)) ||
		 (v->code == TPM2_CC_ReadPublic && tpm_filter_srk(host, p) && n == 4) ||
		 (v->code == TPM2_CC_PCR_Read && tpm_filter_selection(p) && n == 10) ||
		 (v->code == TPM2_CC_GetRandom && n == 2 &&
		  cursor_be16(p) <= TPM_FILTER_RANDOM_MAX)));
    predicate tpm_filter_header(uint8_t *cmd, integer len, integer tag,
				struct tpm_filter_verdict *v) =
	10 <= len <= TPM_FILTER_COMMAND_MAX && cursor_be16(cmd) == tag &&
	cursor_be32(cmd + 2) == len && cursor_be32(cmd + 6) == v->code;
    predicate tpm_filter_listed(struct tpm_filter *f, struct tpm_filter_host *host,
				uint8_t *cmd, integer len, struct tpm_filter_verdict *v) =
	(tpm_filter_header(cmd, len, TPM2_ST_SESSIONS, v) &&
	 tpm_filter_authorized(f, host, v, cmd + 10, len - 10)) ||
	(tpm_filter_header(cmd, len, TPM2_ST_NO_SESSIONS, v) &&
	 tpm_filter_plain(f, host, v, cmd + 10, len - 10));
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
