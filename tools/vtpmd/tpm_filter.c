/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/tpm_filter.h"
#include "include/channel.h"
#include "lib/cursor.h"
#include "lib/slot/shares.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>

/* TPMA_OBJECT of what is sealed: fixedTPM, fixedParent, adminWithPolicy, noDA; no
 * userWithAuth and no sensitiveDataOrigin (Part 2, 8.3) */
#define SEALED_ATTRIBUTES 0x00000492u
/* The same of a pool's key: adminWithPolicy, noDA, sign; it came from outside, so neither
 * fixedTPM nor fixedParent */
#define SHARE_ATTRIBUTES 0x00040480u
/* TPMA_SESSION: continueSession, decrypt, encrypt (Part 2, 8.4) */

#define HASH_SIZE 32
#define NAME_SIZE 34
/* TPM2B_SENSITIVE_CREATE with an authValue of 32 and a secret of 128 bytes */
#define SENSITIVE_MAX (2 + HASH_SIZE + 2 + 128)
#define PRIVATE_MAX   1024
#define RANDOM_MAX    32
/* TPM2B_PRIVATE of a pool's key, encrypted to the storage key (lib/tpm2/duplicate.h) */
#define DUPLICATE_SIZE (2 + HASH_SIZE + 2 + 2 + 2 + 2 + HASH_SIZE + 2 + HASH_SIZE)
/* TPMU_HA's largest: a ticket's digest */
#define DIGEST_MAX 64

/* One command, while it is read. */
struct check {
	struct cursor c;
	const struct tpm_filter *f;
	const struct tpm_filter_host *host;
	struct tpm_filter_verdict *v;
};

static void fail(struct check *k, const char *why)
{
	if (!k->v->why && cursor_ok(&k->c))
		k->v->why = why;
	cursor_fail(&k->c);
}

static void want(struct check *k, bool is)
{
	if (!is)
		cursor_fail(&k->c);
}

static void want_u8(struct check *k, uint8_t value)
{
	want(k, cursor_u8(&k->c) == value);
}

static void want_u16(struct check *k, uint16_t value)
{
	want(k, cursor_u16(&k->c) == value);
}

static void want_u32(struct check *k, uint32_t value)
{
	want(k, cursor_u32(&k->c) == value);
}

/* A TPM2B of so many bytes, whatever they are. */
static void want_bytes(struct check *k, uint16_t size)
{
	want_u16(k, size);
	(void)cursor_bytes(&k->c, size);
}

static void want_bytes_up_to(struct check *k, uint16_t max)
{
	uint16_t size = cursor_u16(&k->c);

	want(k, size <= max);
	(void)cursor_bytes(&k->c, size);
}

static void want_srk(struct check *k)
{
	uint32_t handle = cursor_u32(&k->c);

	if (!k->host->srk || handle != k->host->srk)
		fail(k, "it names a key that is not the manager's to use");
}

static enum tpm_filter_kind kind_of(const struct tpm_filter *f, uint32_t handle)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(f->own); i++)
		if (f->own[i].kind && f->own[i].handle == handle)
			return f->own[i].kind;
	return TPM_FILTER_NONE;
}

static void want_own(struct check *k, enum tpm_filter_kind kind)
{
	uint32_t handle = cursor_u32(&k->c);

	if (kind_of(k->f, handle) != kind)
		fail(k, "it names an object or a session that this vTPM does not have");
}

/* The command makes one more handle. */
static void gives(struct check *k, enum tpm_filter_kind kind)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(k->f->own) && k->f->own[i].kind; i++)
		;
	if (i == ARRAY_SIZE(k->f->own))
		fail(k, "it has too many objects and sessions in the TPM already");
	k->v->gives = kind;
}

/* One TPMS_AUTH_COMMAND (Part 2, 10.13.2) with a session that this manager started. */
static void want_auth(struct check *k, enum tpm_filter_kind kind, uint8_t attributes)
{
	want_u32(k, 4 + 2 + HASH_SIZE + 1 + 2 + HASH_SIZE);
	want_own(k, kind);
	want_bytes(k, HASH_SIZE); /* nonceCaller */
	want_u8(k, attributes);
	want_bytes(k, HASH_SIZE); /* hmac */
}

/* TPM2B_PUBLIC of a sealed object (Part 2, 12.2.4); the TPM fills unique in. */
static void want_sealed(struct check *k, uint16_t unique)
{
	want_u16(k, 2 + 2 + 4 + 2 + HASH_SIZE + 2 + 2 + unique);
	want_u16(k, TPM2_ALG_KEYEDHASH);
	want_u16(k, TPM2_ALG_SHA256);
	want_u32(k, SEALED_ATTRIBUTES);
	want_bytes(k, HASH_SIZE);   /* authPolicy */
	want_u16(k, TPM2_ALG_NULL); /* scheme: data, not a key */
	want_bytes(k, unique);
}

/* TPM2B_PUBLIC of a pool's key: an HMAC key, and nothing that could be unsealed */
static void want_share(struct check *k)
{
	want_u16(k, 2 + 2 + 4 + 2 + HASH_SIZE + 2 + 2 + 2 + HASH_SIZE);
	want_u16(k, TPM2_ALG_KEYEDHASH);
	want_u16(k, TPM2_ALG_SHA256);
	want_u32(k, SHARE_ATTRIBUTES);
	want_bytes(k, HASH_SIZE); /* authPolicy */
	want_u16(k, TPM2_ALG_HMAC);
	want_u16(k, TPM2_ALG_SHA256);
	want_bytes(k, HASH_SIZE); /* unique */
}

/* Whether the object that follows is one that is sealed here, by its attributes. */
static bool is_share(const struct check *k)
{
	struct cursor c = k->c;

	(void)cursor_bytes(&c, 2 + 2 + 2);
	return cursor_u32(&c) == SHARE_ATTRIBUTES;
}

/* TPML_PCR_SELECTION of the SHA-256 bank (Part 2, 10.9.7) */
static void want_selection(struct check *k)
{
	want_u32(k, 1);
	want_u16(k, TPM2_ALG_SHA256);
	want_u8(k, 3);
	(void)cursor_bytes(&k->c, 3);
}

static void check_create(struct check *k)
{
	want_srk(k);
	want_auth(k, TPM_FILTER_HMAC,
		  TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT);
	want_bytes_up_to(k, SENSITIVE_MAX);
	want_sealed(k, 0);
	want_bytes(k, 0); /* outsideInfo */
	want_u32(k, 0);	  /* creationPCR */
}

static void check_load(struct check *k)
{
	bool shares;

	gives(k, TPM_FILTER_SEALED);
	want_srk(k);
	want_auth(k, TPM_FILTER_HMAC, TPMA_SESSION_CONTINUESESSION);
	want_bytes_up_to(k, PRIVATE_MAX);
	shares = is_share(k);
	if (shares)
		want_share(k);
	else
		want_sealed(k, HASH_SIZE);
	if (shares)
		k->v->gives = TPM_FILTER_SHARE;
}

/* Outer wrapper alone; it makes no handle. */
static void check_import(struct check *k)
{
	want_srk(k);
	want_auth(k, TPM_FILTER_HMAC, TPMA_SESSION_CONTINUESESSION);
	want_bytes(k, 0); /* encryptionKey */
	want_share(k);
	want_bytes(k, DUPLICATE_SIZE);
	want_bytes(k, 2 + 32 + 2 + 32); /* inSymSeed: a point of P-256 */
	want_u16(k, TPM2_ALG_NULL);
}

static bool is_uuid_of(const struct tpm_filter_host *host, const uint8_t *uuid)
{
	size_t i;

	for (i = 0; uuid && i < ARRAY_SIZE(host->uuid); i++)
		if (host->uuid[i] && !memcmp(host->uuid[i], uuid, 16))
			return true;
	return false;
}

/* What a pool's key is to authenticate, which goes in clear: lib/slot/shares.h.  The share of
 * another vTPM would open that one, to who has its header and the KMS. */
static void check_hmac(struct check *k)
{
	const uint8_t *label, *uuid;

	want_own(k, TPM_FILTER_SHARE);
	want_auth(k, TPM_FILTER_POLICY,
		  TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_ENCRYPT);
	want_u16(k, SHARES_POOL_SIZE);
	label = cursor_bytes(&k->c, sizeof(SHARES_POOL_LABEL) - 1);
	want(k,
	     label && !memcmp(label, SHARES_POOL_LABEL, sizeof(SHARES_POOL_LABEL) - 1));
	(void)cursor_u32(&k->c); /* version of the key */
	uuid = cursor_bytes(&k->c, 16);
	if (!is_uuid_of(k->host, uuid))
		fail(k, "it asks for the key share of another vTPM");
	(void)cursor_bytes(&k->c, HASH_SIZE); /* nonce */
	want_u16(k, TPM2_ALG_SHA256);
}

static void check_unseal(struct check *k)
{
	want_own(k, TPM_FILTER_SEALED);
	want_auth(k, TPM_FILTER_POLICY,
		  TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_ENCRYPT);
}

static void check_flush(struct check *k)
{
	k->v->flushes = cursor_u32(&k->c);
	if (!kind_of(k->f, k->v->flushes))
		fail(k, "it names an object or a session that this vTPM does not have");
}

/* The policy key, without a private part; of the owner's hierarchy, for its ticket. */
static void check_load_external(struct check *k)
{
	const struct tpm_filter_host *host = k->host;
	const uint8_t *key;
	uint16_t size;

	gives(k, TPM_FILTER_KEY);
	want_bytes(k, 0);
	size = cursor_u16(&k->c);
	key = cursor_bytes(&k->c, size);
	if (!size || size != host->policy_key_len || !key ||
	    memcmp(key, host->policy_key, size))
		fail(k, "it loads another key than the host's policy key");
	want_u32(k, TPM2_RH_OWNER);
}

static void check_verify_signature(struct check *k)
{
	want_own(k, TPM_FILTER_KEY);
	want_bytes(k, HASH_SIZE);
	want_u16(k, TPM2_ALG_ECDSA);
	want_u16(k, TPM2_ALG_SHA256);
	want_bytes_up_to(k, HASH_SIZE);
	want_bytes_up_to(k, HASH_SIZE);
}

static void check_policy_authorize(struct check *k)
{
	want_own(k, TPM_FILTER_POLICY);
	want_bytes(k, HASH_SIZE); /* approvedPolicy */
	want_bytes(k, HASH_SIZE); /* policyRef */
	want_bytes(k, NAME_SIZE);
	want_u16(k, TPM2_ST_VERIFIED);
	want_u32(k, TPM2_RH_OWNER);
	want_bytes_up_to(k, DIGEST_MAX);
}

static void check_policy_pcr(struct check *k)
{
	want_own(k, TPM_FILTER_POLICY);
	want_bytes(k, 0); /* pcrDigest */
	want_selection(k);
}

/* The counter of revocations, which authorizes itself and has noDA, and no other index;
 * whether it equals a number. */
static void check_policy_nv(struct check *k)
{
	int i;

	for (i = 0; i < 2; i++)
		if (cursor_u32(&k->c) != CHANNEL_COUNTER_INDEX)
			fail(k, "it names an NV index that is not the manager's to use");
	want_own(k, TPM_FILTER_POLICY);
	want_auth(k, TPM_FILTER_HMAC, TPMA_SESSION_CONTINUESESSION);
	want_bytes(k, 8); /* operandB */
	want_u16(k, 0);	  /* offset */
	want_u16(k, 0);	  /* TPM_EO_EQ */
}

/* PolicyAuthValue, PolicyGetDigest */
static void check_policy_plain(struct check *k)
{
	want_own(k, TPM_FILTER_POLICY);
}

static void check_read_public(struct check *k)
{
	want_srk(k);
}

/* Salted to the storage key, bound to nothing; no trial session. */
static void check_start(struct check *k)
{
	uint8_t type;

	want_srk(k);
	if (cursor_u32(&k->c) != TPM2_RH_NULL)
		fail(k, "its session is bound to an entity of the TPM");
	want_bytes(k, HASH_SIZE);	/* nonceCaller */
	want_bytes(k, 2 + 32 + 2 + 32); /* encryptedSalt: a point of P-256 */
	type = cursor_u8(&k->c);
	want(k, type <= 1);
	want_u16(k, TPM2_ALG_AES);
	want_u16(k, 128);
	want_u16(k, TPM2_ALG_CFB);
	want_u16(k, TPM2_ALG_SHA256);
	gives(k, type ? TPM_FILTER_POLICY : TPM_FILTER_HMAC);
}

static void check_random(struct check *k)
{
	want(k, cursor_u16(&k->c) <= RANDOM_MAX);
}

static const struct row {
	uint32_t code;
	const char *name;
	uint16_t tag;
	/* Reads all that follows the header; NULL: refused, and named for the log only. */
	void (*check)(struct check *k);
} commands[] = {
	{TPM2_CC_PolicyNV, "TPM2_PolicyNV", TPM2_ST_SESSIONS, check_policy_nv},
	{TPM2_CC_Create, "TPM2_Create", TPM2_ST_SESSIONS, check_create},
	{TPM2_CC_Load, "TPM2_Load", TPM2_ST_SESSIONS, check_load},
	{TPM2_CC_Unseal, "TPM2_Unseal", TPM2_ST_SESSIONS, check_unseal},
	{TPM2_CC_Import, "TPM2_Import", TPM2_ST_SESSIONS, check_import},
	{TPM2_CC_HMAC, "TPM2_HMAC", TPM2_ST_SESSIONS, check_hmac},
	{TPM2_CC_FlushContext, "TPM2_FlushContext", TPM2_ST_NO_SESSIONS, check_flush},
	{TPM2_CC_LoadExternal, "TPM2_LoadExternal", TPM2_ST_NO_SESSIONS,
	 check_load_external},
	{TPM2_CC_PolicyAuthorize, "TPM2_PolicyAuthorize", TPM2_ST_NO_SESSIONS,
	 check_policy_authorize},
	{TPM2_CC_PolicyAuthValue, "TPM2_PolicyAuthValue", TPM2_ST_NO_SESSIONS,
	 check_policy_plain},
	{TPM2_CC_ReadPublic, "TPM2_ReadPublic", TPM2_ST_NO_SESSIONS, check_read_public},
	{TPM2_CC_StartAuthSession, "TPM2_StartAuthSession", TPM2_ST_NO_SESSIONS,
	 check_start},
	{TPM2_CC_VerifySignature, "TPM2_VerifySignature", TPM2_ST_NO_SESSIONS,
	 check_verify_signature},
	{TPM2_CC_GetRandom, "TPM2_GetRandom", TPM2_ST_NO_SESSIONS, check_random},
	{TPM2_CC_PCR_Read, "TPM2_PCR_Read", TPM2_ST_NO_SESSIONS, want_selection},
	{TPM2_CC_PolicyPCR, "TPM2_PolicyPCR", TPM2_ST_NO_SESSIONS, check_policy_pcr},
	{TPM2_CC_PolicyGetDigest, "TPM2_PolicyGetDigest", TPM2_ST_NO_SESSIONS,
	 check_policy_plain},
	{TPM2_CC_NV_UndefineSpaceSpecial, "TPM2_NV_UndefineSpaceSpecial", 0, NULL},
	{TPM2_CC_EvictControl, "TPM2_EvictControl", 0, NULL},
	{TPM2_CC_HierarchyControl, "TPM2_HierarchyControl", 0, NULL},
	{TPM2_CC_NV_UndefineSpace, "TPM2_NV_UndefineSpace", 0, NULL},
	{TPM2_CC_ChangeEPS, "TPM2_ChangeEPS", 0, NULL},
	{TPM2_CC_ChangePPS, "TPM2_ChangePPS", 0, NULL},
	{TPM2_CC_Clear, "TPM2_Clear", 0, NULL},
	{TPM2_CC_ClearControl, "TPM2_ClearControl", 0, NULL},
	{TPM2_CC_ClockSet, "TPM2_ClockSet", 0, NULL},
	{TPM2_CC_HierarchyChangeAuth, "TPM2_HierarchyChangeAuth", 0, NULL},
	{TPM2_CC_NV_DefineSpace, "TPM2_NV_DefineSpace", 0, NULL},
	{TPM2_CC_PCR_Allocate, "TPM2_PCR_Allocate", 0, NULL},
	{TPM2_CC_SetPrimaryPolicy, "TPM2_SetPrimaryPolicy", 0, NULL},
	{TPM2_CC_FieldUpgradeStart, "TPM2_FieldUpgradeStart", 0, NULL},
	{TPM2_CC_CreatePrimary, "TPM2_CreatePrimary", 0, NULL},
	{TPM2_CC_NV_Increment, "TPM2_NV_Increment", 0, NULL},
	{TPM2_CC_NV_SetBits, "TPM2_NV_SetBits", 0, NULL},
	{TPM2_CC_NV_Extend, "TPM2_NV_Extend", 0, NULL},
	{TPM2_CC_NV_Write, "TPM2_NV_Write", 0, NULL},
	{TPM2_CC_NV_WriteLock, "TPM2_NV_WriteLock", 0, NULL},
	{TPM2_CC_DictionaryAttackLockReset, "TPM2_DictionaryAttackLockReset", 0, NULL},
	{TPM2_CC_DictionaryAttackParameters, "TPM2_DictionaryAttackParameters", 0, NULL},
	{TPM2_CC_NV_ChangeAuth, "TPM2_NV_ChangeAuth", 0, NULL},
	{TPM2_CC_PCR_Event, "TPM2_PCR_Event", 0, NULL},
	{TPM2_CC_PCR_Reset, "TPM2_PCR_Reset", 0, NULL},
	{TPM2_CC_Startup, "TPM2_Startup", 0, NULL},
	{TPM2_CC_Shutdown, "TPM2_Shutdown", 0, NULL},
	{TPM2_CC_Duplicate, "TPM2_Duplicate", 0, NULL},
	{TPM2_CC_NV_Read, "TPM2_NV_Read", 0, NULL},
	{TPM2_CC_Quote, "TPM2_Quote", 0, NULL},
	{TPM2_CC_Sign, "TPM2_Sign", 0, NULL},
	{TPM2_CC_ContextLoad, "TPM2_ContextLoad", 0, NULL},
	{TPM2_CC_ContextSave, "TPM2_ContextSave", 0, NULL},
	{TPM2_CC_GetCapability, "TPM2_GetCapability", 0, NULL},
	{TPM2_CC_PCR_Extend, "TPM2_PCR_Extend", 0, NULL},
};

static const struct row *row_of(uint32_t code)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].code == code)
			return &commands[i];
	return NULL;
}

static int refuse_filter(struct tpm_filter_verdict *v, const char *why)
{
	if (!v->why)
		v->why = why;
	v->gives = TPM_FILTER_NONE;
	v->flushes = 0;
	return -EPERM;
}

int tpm_filter_check(const struct tpm_filter *f, const struct tpm_filter_host *host,
		     const uint8_t *cmd, size_t len, struct tpm_filter_verdict *v)
{
	struct check k = {cursor_reader(cmd, len), f, host, v};
	uint16_t tag = cursor_u16(&k.c);
	uint32_t size = cursor_u32(&k.c);
	const struct row *row;

	*v = (struct tpm_filter_verdict){.code = cursor_u32(&k.c)};
	if (!cursor_ok(&k.c) || len > TPM_FILTER_COMMAND_MAX || size != len)
		return refuse_filter(v, "its length is wrong");
	if (tag != TPM2_ST_NO_SESSIONS && tag != TPM2_ST_SESSIONS)
		return refuse_filter(v, "it is no TPM 2.0 command");
	row = row_of(v->code);
	if (row)
		v->name = row->name;
	if (!row || !row->check)
		return refuse_filter(v, "it is not on the allow-list");
	if (tag == row->tag) {
		row->check(&k);
		if (cursor_done(&k.c))
			return 0;
	}
	return refuse_filter(v, "it is not as a vTPM's manager makes it");
}

static void forget_filter(struct tpm_filter *f, uint32_t handle)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(f->own); i++)
		if (f->own[i].handle == handle)
			memset(&f->own[i], 0, sizeof(f->own[i]));
}

/* Part 2, 7.2: the handle's first byte is its type. */
static bool may_be(uint32_t handle, enum tpm_filter_kind kind)
{
	switch (kind) {
	case TPM_FILTER_HMAC:
		return handle >> 24 == 0x02;
	case TPM_FILTER_POLICY:
		return handle >> 24 == 0x03;
	case TPM_FILTER_SEALED:
	case TPM_FILTER_KEY:
	case TPM_FILTER_SHARE:
		return handle >> 24 == 0x80;
	case TPM_FILTER_NONE:
		break;
	}
	return false;
}

void tpm_filter_answered(struct tpm_filter *f, const struct tpm_filter_verdict *v,
			 const uint8_t *rsp, size_t len)
{
	struct cursor c = cursor_reader(rsp, len);
	uint32_t handle, code;
	size_t i;

	(void)cursor_u16(&c);
	(void)cursor_u32(&c);
	code = cursor_u32(&c);
	if (!cursor_ok(&c) || code)
		return;
	if (v->flushes)
		forget_filter(f, v->flushes);
	handle = cursor_u32(&c);
	if (!v->gives || !cursor_ok(&c) || !may_be(handle, v->gives))
		return;
	forget_filter(f, handle);
	for (i = 0; i < ARRAY_SIZE(f->own); i++) {
		if (f->own[i].kind)
			continue;
		f->own[i].handle = handle;
		f->own[i].kind = v->gives;
		return;
	}
}
