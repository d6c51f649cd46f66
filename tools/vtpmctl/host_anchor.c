/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl host anchor: the TPM's part of what vtpmd does against rollback, and the
 * operator's word when the store is older than it is to be. */
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/host_anchor.h"
#include "lib/crypt.h"
#include "lib/text.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/tpmnv.h"
#include "tools/vtpmctl/tpm.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <openssl/crypto.h>
#include <string.h>

/* NO_DA: wrong authorizations cannot lock the host out of its anchor. */
#define ATTRIBUTES                                                                    \
	(TPMA_NV_POLICYWRITE | TPMA_NV_AUTHREAD | TPMA_NV_OWNERREAD | TPMA_NV_NO_DA | \
	 TPM2_NT_ORDINARY << TPMA_NV_TPM2_NT_SHIFT)

static EVP_PKEY *anchor_key(const struct hostconf *h)
{
	const uint8_t *p = h->anchor_key;

	return d2i_AutoPrivateKey(NULL, &p, (long)h->anchor_key_len);
}

/* The anchor key's TPMT_PUBLIC; -EINVAL: host.json has no such key. */
static int anchor_public(const struct hostconf *h, uint8_t public[POLICYKEY_PUBLIC_SIZE])
{
	EVP_PKEY *key = anchor_key(h);
	int rc = key ? policykey_public(key, public) : -EINVAL;

	EVP_PKEY_free(key);
	return rc;
}

static int make_anchor_key(struct hostconf *h, struct error *e)
{
	uint8_t *p = h->anchor_key;
	EVP_PKEY *key = NULL;
	int n, rc = policykey_make(&key, e);

	if (rc)
		return rc;
	n = i2d_PrivateKey(key, NULL);
	if (n > 0 && n <= (int)sizeof(h->anchor_key))
		n = i2d_PrivateKey(key, &p);
	EVP_PKEY_free(key);
	h->anchor_key_len = n > 0 ? (size_t)n : 0;
	return n > 0 ? 0
		     : error_set(e, -EIO, CAUSE_INTERNAL,
				 "OpenSSL could not encode the anchor key");
}

static int template(const struct hostconf *h, TPMS_NV_PUBLIC *out)
{
	uint8_t public[POLICYKEY_PUBLIC_SIZE], name[TPM_NAME_SIZE];

	*out = (TPMS_NV_PUBLIC){
		.nvIndex = TPMANCHOR_INDEX,
		.nameAlg = TPM2_ALG_SHA256,
		.attributes = ATTRIBUTES,
		.authPolicy.size = APPROVAL_HASH_SIZE,
		.dataSize = TPMANCHOR_SIZE,
	};
	if (anchor_public(h, public) || policykey_name(public, name) ||
	    policykey_policy(h->policy_key, APPROVAL_ANCHOR, h->srk_name,
			     out->authPolicy.buffer))
		return -EIO;
	return policy_key(out->authPolicy.buffer, name);
}

static int gone(struct error *e)
{
	return error_set(
		e, -ENOENT, CAUSE_ROLLED_BACK,
		"the NV index 0x%08x that anchors this host's vTPMs is not in the host's "
		"TPM: somebody removed it; when you know that the store is the newest, "
		"`vtpmctl host anchor --init --yes` anchors it anew",
		TPMANCHOR_INDEX);
}

static int other(struct error *e)
{
	return error_set(
		e, -ENOENT, CAUSE_ROLLED_BACK,
		"the NV index 0x%08x in the host's TPM is not the one that anchored this "
		"host's vTPMs: somebody made another; when you know that the store is "
		"the newest, `vtpmctl host anchor --init --yes` anchors it anew",
		TPMANCHOR_INDEX);
}

/* The index as the TPM has it, if its Name is the pinned one. */
static int find_anchor(struct tpm *t, const struct hostconf *h, ESYS_TR *nv,
		       struct error *e)
{
	struct error why = {0};
	int rc = tpmnv_find(t, h->anchor_index, h->anchor_name, nv, &why);

	if (rc && why.cause)
		return error_set(e, rc, why.cause, "%s", why.text);
	if (rc == -ENOENT)
		return gone(e);
	return rc ? other(e) : 0;
}

int tpmanchor_read(struct tpm *t, const struct hostconf *h, uint8_t value[TPMANCHOR_SIZE],
		   struct error *e)
{
	TPM2B_MAX_NV_BUFFER *data = NULL;
	ESYS_TR nv = ESYS_TR_NONE, audit;
	TSS2_RC rc;
	int ret = find_anchor(t, h, &nv, e);

	if (ret)
		return ret;
	/* the answer's HMAC says that it is the TPM's, and of the index of that Name */
	rc = tpm_audit(t, &audit);
	if (!rc)
		rc = Esys_NV_Read(t->esys, nv, nv, audit, ESYS_TR_NONE, ESYS_TR_NONE,
				  TPMANCHOR_SIZE, 0, &data);
	if (!rc && data->size == TPMANCHOR_SIZE)
		memcpy(value, data->buffer, TPMANCHOR_SIZE);
	else if (!rc)
		rc = TSS2_ESYS_RC_GENERAL_FAILURE;
	Esys_Free(data);
	Esys_TR_Close(t->esys, &nv);
	return rc ? tpmrc_set(e, rc, "read the anchor") : 0;
}

/* The PCRs in which the state differs from the approval. */
static uint32_t differing_pcrs(const struct approval *a,
			       const uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE])
{
	uint32_t diff = 0;
	int n;

	for (n = 0; n < APPROVAL_PCRS; n++)
		if (a->pcrs & 1u << n &&
		    memcmp(a->value[n], value[n], APPROVAL_HASH_SIZE))
			diff |= 1u << n;
	return diff;
}

/* Says which PCRs keep the nearest approval from fitting.  None do: it was revoked. */
static int refuse_state(const struct hostconf *h,
			const uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE],
			struct error *e)
{
	char list[APPROVAL_PCRS * 3];
	uint32_t diff, best = UINT32_MAX;
	size_t i;

	for (i = 0; i < h->approval_count; i++) {
		diff = differing_pcrs(&h->approvals[i], value);
		if (__builtin_popcount(diff) < __builtin_popcount(best))
			best = diff;
	}
	if (!best || best == UINT32_MAX)
		return error_set(
			e, -EPERM, CAUSE_PCRS_CHANGED,
			"this host's boot state has no approval that counts: it "
			"was revoked, or signed for another host; when the state is meant, run `vtpmctl host "
			"approve`");
	approval_pcrs_print(best, list);
	return error_set(
		e, -EPERM, CAUSE_PCRS_CHANGED,
		"the host's boot state is not approved, PCR %s: boot the approved "
		"software, or run `vtpmctl host approve` when the change is "
		"yours (`vtpmctl host show` has the values)",
		list);
}

/* The approval that fits the PCRs as they are, and was not revoked. */
static int find_approval(struct tpm *t, const struct hostconf *h,
			 const struct approval **out, struct error *e)
{
	uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
	uint64_t number;
	size_t i;
	int rc = tpm_pcrs(t, h->pcrs, value, e);

	if (!rc)
		rc = tpmcounter_read(t, h, &number, e);
	if (rc)
		return rc;
	for (i = 0; i < h->approval_count; i++) {
		*out = &h->approvals[i];
		if (approval_matches(*out, value) && (*out)->number == number &&
		    !policykey_verify(h->policy_key, h->srk_name, *out))
			return 0;
	}
	return refuse_state(h, value, e);
}

/* Signs that this policy session is meant (Part 3, 23.3.1): aHash = H(nonceTPM || expiration
 * || cpHashA || policyRef), all but the nonce zero or empty; a TPMT_SIGNATURE. */
static int sign_session(const struct hostconf *h, const struct tpm2_session *session,
			uint8_t out[APPROVAL_SIGNATURE_SIZE])
{
	static const uint8_t no_expiration[4];
	const struct crypt_part parts[] = {{session->nonce_tpm, TPM2_NONCE_SIZE},
					   {no_expiration, sizeof(no_expiration)}};
	struct cursor w = cursor_writer(out, APPROVAL_SIGNATURE_SIZE);
	struct approval_signature s;
	uint8_t hash[CRYPT_HASH_SIZE];
	EVP_PKEY *key = anchor_key(h);
	int rc = key ? crypt_sha256(parts, ARRAY_SIZE(parts), hash) : -EINVAL;

	if (!rc)
		rc = policykey_sign_hash(key, hash, &s);
	if (!rc)
		approval_put_signature(&w, &s);
	EVP_PKEY_free(key);
	return rc;
}

static int satisfy_signed(struct hosttpm *c, const struct hostconf *h,
			  const struct tpm2_session *session, struct error *e)
{
	uint8_t public[POLICYKEY_PUBLIC_SIZE], signature[APPROVAL_SIGNATURE_SIZE];
	uint32_t key;
	int rc;

	if (anchor_public(h, public) || sign_session(h, session, signature))
		return error_set(e, -EIO, CAUSE_INTERNAL,
				 "OpenSSL could not sign with the anchor key");
	rc = tpm2_load_external(&c->cmd, (struct tpm2_bytes){public, sizeof(public)});
	key = c->cmd.handle;
	if (!rc)
		rc = tpm2_policy_signed(
			&c->cmd, key, session,
			(struct tpm2_bytes){signature, sizeof(signature)});
	rc = hosttpm_result(&c->cmd, rc, e);
	hosttpm_flush(c, key);
	return rc;
}

/* Writes in a policy session that is salted to the storage key.  name: the index's. */
static int write_signed(struct hosttpm *c, const struct hostconf *h,
			const uint8_t name[TPM_NAME_SIZE],
			const uint8_t value[TPMANCHOR_SIZE], struct error *e)
{
	struct tpm2_session s = {0};
	const struct tpm2_auth auth = {.session = &s};
	const struct tpm2_nv nv = {TPMANCHOR_INDEX, TPMANCHOR_INDEX, &auth, name};
	int rc = hosttpm_start(c, TPM2_SE_POLICY, &s, e);

	if (!rc)
		rc = hosttpm_satisfy(c, s.handle, APPROVAL_ANCHOR, false, e);
	if (!rc)
		rc = satisfy_signed(c, h, &s, e);
	if (!rc)
		rc = hosttpm_result(
			&c->cmd,
			tpm2_nv_write(&c->cmd, &nv,
				      (struct tpm2_bytes){value, TPMANCHOR_SIZE}, 0),
			e);
	hosttpm_end(c, &s);
	return rc;
}

static int write_value(struct tpm *t, const struct hostconf *h, ESYS_TR nv,
		       const uint8_t value[TPMANCHOR_SIZE], struct error *e)
{
	const struct tpm2_transport tpm = tpm_transport(t);
	uint8_t name[TPM_NAME_SIZE], approval[APPROVAL_SIZE_MAX];
	size_t len = sizeof(approval);
	const struct approval *a = NULL;
	struct error why = {.cause = CAUSE_NONE};
	struct hosttpm_config config;
	struct tpm2_busy busy = {0};
	struct hosttpm c;
	int rc = find_approval(t, h, &a, e);

	if (rc)
		return rc;
	if (tpm_name(t, nv, name) || approval_encode(a, approval, &len))
		return error_set(e, -EIO, CAUSE_INTERNAL, "the anchor has no Name");
	tpm_hosttpm_config(h, &config);
	config.approvals = 1;
	config.approval[0] = approval;
	config.approval_len[0] = len;
	do {
		rc = hosttpm_open(&c, &config, &tpm, &why);
		c.cmd.yields = true;
		if (!rc)
			rc = write_signed(&c, h, name, value, &why);
	} while (rc && hosttpm_again(&c, &busy, &why));
	hosttpm_close(&c);
	OPENSSL_cleanse(&config, sizeof(config));
	return rc ? error_set(e, rc, why.cause, "%s", why.text) : 0;
}

/* -EPERM, CAUSE_PCRS_CHANGED: the boot state is not an approved one. */
static int tpmanchor_write(struct tpm *t, const struct hostconf *h,
			   const uint8_t value[TPMANCHOR_SIZE], struct error *e)
{
	ESYS_TR nv = ESYS_TR_NONE;
	int rc = find_anchor(t, h, &nv, e);

	if (rc)
		return rc;
	rc = write_value(t, h, nv, value, e);
	Esys_TR_Close(t->esys, &nv);
	return rc;
}

/* A fresh random value. */
static int write_once(struct tpm *t, struct hostconf *h, ESYS_TR nv, struct error *e)
{
	if (crypt_random(h->anchor_adopt, sizeof(h->anchor_adopt)))
		return error_set(e, -EIO, CAUSE_RANDOM,
				 "there is no good randomness yet; try again in a "
				 "minute");
	return write_value(t, h, nv, h->anchor_adopt, e);
}

int tpmanchor_make(struct tpm *t, struct hostconf *h, bool anew, bool *made,
		   struct error *e)
{
	TPMS_NV_PUBLIC public;
	ESYS_TR nv = ESYS_TR_NONE;
	bool written = false;
	int rc = h->anchor_key_len ? 0 : make_anchor_key(h, e);

	if (!rc && (template(h, &public) || tpmnv_written_name(&public, h->anchor_name)))
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "OpenSSL could not name the anchor");
	if (!rc)
		rc = tpmnv_take(t, &public, &nv, &written, e);
	if (!rc && nv == ESYS_TR_NONE)
		rc = tpmnv_define(t, &public, NULL, &nv, e);
	*made = !written || anew;
	if (!rc && *made)
		rc = write_once(t, h, nv, e);
	if (nv != ESYS_TR_NONE)
		Esys_TR_Close(t->esys, &nv);
	if (rc)
		return rc;
	h->anchor_index = TPMANCHOR_INDEX;
	/* the proof that the Name is what is pinned, and that it can be read */
	return tpmanchor_read(t, h, (uint8_t[TPMANCHOR_SIZE]){0}, e);
}

struct anchor {
	const char *tcti, *config, *socket, *set, *from, *accept;
	bool get, init, yes, json;

	struct hostconf conf;
	struct tpm tpm;
	uint8_t value[TPMANCHOR_SIZE];
};

#define TEXT(field, NAME, VALUE, HELP)                                                 \
	{                                                                              \
		.name = NAME, .kind = ARGS_TEXT,                                       \
		.offset = offsetof(struct anchor, field), .value = VALUE, .help = HELP \
	}
#define FLAG(field, NAME, HELP)                                        \
	{                                                              \
		.name = NAME, .kind = ARGS_FLAG,                       \
		.offset = offsetof(struct anchor, field), .help = HELP \
	}

static const struct args_option options[] = {
	TEXT(accept, "accept", "NAME", "take this vTPM's state as it is in the store"),
	FLAG(init, "init", "make the anchor, of the whole store as it is"),
	FLAG(yes, "yes", "that an older state, or a strange one, is meant"),
	FLAG(get, "get", "print what is anchored: a SHA-256 (for vtpmd)"),
	TEXT(set, "set", "HEX", "anchor this (for vtpmd)"),
	TEXT(from, "from", "HEX", "unless something else is anchored (for vtpmd)"),
	FLAG(json, "json", "as a JSON object (for vtpmd)"),
	TEXT(tcti, "tcti", "TCTI", "the TPM, " TPM_TCTI),
	TEXT(config, "config", "FILE", HOSTCONF_PATH),
	CLIENT_SOCKET_OPTION(struct anchor),
};

static const struct args_command command = {
	.usage = "host anchor --accept NAME --yes | --init | --get | --set HEX",
	.about =
		"The TPM keeps a hash of all vTPMs' generations, so that an older state which\n"
		"was put back into the store is noticed.  --accept says that this one is meant.\n"
		"--init makes the anchor where there is none, or anew when it was lost.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static int anchor_usage(const char *what)
{
	fprintf(stderr, "vtpmctl: %s; `vtpmctl host anchor --help` says more\n", what);
	return VTPMCTL_USAGE;
}

static int open_tpm(struct anchor *a, struct error *e)
{
	int rc = tpm_open(&a->tpm, a->tcti, e);

	return rc ? rc : tpm_srk_pinned(&a->tpm, a->conf.srk_handle, a->conf.srk_name, e);
}

static int need_anchor(const struct anchor *a, struct error *e)
{
	if (a->conf.anchor_index)
		return 0;
	return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
			 "%s has no anchor: `vtpmctl host anchor --init` makes one",
			 a->config);
}

static bool is_zero(const uint8_t value[TPMANCHOR_SIZE])
{
	static const uint8_t zeroes[TPMANCHOR_SIZE];

	return !memcmp(value, zeroes, sizeof(zeroes));
}

static int take_hash(const char *hex, uint8_t out[TPMANCHOR_SIZE])
{
	size_t len = TPMANCHOR_SIZE;

	return hex_decode(hex, out, &len) || len != TPMANCHOR_SIZE ? -EINVAL : 0;
}

/* Replaces only what is known, so that a late writer undoes no newer one's work. */
static int set(struct anchor *a, struct error *e)
{
	uint8_t new[TPMANCHOR_SIZE], from[TPMANCHOR_SIZE];
	int rc;

	if (take_hash(a->set, new) || is_zero(new) ||
	    (a->from && take_hash(a->from, from)))
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "--set and --from take 64 digits of a hash");
	rc = tpmanchor_read(&a->tpm, &a->conf, a->value, e);
	if (!rc && a->from && memcmp(a->value, a->conf.anchor_adopt, sizeof(a->value)) &&
	    memcmp(a->value, from, sizeof(from)) && memcmp(a->value, new, sizeof(new)))
		rc = error_set(e, -ESTALE, CAUSE_ROLLED_BACK,
			       "something else was anchored in the host's TPM meanwhile: "
			       "end the other vtpmd, if one runs on this host");
	if (!rc)
		rc = tpmanchor_write(&a->tpm, &a->conf, new, e);
	return rc ? rc : tpmanchor_read(&a->tpm, &a->conf, a->value, e);
}

/* A one-time value: vtpmd takes the store as it finds it, and anchors that. */
static int anchor_init(struct anchor *a, struct error *e)
{
	bool made;
	int rc;

	if (a->conf.anchor_index && !a->yes)
		return error_set(
			e, -EEXIST, CAUSE_INTERNAL,
			"this host has an anchor; --init --yes makes it anew of what is in "
			"the store, be it older than what was anchored or not");
	rc = tpmanchor_make(&a->tpm, &a->conf, true, &made, e);
	a->conf.anchor_take_store = true;
	if (!rc)
		rc = hostfile_write(a->config, &a->conf, e);
	if (!rc)
		fprintf(stderr,
			"The NV index 0x%08x is ready: vtpmd anchors the store as it finds "
			"it, when it is\nrestarted, or when the next vTPM starts or stops\n",
			TPMANCHOR_INDEX);
	return rc;
}

static int anchor_with_tpm(struct anchor *a, struct error *e)
{
	int rc = hostfile_load(a->config, &a->conf, e);

	if (!rc && !a->init)
		rc = need_anchor(a, e);
	if (!rc)
		rc = open_tpm(a, e);
	if (!rc && a->init)
		rc = anchor_init(a, e);
	else if (!rc && a->set)
		rc = set(a, e);
	else if (!rc)
		rc = tpmanchor_read(&a->tpm, &a->conf, a->value, e);
	tpm_close(&a->tpm);
	hostconf_free(&a->conf);
	return rc;
}

static void print_json(const struct anchor *a, const struct error *e)
{
	char hex[2 * TPMANCHOR_SIZE + 1];
	json_t *all;

	hex_encode(a->value, sizeof(a->value), hex);
	if (e->cause)
		all = json_pack("{s:b, s:i, s:s}", "ok", 0, "cause", (int)e->cause,
				"error", e->text);
	else
		all = json_pack("{s:b, s:s}", "ok", 1, "value", hex);
	json_dumpf(all, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(all);
}

static void print_hex(const struct anchor *a)
{
	char hex[2 * TPMANCHOR_SIZE + 1];

	hex_encode(a->value, sizeof(a->value), hex);
	puts(hex);
}

static int accept_one(const struct anchor *a)
{
	json_t *reply;
	int status;

	if (!a->yes) {
		fprintf(stderr,
			"vtpmctl: nothing was changed: --accept NAME --yes puts the vTPM back to "
			"the state that is in the store: used passwords, NV counters, its "
			"lockout\n");
		return VTPMCTL_FAILED;
	}
	status = client_call(a->socket, client_request("accept", a->accept), &reply);
	json_decref(reply);
	if (!status)
		fprintf(stderr,
			"%s is the newest as it is in the store: `vtpmctl start %s`\n",
			a->accept, a->accept);
	return status;
}

int host_anchor_main(int argc, char **argv)
{
	struct anchor a = {
		.tcti = TPM_TCTI,
		.config = HOSTCONF_PATH,
		.socket = CLIENT_SOCKET,
	};
	struct error e = {0};
	int rc;

	args_parse_or_exit(&command, argc, argv, &a);
	if (!!a.accept + a.init + a.get + !!a.set != 1)
		return anchor_usage("one of --accept, --init, --get and --set is needed");
	if (a.accept)
		return accept_one(&a);
	rc = anchor_with_tpm(&a, &e);
	if (a.json)
		print_json(&a, &e);
	else if (!rc && !a.init)
		print_hex(&a);
	if (!rc)
		return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
	return vtpmctl_fail(&e);
}
