/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/hosttpm.h"
#include "lib/tpm2/policy.h"
#include "lib/tpm2/code.h"
#include "lib/tpm2/commands.h"
#include "lib/tpm2/duplicate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECRET_MAX 128 /* Part 2, 11.1.15: MAX_SYM_DATA */
#define ALL_PCRS   ((1u << TPM2_PCRS) - 1)
#define SHOWN_PCRS 3  /* in an error's one sentence */
#define TICKET_MAX 72 /* TPMT_TK_VERIFIED: tag, hierarchy, digest */
/* A format one code without the parameter, handle or session that it is about (Part 2,
 * 6.6.2) */
#define ERROR_FMT1 0x0bfu
/* TPMA_OBJECT of what is sealed: no userWithAuth, so that only the policy opens it (Part 2,
 * 8.3). */
#define SEALED_ATTRIBUTES                                                               \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_ADMINWITHPOLICY | \
	 TPMA_OBJECT_NODA)

static const struct {
	TPM2_CC code;
	const char *name;
} commands[] = {
	{TPM2_CC_PolicyNV, "PolicyNV"},
	{TPM2_CC_Create, "Create"},
	{TPM2_CC_Load, "Load"},
	{TPM2_CC_Import, "Import"},
	{TPM2_CC_HMAC, "HMAC"},
	{TPM2_CC_Unseal, "Unseal"},
	{TPM2_CC_FlushContext, "FlushContext"},
	{TPM2_CC_LoadExternal, "LoadExternal"},
	{TPM2_CC_PolicyAuthorize, "PolicyAuthorize"},
	{TPM2_CC_PolicyAuthValue, "PolicyAuthValue"},
	{TPM2_CC_ReadPublic, "ReadPublic"},
	{TPM2_CC_StartAuthSession, "StartAuthSession"},
	{TPM2_CC_VerifySignature, "VerifySignature"},
	{TPM2_CC_GetRandom, "GetRandom"},
	{TPM2_CC_PCR_Read, "PCR_Read"},
	{TPM2_CC_PolicyPCR, "PolicyPCR"},
	{TPM2_CC_PolicyGetDigest, "PolicyGetDigest"},
	{TPM2_CC_PolicySigned, "PolicySigned"},
	{TPM2_CC_NV_Write, "NV_Write"},
	{TPM2_CC_EvictControl, "EvictControl"},
	{TPM2_CC_Quote, "Quote"},
};

static const char *command_name(TPM2_CC code)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].code == code)
			return commands[i].name;
	return "?";
}

/* A warning (Part 2, 6.6.3) that is not waited for, as a lockout, and PCRs that changed in
 * the midst of a policy, pass as well. */
static enum cause refusal(uint32_t code)
{
	bool warns = (code & 0x980) == 0x900;

	return warns || code == 0x128 ? CAUSE_TPM_BUSY : CAUSE_TPM_REFUSED;
}

static int refused(const struct tpm2_cmd *c, int rc, struct error *e)
{
	if (tpm2_busy_is_code(c->rc))
		return error_set(
			e, rc, CAUSE_TPM_BUSY,
			"the host's TPM is busy: it answered TPM2_%s with code 0x%03X for "
			"%d s; nothing was changed, try again later",
			command_name(c->code), c->rc, TPM2_BUSY_S);
	return error_set(e, rc, refusal(c->rc),
			 "the host's TPM refused TPM2_%s with code 0x%03X (%s): %s",
			 command_name(c->code), c->rc, tpm2_code_words(c->rc),
			 tpm2_code_step(c->rc));
}

static int transport_failed(const struct tpm2_cmd *c, int rc, struct error *e)
{
	/* whether these were carried out before the answer was lost is not known */
	bool lasts = c->code == TPM2_CC_NV_Write || c->code == TPM2_CC_EvictControl;

	/* not a command that vtpmd lets through, or not at this time */
	if (rc == -EPERM || rc == -ECANCELED)
		return error_set(
			e, rc, CAUSE_TPM_REFUSED,
			"vtpmd does not let this vTPM send TPM2_%s to the host's TPM: it "
			"took longer than the 180 s it has for that, or vtpmd and the "
			"vTPM are of different versions; see `journalctl -u vtpmd`",
			command_name(c->code));
	if (rc == -EBUSY || rc == -EAGAIN)
		return error_set(e, rc, CAUSE_TPM_BUSY,
				 "vtpmd is busy with another command of this vTPM's for "
				 "the host's TPM; nothing was changed, try again later");
	return error_set(e, rc, CAUSE_TPM_UNREACHABLE,
			 "the host's TPM cannot be reached (%s): see that /dev/tpmrm0 "
			 "exists and that the TPM is enabled%s",
			 strerror(-rc), lasts ? "" : "; nothing was changed");
}

int hosttpm_result(const struct tpm2_cmd *c, int rc, struct error *e)
{
	if (!rc)
		return 0;
	if (c->stage == TPM2_NOT_ANSWERED)
		return transport_failed(c, rc, e);
	if (rc == -EREMOTEIO)
		return refused(c, rc, e);
	if (rc == -EIO)
		return error_crypto(e, rc, "the host TPM's session");
	if (c->stage == TPM2_NOT_SENT)
		return error_set(e, rc, CAUSE_INTERNAL, "TPM2_%s could not be made (%s)",
				 command_name(c->code), strerror(-rc));
	return error_set(
		e, -EBADMSG, CAUSE_TPM_REFUSED,
		"the host's TPM gave an answer that is malformed or not authentic (to "
		"TPM2_%s): something between this program and the TPM alters what they "
		"say",
		command_name(c->code));
}

void hosttpm_flush(struct hosttpm *h, uint32_t handle)
{
	if (handle)
		(void)!tpm2_flush_context(&h->cmd, handle);
}

void hosttpm_close(struct hosttpm *h)
{
	tpm2_wipe(&h->cmd);
}

int hosttpm_random(const struct tpm2_transport *t, uint8_t *out, size_t len,
		   struct error *e)
{
	struct tpm2_cmd c = {.transport = t, .waits = true};
	struct tpm2_bytes got;
	int rc = 0;

	while (len && !rc) {
		rc = tpm2_get_random(&c, len > 32 ? 32 : len, &got);
		if (rc)
			break;
		memcpy(out, got.p, got.n);
		out += got.n;
		len -= got.n;
	}
	rc = hosttpm_result(&c, rc, e);
	tpm2_wipe(&c);
	return rc;
}

static int replaced(const struct hosttpm_config *c, const char *how, struct error *e)
{
	return error_set(
		e, -EXDEV, CAUSE_TPM_REPLACED,
		"the host's TPM was replaced or cleared (%s at 0x%08X): bring the "
		"old TPM back, or, when it is lost, run `vtpmctl host init --force "
		"--new-tpm`; nothing was changed",
		how, c->srk_handle);
}

int hosttpm_open(struct hosttpm *h, const struct hosttpm_config *c,
		 const struct tpm2_transport *t, struct error *e)
{
	uint8_t name[TPM2_NAME_SIZE];
	struct tpm2_bytes public, its_name;
	int rc;

	*h = (struct hosttpm){.c = c, .cmd = {.transport = t, .waits = true}};
	rc = tpm2_read_public(&h->cmd, c->srk_handle, &public, &its_name);
	if (rc == -EREMOTEIO && (h->cmd.rc & 0xbf) == TPM2_RC_HANDLE)
		return replaced(c, "it has no storage key", e);
	if (rc)
		return hosttpm_result(&h->cmd, rc, e);
	/* the Names that it gives are what the relay says: ours is computed */
	if (tpm2_name(public, name) || memcmp(name, c->srk_name, sizeof(name)))
		return replaced(c, "its storage key is not the pinned one", e);
	if (tpm2_storage_point(public, &h->srk))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "the host TPM's storage key is no ECC P-256 key: run "
				 "`vtpmctl host init` again");
	return 0;
}

bool hosttpm_again(const struct hosttpm *h, struct tpm2_busy *b, struct error *e)
{
	if (!h->cmd.yielded || !tpm2_busy_pause(b))
		return false;
	*e = (struct error){.cause = CAUSE_NONE};
	return true;
}

int hosttpm_start(struct hosttpm *h, uint8_t type, struct tpm2_session *s,
		  struct error *e)
{
	struct tpm2_point salt;
	int rc = tpm2_session_salt(s, &h->srk, &salt);

	if (rc)
		return error_set(
			e, rc, CAUSE_RANDOM,
			"no salt can be made for the host's TPM: there is no good "
			"source of random numbers, or its storage key is no point "
			"of P-256");
	return hosttpm_result(
		&h->cmd,
		tpm2_start_auth_session(&h->cmd, h->c->srk_handle, type, &salt, s), e);
}

void hosttpm_end(struct hosttpm *h, struct tpm2_session *s)
{
	hosttpm_flush(h, s->handle);
	tpm2_session_wipe(s);
}

static struct tpm2_object srk_of(const struct hosttpm *h)
{
	return (struct tpm2_object){h->c->srk_handle, h->c->srk_name};
}

/* Whether a TPMT_PUBLIC is what hosttpm_seal() makes: what else claims to be one of our
 * sealed objects is damaged, and vtpmd lets none but these through. */
static bool is_sealed(struct tpm2_bytes public)
{
	struct cursor c = cursor_reader(public.p, public.n);
	bool is = cursor_u16(&c) == TPM2_ALG_KEYEDHASH &&
		  cursor_u16(&c) == TPM2_ALG_SHA256 &&
		  cursor_u32(&c) == SEALED_ATTRIBUTES &&
		  tpm2_get_2b(&c).n == CRYPT_HASH_SIZE &&
		  cursor_u16(&c) == TPM2_ALG_NULL &&
		  tpm2_get_2b(&c).n == CRYPT_HASH_SIZE; /* unique */

	return cursor_done(&c) && is;
}

static int policy_key_name(const struct hosttpm_config *c, uint8_t name[TPM2_NAME_SIZE],
			   struct error *e)
{
	const struct tpm2_bytes key = {c->policy_key, c->policy_key_len};

	if (!key.n || key.n > UINT16_MAX || tpm2_name(key, name))
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"the host has no policy key, or one that is damaged: run "
			"`vtpmctl host init`");
	return 0;
}

/* The authPolicy of a sealed object. -EINVAL, CAUSE_NOT_CONFIGURED */
static int make_policy(const struct hosttpm_config *c, enum approval_purpose purpose,
		       bool with_auth, uint8_t digest[CRYPT_HASH_SIZE], struct error *e)
{
	uint8_t name[TPM2_NAME_SIZE], ref[CRYPT_HASH_SIZE];
	int rc;

	rc = policy_key_name(c, name, e);
	if (rc)
		return rc;
	rc = policy_ref(purpose, c->srk_name, ref);
	if (!rc)
		rc = policy_authorize(digest, name, ref);
	if (!rc && with_auth)
		rc = policy_auth_value(digest);
	return rc ? error_crypto(e, rc, "SHA-256") : 0;
}

int hosttpm_create(struct hosttpm *h, const struct tpm2_template *template,
		   struct tpm2_bytes auth, struct tpm2_bytes secret, uint8_t *object,
		   size_t *len, struct error *e)
{
	struct cursor out = cursor_writer(object, *len);
	struct tpm2_bytes private, public;
	struct tpm2_session s = {0};
	int rc = hosttpm_start(h, TPM2_SE_HMAC, &s, e);

	if (rc)
		goto out;
	rc = tpm2_create(&h->cmd, srk_of(h), &(struct tpm2_auth){.session = &s}, template,
			 auth, secret, &public, &private);
	rc = hosttpm_result(&h->cmd, rc, e);
	if (rc)
		goto out;
	tpm2_put_2b(&out, public);
	tpm2_put_2b(&out, private);
	*len = out.pos;
	if (!cursor_ok(&out))
		rc = error_set(e, -ENOSPC, CAUSE_INTERNAL, "a sealed object is too long");
out:
	hosttpm_end(h, &s);
	return rc;
}

int hosttpm_seal(const struct hosttpm_config *c, const struct tpm2_transport *t,
		 enum approval_purpose purpose, const uint8_t *auth,
		 const uint8_t *secret, size_t len, uint8_t *object, size_t *object_len,
		 struct error *e)
{
	const struct tpm2_bytes key = {auth, auth ? TPM2_AUTH_SIZE : 0};
	const struct tpm2_bytes data = {secret, len};
	uint8_t policy[CRYPT_HASH_SIZE];
	const struct tpm2_template template = {.type = TPM2_ALG_KEYEDHASH,
					       .name_alg = TPM2_ALG_SHA256,
					       .attributes = SEALED_ATTRIBUTES,
					       .policy = {policy, sizeof(policy)}};
	struct hosttpm h;
	int rc;

	if (!len || len > SECRET_MAX)
		return error_set(e, -EINVAL, CAUSE_INTERNAL, "%zu bytes cannot be sealed",
				 len);
	rc = make_policy(c, purpose, auth, policy, e);
	if (rc)
		return rc;
	rc = hosttpm_open(&h, c, t, e);
	if (!rc)
		rc = hosttpm_create(&h, &template, key, data, object, object_len, e);
	hosttpm_close(&h);
	return rc;
}

static uint32_t differing(const struct approval *a,
			  uint8_t value[TPM2_PCRS][CRYPT_HASH_SIZE])
{
	uint32_t diff = 0, i;

	for (i = 0; i < TPM2_PCRS; i++)
		if (a->pcrs & 1u << i && memcmp(a->value[i], value[i], CRYPT_HASH_SIZE))
			diff |= 1u << i;
	return diff;
}

static void first_hex(const uint8_t *value, char out[9])
{
	snprintf(out, 9, "%02x%02x%02x%02x", value[0], value[1], value[2], value[3]);
}

/* Says which PCRs keep the nearest approval from fitting. */
static int changed(const struct approval *a, uint32_t diff,
		   uint8_t value[TPM2_PCRS][CRYPT_HASH_SIZE], struct error *e)
{
	char list[192] = "", is[9], was[9];
	int used = 0, shown = 0, i;

	for (i = 0; i < TPM2_PCRS && shown < SHOWN_PCRS; i++) {
		if (!(diff & 1u << i))
			continue;
		first_hex(value[i], is);
		first_hex(a->value[i], was);
		used += snprintf(list + used, sizeof(list) - used,
				 "%sPCR %d is %s.. but %s.. was approved",
				 shown++ ? ", " : "", i, is, was);
		diff &= ~(1u << i);
	}
	if (diff)
		snprintf(list + used, sizeof(list) - used, ", and %d more differ",
			 __builtin_popcount(diff));
	return error_set(e, -EACCES, CAUSE_PCRS_CHANGED,
			 "the host's boot state is not approved: %s; boot the approved "
			 "software, or, when the change is yours, run `vtpmctl host "
			 "approve`",
			 list);
}

static int parse_all(const struct hosttpm_config *c, struct approval *a, uint32_t *wanted,
		     struct error *e)
{
	size_t i;

	if (!c->approvals)
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"no boot state of this host is approved yet: run `vtpmctl "
			"host init`");
	for (i = 0; i < c->approvals; i++) {
		if (approval_parse(c->approval[i], c->approval_len[i], a))
			return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
					 "approval %zu of this host is damaged: run "
					 "`vtpmctl host approve`",
					 i + 1);
		*wanted |= a->pcrs;
	}
	return 0;
}

static int read_pcrs(struct hosttpm *h, uint32_t wanted,
		     uint8_t value[TPM2_PCRS][CRYPT_HASH_SIZE], struct error *e)
{
	const struct tpm2_hash *sha256 = tpm2_hash_of(TPM2_ALG_SHA256);
	uint32_t got;
	int rc;

	for (; wanted; wanted &= ~got) {
		rc = tpm2_pcr_read(&h->cmd, sha256, wanted, &got, value[0]);
		if (rc)
			return hosttpm_result(&h->cmd, rc, e);
		if (!(got & wanted))
			return error_set(
				e, -ENODEV, CAUSE_TPM_REFUSED,
				"the host's TPM has no SHA-256 PCR bank: allocate it in "
				"the firmware's setup");
	}
	return 0;
}

/* Reads the PCRs and finds the approval that they fit.  -EACCES with
 * CAUSE_PCRS_CHANGED, -EINVAL with CAUSE_NOT_CONFIGURED. */
static int match_approval(struct hosttpm *h, struct approval *a, struct error *e)
{
	const struct hosttpm_config *c = h->c;
	uint8_t value[TPM2_PCRS][CRYPT_HASH_SIZE];
	uint32_t wanted = 0, diff, best_diff = ALL_PCRS;
	size_t i, best = 0;
	int rc;

	rc = parse_all(c, a, &wanted, e);
	if (!rc)
		rc = read_pcrs(h, wanted, value, e);
	if (rc)
		return rc;
	for (i = 0; i < c->approvals; i++) {
		rc = approval_parse(c->approval[i], c->approval_len[i], a);
		diff = differing(a, value);
		if (rc || !diff)
			return rc;
		if (!i || __builtin_popcount(diff) < __builtin_popcount(best_diff)) {
			best = i;
			best_diff = diff;
		}
	}
	rc = approval_parse(c->approval[best], c->approval_len[best], a);
	return rc ? rc : changed(a, best_diff, value, e);
}

/* The refusals of TPM2_PolicyNV that say that the approval is no longer one: the counter
 * has another value (TPM_RC_POLICY), no value, or is not there. */
static int revoked(uint32_t code, struct error *e)
{
	if (code == TPM2_RC_POLICY)
		return error_set(
			e, -EACCES, CAUSE_PCRS_CHANGED,
			"the approval of this host's boot state was revoked; boot "
			"software that is approved, or run `vtpmctl host approve` "
			"with the policy key");
	return error_set(
		e, -EACCES, CAUSE_TPM_REFUSED,
		"the counter of revocations (NV index 0x%08x) is not in the host's TPM, "
		"or not the one that approvals were given with (code 0x%03x): somebody "
		"removed it; `vtpmctl host init --force` with the same policy key makes it "
		"anew",
		CHANNEL_COUNTER_INDEX, code);
}

/* PolicyNV in the policy session: the counter of revocations equals the approval's number. */
static int policy_counter(struct hosttpm *h, uint32_t policy, const struct approval *a,
			  struct error *e)
{
	const struct tpm2_object counter = {CHANNEL_COUNTER_INDEX, h->c->counter_name};
	struct tpm2_session s = {0};
	int rc = hosttpm_start(h, TPM2_SE_HMAC, &s, e);

	if (rc)
		goto out;
	tpm2_session_auth(&s, h->c->auth, sizeof(h->c->auth), true);
	rc = tpm2_policy_nv(&h->cmd, counter, &(struct tpm2_auth){.session = &s}, policy,
			    a->number);
	rc = rc == -EREMOTEIO ? revoked(h->cmd.rc, e) : hosttpm_result(&h->cmd, rc, e);
out:
	hosttpm_end(h, &s);
	return rc;
}

/* Whether the session has come to the approved digest.  -EACCES, CAUSE_PCRS_CHANGED */
static int check_approved(struct hosttpm *h, uint32_t policy, const struct approval *a,
			  struct error *e)
{
	struct tpm2_bytes digest;
	int rc = tpm2_policy_get_digest(&h->cmd, policy, &digest);

	if (rc)
		return hosttpm_result(&h->cmd, rc, e);
	if (digest.n != CRYPT_HASH_SIZE || memcmp(digest.p, a->digest, CRYPT_HASH_SIZE))
		return error_set(e, -EACCES, CAUSE_PCRS_CHANGED,
				 "the host's boot state changed while it was checked, or "
				 "its approval is damaged: try again, then run `vtpmctl "
				 "host approve`");
	return 0;
}

/* The TPM checks the approval's signature of hash, and gives a ticket for it. */
static int get_ticket(struct hosttpm *h, const struct approval_signature *s,
		      const uint8_t hash[CRYPT_HASH_SIZE], uint8_t ticket[TICKET_MAX],
		      size_t *len, struct error *e)
{
	uint8_t bytes[APPROVAL_SIGNATURE_SIZE];
	struct tpm2_bytes got = {0};
	struct cursor w = cursor_writer(bytes, sizeof(bytes));
	uint32_t key;
	int rc;

	rc = tpm2_load_external(
		&h->cmd, (struct tpm2_bytes){h->c->policy_key, h->c->policy_key_len});
	if (rc)
		return hosttpm_result(&h->cmd, rc, e);
	key = h->cmd.handle;
	approval_put_signature(&w, s);
	rc = tpm2_verify_signature(&h->cmd, key, hash,
				   (struct tpm2_bytes){bytes, sizeof(bytes)}, &got);
	if (!rc && got.n > TICKET_MAX)
		rc = -EBADMSG;
	if (!rc)
		memcpy(ticket, got.p, got.n);
	*len = got.n;
	rc = hosttpm_result(&h->cmd, rc, e);
	hosttpm_flush(h, key);
	return rc;
}

static int authorize_policy(struct hosttpm *h, uint32_t policy, const struct approval *a,
			    enum approval_purpose purpose, struct error *e)
{
	uint8_t name[TPM2_NAME_SIZE], ref[CRYPT_HASH_SIZE], hash[CRYPT_HASH_SIZE];
	uint8_t bytes[TICKET_MAX];
	struct tpm2_bytes ticket = {bytes, 0};
	int rc = policy_ref(purpose, h->c->srk_name, ref);

	if (!rc)
		rc = policy_signed(a->digest, ref, hash);
	if (rc)
		return error_crypto(e, rc, "SHA-256");
	rc = get_ticket(h, &a->signature[purpose - 1], hash, bytes, &ticket.n, e);
	if (!rc)
		rc = policy_key_name(h->c, name, e);
	return rc ? rc
		  : hosttpm_result(&h->cmd,
				   tpm2_policy_authorize(&h->cmd, policy, a->digest, ref,
							 name, ticket),
				   e);
}

int hosttpm_satisfy(struct hosttpm *h, uint32_t policy, enum approval_purpose purpose,
		    bool with_auth, struct error *e)
{
	struct approval a;
	int rc;

	rc = match_approval(h, &a, e);
	if (!rc)
		rc = hosttpm_result(&h->cmd, tpm2_policy_pcr(&h->cmd, policy, a.pcrs), e);
	if (!rc)
		rc = policy_counter(h, policy, &a, e);
	if (!rc)
		rc = check_approved(h, policy, &a, e);
	if (!rc)
		rc = authorize_policy(h, policy, &a, purpose, e);
	if (!rc && with_auth)
		rc = hosttpm_result(&h->cmd, tpm2_policy_auth_value(&h->cmd, policy), e);
	return rc;
}

static int damaged(struct error *e)
{
	return error_set(
		e, -EBADMSG, CAUSE_HEADER_CORRUPT,
		"a sealed object of this vTPM is damaged: restore its header from "
		"the previous generation or a backup");
}

int hosttpm_load(struct hosttpm *h, const uint8_t *object, size_t len, uint32_t *handle,
		 struct error *e)
{
	struct cursor cur = cursor_reader(object, len);
	struct tpm2_bytes public = tpm2_get_2b(&cur), private = tpm2_get_2b(&cur);
	struct tpm2_session s = {0};
	int rc;

	*handle = 0;
	if (!cursor_done(&cur))
		return damaged(e);
	rc = hosttpm_start(h, TPM2_SE_HMAC, &s, e);

	if (!rc) {
		rc = tpm2_load(&h->cmd, srk_of(h), &(struct tpm2_auth){.session = &s},
			       public, private);
		*handle = h->cmd.handle; /* also of a response that does not verify */
		rc = hosttpm_result(&h->cmd, rc, e);
	}
	hosttpm_end(h, &s);
	return rc;
}

/* Unseal, in the policy session s; -EKEYREJECTED: the authValue is wrong. */
static int unseal_object(struct hosttpm *h, struct tpm2_object object,
			 struct tpm2_session *s, uint8_t *secret, size_t *len,
			 struct error *e)
{
	struct tpm2_bytes got = {0};
	int rc = tpm2_unseal(&h->cmd, object, &(struct tpm2_auth){.session = s}, &got);
	bool wrong = rc == -EREMOTEIO && h->cmd.rc & TPM2_RC_FMT1 &&
		     (h->cmd.rc & ERROR_FMT1) == TPM2_RC_BAD_AUTH;

	if (!rc && got.n > *len)
		rc = -EBADMSG;
	if (rc) {
		rc = hosttpm_result(&h->cmd, rc, e);
		return wrong ? -EKEYREJECTED : rc;
	}
	memcpy(secret, got.p, got.n);
	*len = got.n;
	return 0;
}

static int unseal_loaded(struct hosttpm *h, enum approval_purpose purpose,
			 const uint8_t *auth, struct tpm2_bytes public, uint32_t handle,
			 uint8_t *secret, size_t *len, struct error *e)
{
	uint8_t name[TPM2_NAME_SIZE];
	struct tpm2_session s = {0};
	int rc;

	if (tpm2_name(public, name))
		return damaged(e);
	rc = hosttpm_start(h, TPM2_SE_POLICY, &s, e);
	if (!rc)
		rc = hosttpm_satisfy(h, s.handle, purpose, auth, e);
	if (!rc) {
		tpm2_session_auth(&s, auth, auth ? TPM2_AUTH_SIZE : 0, auth);
		rc = unseal_object(h, (struct tpm2_object){handle, name}, &s, secret, len,
				   e);
	}
	hosttpm_end(h, &s);
	return rc;
}

/* The TPM's memory for objects and sessions is small, and each of those who open something
 * needs two of either: nobody may wait for the second with the first in hand. */
static int open_sealed(struct hosttpm *h, enum approval_purpose purpose,
		       const uint8_t *auth, struct tpm2_bytes object, uint8_t *secret,
		       size_t *len, struct error *e)
{
	struct cursor cur = cursor_reader(object.p, object.n);
	struct tpm2_bytes public = tpm2_get_2b(&cur);
	uint32_t handle = 0;
	int rc;

	h->cmd.yields = true;
	rc = hosttpm_load(h, object.p, object.n, &handle, e);
	if (!rc)
		rc = unseal_loaded(h, purpose, auth, public, handle, secret, len, e);
	hosttpm_flush(h, handle);
	return rc;
}

int hosttpm_unseal(const struct hosttpm_config *c, const struct tpm2_transport *t,
		   enum approval_purpose purpose, const uint8_t *auth,
		   const uint8_t *object, size_t object_len, uint8_t *secret, size_t *len,
		   struct error *e)
{
	const struct tpm2_bytes whole = {object, object_len};
	struct error why = {.cause = CAUSE_NONE};
	struct cursor cur = cursor_reader(object, object_len);
	struct tpm2_bytes public = tpm2_get_2b(&cur);
	struct tpm2_busy busy = {0};
	struct hosttpm h;
	int rc;

	(void)tpm2_get_2b(&cur); /* private part */
	if (!cursor_done(&cur) || !is_sealed(public) || object_len > HOSTTPM_OBJECT_MAX)
		return damaged(e);
	do {
		rc = hosttpm_open(&h, c, t, &why);
		if (!rc)
			rc = open_sealed(&h, purpose, auth, whole, secret, len, &why);
	} while (rc && hosttpm_again(&h, &busy, &why));
	hosttpm_close(&h);
	return rc ? error_set(e, rc, why.cause, "%s", why.text) : 0;
}
