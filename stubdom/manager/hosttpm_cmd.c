/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/hosttpm_cmd.h"
#include "lib/hostpolicy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOSTTPM_PCRS	       24
#define HOSTTPM_SIGNATURE_SIZE 72 /* TPMT_SIGNATURE: ECDSA P-256, SHA-256 */

/* Pointers point into the configuration. */
struct hosttpm_approval {
	uint32_t selection;		    /* bit n: PCR n */
	const uint8_t *value[HOSTTPM_PCRS]; /* of the selected ones, else NULL */
	uint64_t number;		    /* of revocations */
	const uint8_t *policy;		    /* CRYPT_HASH_SIZE bytes */
	const uint8_t *signature[APPROVAL_PURPOSES];
};

/* A format one code without the parameter, handle or session that it is about (Part 2,
 * 6.6.2) */
#define ERROR_FMT1 0x0bfu
/* TPMA_OBJECT of what is sealed: fixedTPM, fixedParent, adminWithPolicy, noDA;
 * no userWithAuth, so that only the policy opens it (Part 2, 8.3). */
#define SEALED_ATTRIBUTES 0x00000492u

struct hosttpm_bytes hosttpm_cmd_get(struct cursor *c)
{
	struct hosttpm_bytes b;

	b.n = cursor_u16(c);
	b.p = cursor_bytes(c, b.n);
	if (!b.p)
		b.n = 0;
	return b;
}

static void hosttpm_cmd_put(struct cursor *c, struct hosttpm_bytes b)
{
	cursor_put_u16(c, b.n);
	cursor_put(c, b.p, b.n);
}

int hosttpm_cmd_name(struct hosttpm_bytes public, uint8_t name[HOSTTPM_NAME_SIZE])
{
	const struct crypt_part part = {public.p, public.n};
	struct cursor c = cursor_reader(public.p, public.n);
	struct cursor out = cursor_writer(name, 2);

	(void)cursor_u16(&c);
	if (cursor_u16(&c) != TPM2_ALG_SHA256)
		return -EINVAL;
	cursor_put_u16(&out, TPM2_ALG_SHA256);
	return crypt_sha256(&part, 1, name + 2);
}

/* A coordinate, without leading zeroes perhaps. */
static void get_coordinate(struct cursor *c, uint8_t out[HOSTTPM_ECC_SIZE])
{
	struct hosttpm_bytes b = hosttpm_cmd_get(c);

	memset(out, 0, HOSTTPM_ECC_SIZE);
	if (b.n > HOSTTPM_ECC_SIZE)
		cursor_fail(c);
	else if (b.n)
		memcpy(out + HOSTTPM_ECC_SIZE - b.n, b.p, b.n);
}

/* TPMT_PUBLIC of a storage key on P-256, Part 2, 12.2.4 */
static bool parse_srk(struct hosttpm_bytes public, struct hosttpm_point *srk)
{
	struct cursor c = cursor_reader(public.p, public.n);
	bool ok = cursor_u16(&c) == TPM2_ALG_ECC;

	(void)cursor_u16(&c);	   /* nameAlg, checked with the Name */
	(void)cursor_u32(&c);	   /* attributes */
	(void)hosttpm_cmd_get(&c); /* authPolicy */
	if (cursor_u16(&c) != TPM2_ALG_NULL) {
		(void)cursor_u16(&c); /* symmetric key bits */
		(void)cursor_u16(&c); /* and mode */
	}
	ok = cursor_u16(&c) == TPM2_ALG_NULL && ok; /* scheme */
	ok = cursor_u16(&c) == TPM2_ECC_NIST_P256 && ok;
	ok = cursor_u16(&c) == TPM2_ALG_NULL && ok; /* kdf */
	get_coordinate(&c, srk->x);
	get_coordinate(&c, srk->y);
	return cursor_done(&c) && ok;
}

static int replaced(const struct hosttpm_config *c, const char *how, struct error *e)
{
	return error_set(
		e, -EXDEV, CAUSE_TPM_REPLACED,
		"the host's TPM was replaced or cleared (%s at 0x%08X): bring the "
		"old TPM back, or run `vtpmctl host init --force --new-tpm`, then `vtpmctl "
		"recover` for vTPMs with a recovery key; nothing was changed",
		how, c->srk_handle);
}

int hosttpm_cmd_srk(const struct hosttpm_config *c, const struct hosttpm_transport *t,
		    struct hosttpm_point *srk, struct error *e)
{
	uint8_t name[HOSTTPM_NAME_SIZE];
	struct hosttpm_bytes public;
	struct error why = {0};
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_ReadPublic);
	cursor_put_u32(&call.in, c->srk_handle);
	rc = hosttpm_call_run(&call, t, &why);
	if (rc == -EREMOTEIO && (call.code_returned & 0xbf) == TPM2_RC_HANDLE)
		return replaced(c, "it has no storage key", e);
	if (rc)
		return error_set(e, rc, why.cause, "%s", why.text);
	public = hosttpm_cmd_get(&call.out);
	/* the Names that follow are what the relay says: ours is computed */
	if (!cursor_ok(&call.out))
		return hosttpm_call_nonsense(&call, e);
	if (hosttpm_cmd_name(public, name) || memcmp(name, c->srk_name, sizeof(name)))
		return replaced(c, "its storage key is not the pinned one", e);
	if (!parse_srk(public, srk))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "the host TPM's storage key is no ECC P-256 key: run "
				 "`vtpmctl host init` again");
	return 0;
}

static void put_point(struct cursor *c, const struct hosttpm_point *p)
{
	size_t mark = cursor_mark_u16(c);

	hosttpm_cmd_put(c, (struct hosttpm_bytes){p->x, sizeof(p->x)});
	hosttpm_cmd_put(c, (struct hosttpm_bytes){p->y, sizeof(p->y)});
	cursor_patch_u16(c, mark);
}

int hosttpm_cmd_start(const struct hosttpm_config *c, const struct hosttpm_transport *t,
		      uint8_t type, const struct hosttpm_point *srk,
		      struct hosttpm_session *s, struct error *e)
{
	struct hosttpm_point point;
	struct hosttpm_bytes nonce;
	struct hosttpm_call call;
	int rc;

	rc = hosttpm_session_salt(s, srk, &point);
	if (rc)
		return error_set(
			e, rc, CAUSE_RANDOM,
			"no salt can be made for the host's TPM: there is no good "
			"source of random numbers, or its storage key is no point "
			"of P-256");
	hosttpm_call_begin(&call, TPM2_CC_StartAuthSession);
	call.gives_handle = true;
	cursor_put_u32(&call.in, c->srk_handle);
	cursor_put_u32(&call.in, TPM2_RH_NULL); /* bound to nothing */
	hosttpm_cmd_put(&call.in,
			(struct hosttpm_bytes){s->nonce_caller, sizeof(s->nonce_caller)});
	put_point(&call.in, &point);
	cursor_put_u8(&call.in, type);
	cursor_put_u16(&call.in, TPM2_ALG_AES);
	cursor_put_u16(&call.in, 128);
	cursor_put_u16(&call.in, TPM2_ALG_CFB);
	cursor_put_u16(&call.in, TPM2_ALG_SHA256);
	rc = hosttpm_call_run(&call, t, e);
	if (rc)
		return rc;
	nonce = hosttpm_cmd_get(&call.out);
	if (!cursor_done(&call.out) || nonce.n != HOSTTPM_NONCE_SIZE ||
	    !call.handle_returned) {
		hosttpm_cmd_flush(t, call.handle_returned);
		return hosttpm_call_nonsense(&call, e);
	}
	rc = hosttpm_session_derive_key(s, call.handle_returned, nonce.p);
	if (rc)
		hosttpm_cmd_flush(t, call.handle_returned);
	return rc ? error_crypto(e, rc, "HMAC-SHA256") : 0;
}

void hosttpm_cmd_flush(const struct hosttpm_transport *t, uint32_t handle)
{
	struct hosttpm_call call;

	if (!handle)
		return;
	hosttpm_call_begin(&call, TPM2_CC_FlushContext);
	cursor_put_u32(&call.in, handle);
	(void)!hosttpm_call_run(&call, t, NULL);
}

/* A command on the storage key, whose authValue is empty. */
static void begin_on_srk(struct hosttpm_call *call, TPM2_CC code,
			 const struct hosttpm_config *c, struct hosttpm_session *s)
{
	hosttpm_call_begin(call, code);
	call->session = s;
	call->attributes = TPMA_SESSION_CONTINUESESSION;
	hosttpm_call_handle(call, c->srk_handle, c->srk_name);
}

/* TPM2B_PUBLIC of a sealed object. */
static void put_hosttpm_template(struct cursor *c, const uint8_t policy[CRYPT_HASH_SIZE])
{
	size_t mark = cursor_mark_u16(c);

	cursor_put_u16(c, TPM2_ALG_KEYEDHASH);
	cursor_put_u16(c, TPM2_ALG_SHA256);
	cursor_put_u32(c, SEALED_ATTRIBUTES);
	hosttpm_cmd_put(c, (struct hosttpm_bytes){policy, CRYPT_HASH_SIZE});
	cursor_put_u16(c, TPM2_ALG_NULL); /* scheme: data, not a key */
	cursor_put_u16(c, 0);		  /* unique */
	cursor_patch_u16(c, mark);
}

bool hosttpm_cmd_is_sealed(struct hosttpm_bytes public)
{
	struct cursor c = cursor_reader(public.p, public.n);
	bool is = cursor_u16(&c) == TPM2_ALG_KEYEDHASH &&
		  cursor_u16(&c) == TPM2_ALG_SHA256 &&
		  cursor_u32(&c) == SEALED_ATTRIBUTES &&
		  hosttpm_cmd_get(&c).n == CRYPT_HASH_SIZE &&
		  cursor_u16(&c) == TPM2_ALG_NULL &&
		  hosttpm_cmd_get(&c).n == CRYPT_HASH_SIZE; /* unique */

	return cursor_done(&c) && is;
}

int hosttpm_cmd_create(const struct hosttpm_config *c, const struct hosttpm_transport *t,
		       struct hosttpm_session *s, const uint8_t policy[CRYPT_HASH_SIZE],
		       struct hosttpm_bytes auth, struct hosttpm_bytes secret,
		       uint8_t *object, size_t *len, struct error *e)
{
	struct cursor out = cursor_writer(object, *len);
	struct hosttpm_bytes private, public;
	struct hosttpm_call call;
	size_t mark;
	int rc;

	begin_on_srk(&call, TPM2_CC_Create, c, s);
	call.attributes |= TPMA_SESSION_DECRYPT;
	mark = cursor_mark_u16(&call.in);
	hosttpm_cmd_put(&call.in, auth);
	hosttpm_cmd_put(&call.in, secret);
	cursor_patch_u16(&call.in, mark);
	put_hosttpm_template(&call.in, policy);
	cursor_put_u16(&call.in, 0); /* outsideInfo */
	cursor_put_u32(&call.in, 0); /* creationPCR */
	rc = hosttpm_call_run(&call, t, e);
	if (rc)
		goto out;
	private = hosttpm_cmd_get(&call.out);
	public = hosttpm_cmd_get(&call.out);
	if (!cursor_ok(&call.out)) {
		rc = hosttpm_call_nonsense(&call, e);
		goto out;
	}
	hosttpm_cmd_put(&out, public);
	hosttpm_cmd_put(&out, private);
	*len = out.pos;
	if (!cursor_ok(&out))
		rc = error_set(e, -ENOSPC, CAUSE_INTERNAL, "a sealed object is too long");
out:
	hosttpm_call_wipe(&call);
	return rc;
}

/* PolicyNV in the policy session: the counter of revocations equals number.  s has the
 * counter's authValue.  *code: of a refusal. */
static int hosttpm_cmd_policy_nv(const struct hosttpm_config *c,
				 const struct hosttpm_transport *t,
				 struct hosttpm_session *s, uint32_t policy,
				 uint64_t number, uint32_t *code, struct error *e)
{
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_PolicyNV);
	call.session = s;
	call.attributes = TPMA_SESSION_CONTINUESESSION;
	hosttpm_call_handle(&call, CHANNEL_COUNTER_INDEX, c->counter_name);
	hosttpm_call_handle(&call, CHANNEL_COUNTER_INDEX, c->counter_name);
	hosttpm_call_handle(&call, policy, NULL);
	cursor_put_u16(&call.in, sizeof(number));
	cursor_put_u64(&call.in, number);
	cursor_put_u16(&call.in, 0); /* offset */
	cursor_put_u16(&call.in, 0); /* TPM_EO_EQ */
	rc = hosttpm_call_run(&call, t, e);
	*code = call.code_returned;
	return rc;
}

int hosttpm_cmd_load(const struct hosttpm_config *c, const struct hosttpm_transport *t,
		     struct hosttpm_session *s, struct hosttpm_bytes public,
		     struct hosttpm_bytes private, uint32_t *handle, struct error *e)
{
	struct hosttpm_call call;
	int rc;

	begin_on_srk(&call, TPM2_CC_Load, c, s);
	call.gives_handle = true;
	hosttpm_cmd_put(&call.in, private);
	hosttpm_cmd_put(&call.in, public);
	rc = hosttpm_call_run(&call, t, e);
	*handle = call.handle_returned;
	return rc;
}

int hosttpm_cmd_unseal(const struct hosttpm_transport *t, struct hosttpm_session *s,
		       uint32_t handle, const uint8_t name[HOSTTPM_NAME_SIZE],
		       uint8_t *out, size_t *len, struct error *e)
{
	struct hosttpm_bytes secret;
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_Unseal);
	call.session = s;
	call.attributes = TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_ENCRYPT;
	hosttpm_call_handle(&call, handle, name);
	rc = hosttpm_call_run(&call, t, e);
	if (rc == -EREMOTEIO && (call.code_returned & TPM2_RC_FMT1) &&
	    (call.code_returned & ERROR_FMT1) == TPM2_RC_BAD_AUTH)
		rc = -EKEYREJECTED;
	if (rc)
		goto out;
	secret = hosttpm_cmd_get(&call.out);
	if (!cursor_done(&call.out) || secret.n > *len) {
		rc = hosttpm_call_nonsense(&call, e);
		goto out;
	}
	memcpy(out, secret.p, secret.n);
	*len = secret.n;
out:
	hosttpm_call_wipe(&call);
	return rc;
}

#define ALL_PCRS   ((1u << HOSTTPM_PCRS) - 1)
#define SHOWN_PCRS 3 /* in an error's one sentence */

struct pcrs {
	uint8_t value[HOSTTPM_PCRS][CRYPT_HASH_SIZE];
};

/* -EBADMSG when the bytes are no approval. */
static int hosttpm_pcr_parse(const uint8_t *buf, size_t len, struct hosttpm_approval *a)
{
	struct cursor c = cursor_reader(buf, len);
	uint8_t count = cursor_u8(&c), index;
	size_t i;

	memset(a, 0, sizeof(*a));
	for (; count; count--) {
		index = cursor_u8(&c);
		/* ascending, so that none comes twice */
		if (!cursor_ok(&c) || index >= HOSTTPM_PCRS || a->selection >> index)
			return -EBADMSG;
		a->value[index] = cursor_bytes(&c, CRYPT_HASH_SIZE);
		a->selection |= 1u << index;
	}
	a->number = cursor_u64(&c);
	a->policy = cursor_bytes(&c, CRYPT_HASH_SIZE);
	for (i = 0; i < APPROVAL_PURPOSES; i++)
		a->signature[i] = cursor_bytes(&c, HOSTTPM_SIGNATURE_SIZE);
	return cursor_done(&c) && a->selection ? 0 : -EBADMSG;
}

/* TPML_PCR_SELECTION of one bank, Part 2, 10.6.2 */
static void put_hosttpm_selection(struct cursor *c, uint32_t selection)
{
	size_t i;

	cursor_put_u32(c, 1);
	cursor_put_u16(c, TPM2_ALG_SHA256);
	cursor_put_u8(c, HOSTTPM_PCRS / 8);
	for (i = 0; i < HOSTTPM_PCRS / 8; i++)
		cursor_put_u8(c, (uint8_t)(selection >> 8 * i));
}

static uint32_t get_selection(struct cursor *c)
{
	uint32_t selection = 0, i;
	uint8_t size;

	if (cursor_u32(c) != 1 || cursor_u16(c) != TPM2_ALG_SHA256)
		cursor_fail(c);
	size = cursor_u8(c);
	if (size > HOSTTPM_PCRS / 8)
		cursor_fail(c);
	for (i = 0; cursor_ok(c) && i < size; i++)
		selection |= (uint32_t)cursor_u8(c) << 8 * i;
	return selection;
}

/* One PCR_Read: takes what came out of *wanted. */
static int read_some(const struct hosttpm_transport *t, uint32_t *wanted,
		     struct pcrs *pcrs, struct error *e)
{
	uint32_t selection, count, i;
	struct hosttpm_bytes digest;
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_PCR_Read);
	put_hosttpm_selection(&call.in, *wanted);
	rc = hosttpm_call_run(&call, t, e);
	if (rc)
		return rc;
	(void)cursor_u32(&call.out); /* update counter */
	selection = get_selection(&call.out);
	count = cursor_u32(&call.out);
	for (i = 0; i < HOSTTPM_PCRS; i++) {
		if (!(selection & 1u << i))
			continue;
		digest = hosttpm_cmd_get(&call.out);
		if (digest.n != CRYPT_HASH_SIZE || !count--)
			return hosttpm_call_nonsense(&call, e);
		memcpy(pcrs->value[i], digest.p, digest.n);
	}
	if (!cursor_done(&call.out) || count)
		return hosttpm_call_nonsense(&call, e);
	if (!(selection & *wanted))
		return error_set(e, -ENODEV, CAUSE_TPM_REFUSED,
				 "the host's TPM has no SHA-256 PCR bank: allocate it in "
				 "the firmware's setup");
	*wanted &= ~selection;
	return 0;
}

static uint32_t differing(const struct hosttpm_approval *a, const struct pcrs *pcrs)
{
	uint32_t diff = 0, i;

	for (i = 0; i < HOSTTPM_PCRS; i++)
		if (a->value[i] && memcmp(a->value[i], pcrs->value[i], CRYPT_HASH_SIZE))
			diff |= 1u << i;
	return diff;
}

static void first_hex(const uint8_t *value, char out[9])
{
	snprintf(out, 9, "%02x%02x%02x%02x", value[0], value[1], value[2], value[3]);
}

/* Says which PCRs keep the nearest approval from fitting. */
static int changed(const struct hosttpm_approval *a, uint32_t diff,
		   const struct pcrs *pcrs, struct error *e)
{
	char list[192] = "", is[9], was[9];
	int used = 0, shown = 0, i;

	for (i = 0; i < HOSTTPM_PCRS && shown < SHOWN_PCRS; i++) {
		if (!(diff & 1u << i))
			continue;
		first_hex(pcrs->value[i], is);
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

static int parse_all(const struct hosttpm_config *c, struct hosttpm_approval *a,
		     uint32_t *wanted, struct error *e)
{
	size_t i;

	if (!c->approvals)
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"no boot state of this host is approved yet: run `vtpmctl "
			"host init`");
	for (i = 0; i < c->approvals; i++) {
		if (hosttpm_pcr_parse(c->approval[i], c->approval_len[i], a))
			return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
					 "approval %zu of this host is damaged: run "
					 "`vtpmctl host approve`",
					 i + 1);
		*wanted |= a->selection;
	}
	return 0;
}

/* Reads the PCRs and finds the approval that they fit.  -EACCES with
 * CAUSE_PCRS_CHANGED, -EINVAL with CAUSE_NOT_CONFIGURED. */
static int hosttpm_pcr_match(const struct hosttpm_config *c,
			     const struct hosttpm_transport *t,
			     struct hosttpm_approval *a, struct error *e)
{
	uint32_t wanted = 0, diff, best_diff = ALL_PCRS;
	size_t i, best = 0;
	struct pcrs pcrs;
	int rc;

	rc = parse_all(c, a, &wanted, e);
	while (!rc && wanted)
		rc = read_some(t, &wanted, &pcrs, e);
	if (rc)
		return rc;
	for (i = 0; i < c->approvals; i++) {
		rc = hosttpm_pcr_parse(c->approval[i], c->approval_len[i], a);
		diff = differing(a, &pcrs);
		if (rc || !diff)
			return rc;
		if (!i || __builtin_popcount(diff) < __builtin_popcount(best_diff)) {
			best = i;
			best_diff = diff;
		}
	}
	rc = hosttpm_pcr_parse(c->approval[best], c->approval_len[best], a);
	return rc ? rc : changed(a, best_diff, &pcrs, e);
}

/* PolicyPCR in the session. */
static int hosttpm_pcr_policy(const struct hosttpm_transport *t, uint32_t session,
			      const struct hosttpm_approval *a, struct error *e)
{
	struct hosttpm_call call;

	hosttpm_call_begin(&call, TPM2_CC_PolicyPCR);
	cursor_put_u32(&call.in, session);
	cursor_put_u16(&call.in, 0); /* pcrDigest: whatever they are now */
	put_hosttpm_selection(&call.in, a->selection);
	return hosttpm_call_run(&call, t, e);
}

/* Whether the session has come to the approved digest.  -EACCES, CAUSE_PCRS_CHANGED */
static int hosttpm_pcr_approved(const struct hosttpm_transport *t, uint32_t session,
				const struct hosttpm_approval *a, struct error *e)
{
	struct hosttpm_bytes digest;
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_PolicyGetDigest);
	cursor_put_u32(&call.in, session);
	rc = hosttpm_call_run(&call, t, e);
	if (rc)
		return rc;
	digest = hosttpm_cmd_get(&call.out);
	if (!cursor_done(&call.out))
		return hosttpm_call_nonsense(&call, e);
	if (digest.n != CRYPT_HASH_SIZE || memcmp(digest.p, a->policy, CRYPT_HASH_SIZE))
		return error_set(e, -EACCES, CAUSE_PCRS_CHANGED,
				 "the host's boot state changed while it was checked, or "
				 "its approval is damaged: try again, then run `vtpmctl "
				 "host approve`");
	return 0;
}

static int policy_key_name(const struct hosttpm_config *c,
			   uint8_t name[HOSTTPM_NAME_SIZE], struct error *e)
{
	const struct hosttpm_bytes key = {c->policy_key, (uint16_t)c->policy_key_len};

	if (!c->policy_key_len || c->policy_key_len > UINT16_MAX ||
	    hosttpm_cmd_name(key, name))
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"the host has no policy key, or one that is damaged: run "
			"`vtpmctl host init`");
	return 0;
}

int hosttpm_policy_digest(const struct hosttpm_config *c, enum approval_purpose purpose,
			  bool with_auth, uint8_t digest[CRYPT_HASH_SIZE],
			  struct error *e)
{
	uint8_t name[HOSTTPM_NAME_SIZE], ref[CRYPT_HASH_SIZE];
	int rc;

	rc = policy_key_name(c, name, e);
	if (rc)
		return rc;
	rc = hostpolicy_ref(purpose, c->srk_name, ref);
	if (!rc)
		rc = hostpolicy_authorize(digest, name, ref);
	if (!rc && with_auth)
		rc = hostpolicy_auth_value(digest);
	return rc ? error_crypto(e, rc, "SHA-256") : 0;
}

static int load_policy_key(const struct hosttpm_config *c,
			   const struct hosttpm_transport *t, uint32_t *handle,
			   struct error *e)
{
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_LoadExternal);
	call.gives_handle = true;
	cursor_put_u16(&call.in, 0); /* no private part */
	hosttpm_cmd_put(&call.in, (struct hosttpm_bytes){c->policy_key,
							 (uint16_t)c->policy_key_len});
	/* of a hierarchy with a proof, or the ticket would be empty */
	cursor_put_u32(&call.in, TPM2_RH_OWNER);
	rc = hosttpm_call_run(&call, t, e);
	*handle = call.handle_returned;
	return rc;
}

/* The TPMT_TK_VERIFIED stays in call->wire; *ticket points to it. */
static int verify_signature(struct hosttpm_call *call, const struct hosttpm_transport *t,
			    uint32_t key, const uint8_t hash[CRYPT_HASH_SIZE],
			    const uint8_t signature[HOSTTPM_SIGNATURE_SIZE],
			    struct hosttpm_bytes *ticket, struct error *e)
{
	struct cursor c;
	int rc;

	hosttpm_call_begin(call, TPM2_CC_VerifySignature);
	cursor_put_u32(&call->in, key);
	hosttpm_cmd_put(&call->in, (struct hosttpm_bytes){hash, CRYPT_HASH_SIZE});
	cursor_put(&call->in, signature, HOSTTPM_SIGNATURE_SIZE);
	rc = hosttpm_call_run(call, t, e);
	if (rc)
		return rc;
	c = call->out;
	(void)cursor_u16(&c); /* TPM_ST_VERIFIED */
	(void)cursor_u32(&c); /* hierarchy */
	(void)hosttpm_cmd_get(&c);
	if (!cursor_done(&c) || c.len > UINT16_MAX)
		return hosttpm_call_nonsense(call, e);
	*ticket = (struct hosttpm_bytes){c.rd, (uint16_t)c.len};
	return 0;
}

static int policy_authorize(const struct hosttpm_config *c,
			    const struct hosttpm_transport *t, uint32_t session,
			    const struct hosttpm_approval *a,
			    const uint8_t ref[CRYPT_HASH_SIZE],
			    struct hosttpm_bytes ticket, struct error *e)
{
	uint8_t name[HOSTTPM_NAME_SIZE];
	struct hosttpm_call call;
	int rc;

	rc = policy_key_name(c, name, e);
	if (rc)
		return rc;
	hosttpm_call_begin(&call, TPM2_CC_PolicyAuthorize);
	cursor_put_u32(&call.in, session);
	hosttpm_cmd_put(&call.in, (struct hosttpm_bytes){a->policy, CRYPT_HASH_SIZE});
	hosttpm_cmd_put(&call.in, (struct hosttpm_bytes){ref, CRYPT_HASH_SIZE});
	hosttpm_cmd_put(&call.in, (struct hosttpm_bytes){name, sizeof(name)});
	cursor_put(&call.in, ticket.p, ticket.n);
	return hosttpm_call_run(&call, t, e);
}

static int authorize_hosttpm(const struct hosttpm_config *c,
			     const struct hosttpm_transport *t, uint32_t session,
			     const struct hosttpm_approval *a,
			     enum approval_purpose purpose, struct error *e)
{
	uint8_t ref[CRYPT_HASH_SIZE], hash[CRYPT_HASH_SIZE];
	struct hosttpm_bytes ticket = {0};
	struct hosttpm_call call;
	uint32_t key = 0;
	int rc;

	rc = hostpolicy_ref(purpose, c->srk_name, ref);
	if (!rc)
		rc = hostpolicy_signed(a->policy, ref, hash);
	if (rc)
		return error_crypto(e, rc, "SHA-256");
	rc = load_policy_key(c, t, &key, e);
	if (rc)
		return rc;
	rc = verify_signature(&call, t, key, hash, a->signature[purpose - 1], &ticket, e);
	hosttpm_cmd_flush(t, key);
	return rc ? rc : policy_authorize(c, t, session, a, ref, ticket, e);
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

static int policy_counter(const struct hosttpm_config *c,
			  const struct hosttpm_transport *t,
			  const struct hosttpm_point *srk, uint32_t session,
			  const struct hosttpm_approval *a, struct error *e)
{
	struct hosttpm_session s = {0};
	struct error why = {0};
	uint32_t code = 0;
	int rc = hosttpm_cmd_start(c, t, TPM2_SE_HMAC, srk, &s, e);

	if (rc)
		goto out;
	hosttpm_session_auth(&s, c->auth, sizeof(c->auth), true);
	rc = hosttpm_cmd_policy_nv(c, t, &s, session, a->number, &code, &why);
	hosttpm_cmd_flush(t, s.handle);
	if (rc == -EREMOTEIO)
		rc = revoked(code, e);
	else if (rc)
		rc = error_set(e, rc, why.cause, "%s", why.text);
out:
	hosttpm_session_wipe(&s);
	return rc;
}

static int policy_auth_value(const struct hosttpm_transport *t, uint32_t session,
			     struct error *e)
{
	struct hosttpm_call call;

	hosttpm_call_begin(&call, TPM2_CC_PolicyAuthValue);
	cursor_put_u32(&call.in, session);
	return hosttpm_call_run(&call, t, e);
}

int hosttpm_policy_satisfy(const struct hosttpm_config *c,
			   const struct hosttpm_transport *t,
			   const struct hosttpm_point *srk,
			   const struct hosttpm_session *s, enum approval_purpose purpose,
			   bool with_auth, struct error *e)
{
	struct hosttpm_approval a;
	int rc;

	rc = hosttpm_pcr_match(c, t, &a, e);
	if (!rc)
		rc = hosttpm_pcr_policy(t, s->handle, &a, e);
	if (!rc)
		rc = policy_counter(c, t, srk, s->handle, &a, e);
	if (!rc)
		rc = hosttpm_pcr_approved(t, s->handle, &a, e);
	if (!rc)
		rc = authorize_hosttpm(c, t, s->handle, &a, purpose, e);
	if (!rc && with_auth)
		rc = policy_auth_value(t, s->handle, e);
	return rc;
}
