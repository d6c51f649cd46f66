/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl host quote: the host's attestation key, and, for vtpmd, the host's half of a
 * deep quote. */
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/host_quote.h"
#include "lib/text.h"
#include "lib/crypt.h"
#include "lib/tpm2/quote.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/tpm.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

struct quote {
	const char *tcti, *config, *qualify;
	bool init, json;

	struct hostconf conf;
	struct tpm tpm;
	struct tpmquote quote;
};

#define TEXT(field, NAME, VALUE, HELP)                                                \
	{                                                                             \
		.name = NAME, .kind = ARGS_TEXT,                                      \
		.offset = offsetof(struct quote, field), .value = VALUE, .help = HELP \
	}
#define FLAG(field, NAME, HELP)                                       \
	{                                                             \
		.name = NAME, .kind = ARGS_FLAG,                      \
		.offset = offsetof(struct quote, field), .help = HELP \
	}

static const struct args_option options[] = {
	FLAG(init, "init", "make the host's attestation key"),
	TEXT(qualify, "qualify", "HEX", "quote the PCRs, with this in it (for vtpmd)"),
	FLAG(json, "json", "when it fails, say so in JSON (for vtpmd)"),
	TEXT(tcti, "tcti", "TCTI", "the TPM, " TPM_TCTI),
	TEXT(config, "config", "FILE", HOSTCONF_PATH),
};

static const struct args_command command = {
	.usage = "host quote --init | --qualify HEX [OPTIONS]",
	.about =
		"--init makes the key that this host's TPM attests with, on hosts that were set\n"
		"up without; `vtpmctl host show` tells its Name, for the verifiers' policy.\n"
		"--qualify prints a quote of the host's boot state, as `vtpmctl attest` has it.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static int init_host_quote(struct quote *q, struct error *e)
{
	bool made;
	int rc = tpmquote_make_key(&q->tpm, &q->conf, &made, e);

	if (!rc)
		rc = hostfile_write(q->config, &q->conf, e);
	if (!rc)
		fprintf(stderr, "The attestation key at 0x%08x %s\n", TPMQUOTE_HANDLE,
			made ? "was made" : "is in place");
	return rc;
}

static int quote_with_tpm(struct quote *q, struct error *e)
{
	uint8_t extra[TPMQUOTE_EXTRA_MAX];
	size_t len = sizeof(extra);
	int rc = hostfile_load(q->config, &q->conf, e);

	if (!rc && q->qualify && hex_decode(q->qualify, extra, &len))
		rc = error_set(e, -EINVAL, CAUSE_INTERNAL,
			       "--qualify takes at most 128 hexadecimal digits");
	if (!rc)
		rc = tpm_open(&q->tpm, q->tcti, e);
	if (!rc)
		rc = tpm_srk_pinned(&q->tpm, q->conf.srk_handle, q->conf.srk_name, e);
	if (!rc)
		rc = q->init ? init_host_quote(q, e)
			     : tpmquote(&q->tpm, &q->conf, extra, len, &q->quote, e);
	tpm_close(&q->tpm);
	return rc;
}

static json_t *encode_quote(const uint8_t *bytes, size_t len)
{
	char text[BASE64URL_SIZE(sizeof(TPM2B_PUBLIC) + sizeof(TPM2B_ATTEST)) + 1];

	base64url_encode(bytes, len, text);
	return json_string(text);
}

static json_t *quote_pcrs_json(const struct tpmquote *q)
{
	json_t *values = json_object();
	char key[4];
	int n;

	for (n = 0; n < APPROVAL_PCRS; n++) {
		snprintf(key, sizeof(key), "%d", n);
		if (q->pcrs & 1u << n)
			json_object_set_new(
				values, key,
				encode_quote(q->value[n], APPROVAL_HASH_SIZE));
	}
	return json_pack("{s:o}", "sha256", values);
}

static json_t *quote_to_json(const struct tpmquote *q)
{
	uint8_t public[sizeof(TPM2B_PUBLIC)], signature[sizeof(TPMT_SIGNATURE)];
	uint8_t one_form[TPM2_ECDSA_P256];
	size_t public_len = 0, signature_len = 0;

	if (Tss2_MU_TPMT_PUBLIC_Marshal(&q->public.publicArea, public, sizeof(public),
					&public_len) ||
	    Tss2_MU_TPMT_SIGNATURE_Marshal(&q->signature, signature, sizeof(signature),
					   &signature_len) ||
	    tpm2_ecdsa_p256(signature, signature_len, one_form))
		return NULL;
	return json_pack("{s:o, s:o, s:o, s:o}", "ak", encode_quote(public, public_len),
			 "quote", encode_quote(q->quote.attestationData, q->quote.size),
			 "signature", encode_quote(one_form, sizeof(one_form)), "pcrs",
			 quote_pcrs_json(q));
}

static void print_quote(const struct quote *q, const struct error *e)
{
	json_t *all;

	if (e->cause)
		all = json_pack("{s:b, s:i, s:s}", "ok", 0, "cause", (int)e->cause,
				"error", e->text);
	else
		all = quote_to_json(&q->quote);
	json_dumpf(all, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(all);
}

int host_quote_main(int argc, char **argv)
{
	struct quote q = {.tcti = TPM_TCTI, .config = HOSTCONF_PATH};
	struct error e = {0};
	int rc;

	args_parse_or_exit(&command, argc, argv, &q);
	if (q.init + !!q.qualify != 1) {
		fprintf(stderr,
			"vtpmctl: one of --init and --qualify is needed; `vtpmctl "
			"host quote --help` says more\n");
		return VTPMCTL_USAGE;
	}
	rc = quote_with_tpm(&q, &e);
	if (rc ? q.json : !q.init)
		print_quote(&q, &e);
	hostconf_free(&q.conf);
	if (!rc)
		return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
	return vtpmctl_fail(&e);
}

/* Between reading the PCRs and quoting them somebody may extend one. */
#define TRIES 4

static const TPM2B_PUBLIC template = {
	.publicArea =
		{
			.type = TPM2_ALG_ECC,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes =
				TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
				TPMA_OBJECT_SENSITIVEDATAORIGIN |
				TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
				TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
			.parameters.eccDetail =
				{
					.symmetric.algorithm = TPM2_ALG_NULL,
					.scheme = {.scheme = TPM2_ALG_ECDSA,
						   .details.ecdsa.hashAlg =
							   TPM2_ALG_SHA256},
					.curveID = TPM2_ECC_NIST_P256,
					.kdf.scheme = TPM2_ALG_NULL,
				},
		},
};

/* A random key with a random authValue; the session says that what comes is the TPM's. */
static TSS2_RC create_quote(struct tpm *t, struct hostconf *h)
{
	const TPM2B_DATA no_data = {0};
	const TPML_PCR_SELECTION no_pcrs = {0};
	TPM2B_SENSITIVE_CREATE sensitive = {
		.sensitive = {.userAuth.size = HOSTCONF_AUTH_SIZE}};
	TPM2B_PUBLIC *public = NULL;
	TPM2B_PRIVATE *private = NULL;
	ESYS_TR session = ESYS_TR_NONE;
	TSS2_RC rc = tpm_start_session(
		t, TPM2_SE_HMAC, TPMA_SESSION_DECRYPT | TPMA_SESSION_CONTINUESESSION,
		&session);

	memcpy(sensitive.sensitive.userAuth.buffer, h->ak_auth, HOSTCONF_AUTH_SIZE);
	if (!rc)
		rc = Esys_Create(t->esys, t->srk, session, ESYS_TR_NONE, ESYS_TR_NONE,
				 &sensitive, &template, &no_data, &no_pcrs, &private,
				 &public, NULL, NULL, NULL);
	OPENSSL_cleanse(&sensitive, sizeof(sensitive));
	h->ak_object_len = sizeof(h->ak_object);
	if (!rc)
		rc = tpmseal_marshal(public, private, h->ak_object, &h->ak_object_len);
	Esys_Free(public);
	Esys_Free(private);
	if (session != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, session);
	return rc;
}

static int make_quote(struct tpm *t, struct hostconf *h, struct error *e)
{
	TSS2_RC rc;

	if (crypt_random(h->ak_auth, sizeof(h->ak_auth)))
		return error_set(e, -EIO, CAUSE_RANDOM,
				 "there is no good randomness yet; try again in a "
				 "minute");
	rc = create_quote(t, h);
	if (rc)
		h->ak_object_len = 0;
	return rc ? tpmrc_set(e, rc, "make the attestation key") : 0;
}

static int load_quote(struct tpm *t, uint32_t handle, ESYS_TR *key, struct error *e)
{
	TSS2_RC rc = Esys_TR_FromTPMPublic(t->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE,
					   ESYS_TR_NONE, key);

	return rc ? tpmrc_set(e, rc, "read its attestation key") : 0;
}

/* What is at the handle is the key of that Name. */
static int check_name(struct tpm *t, ESYS_TR key, const uint8_t name[TPM_NAME_SIZE],
		      struct error *e)
{
	uint8_t there[TPM_NAME_SIZE] = {0};

	if (!tpm_name(t, key, there) && !memcmp(there, name, sizeof(there)))
		return 0;
	return error_set(
		e, -EXDEV, CAUSE_TPM_REPLACED,
		"0x%08x in the host's TPM is not this host's attestation key; if "
		"nobody needs what is there, remove it with `tpm2_evictcontrol -C "
		"o -c 0x%08x`, then `vtpmctl host quote --init`",
		TPMQUOTE_HANDLE, TPMQUOTE_HANDLE);
}

static int keep_quote(struct tpm *t, ESYS_TR primary, bool *made, struct error *e)
{
	ESYS_TR key = ESYS_TR_NONE;
	TSS2_RC rc =
		Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, primary, ESYS_TR_PASSWORD,
				  ESYS_TR_NONE, ESYS_TR_NONE, TPMQUOTE_HANDLE, &key);

	if (key != ESYS_TR_NONE)
		Esys_TR_Close(t->esys, &key);
	*made = !rc;
	return rc ? tpmrc_set(e, rc, "keep the attestation key") : 0;
}

static int read_public(struct tpm *t, ESYS_TR key, TPM2B_PUBLIC *out, struct error *e)
{
	TPM2B_PUBLIC *public = NULL;
	ESYS_TR audit;
	TSS2_RC rc = tpm_audit(t, &audit);

	if (!rc)
		rc = Esys_ReadPublic(t->esys, key, audit, ESYS_TR_NONE, ESYS_TR_NONE,
				     &public, NULL, NULL);
	if (!rc)
		*out = *public;
	Esys_Free(public);
	return rc ? tpmrc_set(e, rc, "read its attestation key") : 0;
}

/* One of another host.json of this host's: nobody has its authValue any more, or it is an
 * object of somebody else's.  The first is told by its template, and makes room. */
static int make_room(struct tpm *t, ESYS_TR *there, bool *used, struct error *e)
{
	TPM2B_PUBLIC area;
	ESYS_TR none = ESYS_TR_NONE;
	TSS2_RC rc;
	int ret = read_public(t, *there, &area, e);

	if (ret)
		return ret;
	if (area.publicArea.type != template.publicArea.type ||
	    area.publicArea.objectAttributes != template.publicArea.objectAttributes ||
	    area.publicArea.parameters.eccDetail.scheme.scheme != TPM2_ALG_ECDSA)
		return 0;
	rc = Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, *there, ESYS_TR_PASSWORD,
			       ESYS_TR_NONE, ESYS_TR_NONE, TPMQUOTE_HANDLE, &none);
	if (rc)
		return tpmrc_set(e, rc, "remove an older attestation key");
	*there = ESYS_TR_NONE;
	*used = false;
	return 0;
}

/* Has the key that is loaded at the handle. */
static int put_in_place(struct tpm *t, ESYS_TR key, const uint8_t name[TPM_NAME_SIZE],
			bool fresh, bool *made, struct error *e)
{
	ESYS_TR there = ESYS_TR_NONE;
	bool used;
	int rc = tpm_handle_used(t, TPMQUOTE_HANDLE, &used, e);

	if (!rc && used)
		rc = load_quote(t, TPMQUOTE_HANDLE, &there, e);
	if (!rc && used && fresh)
		rc = make_room(t, &there, &used, e);
	if (!rc)
		rc = used ? check_name(t, there, name, e) : keep_quote(t, key, made, e);
	if (there != ESYS_TR_NONE)
		Esys_TR_Close(t->esys, &there);
	return rc;
}

int tpmquote_make_key(struct tpm *t, struct hostconf *h, bool *made, struct error *e)
{
	bool fresh = !h->ak_object_len;
	ESYS_TR key = ESYS_TR_NONE, audit;
	uint8_t name[TPM_NAME_SIZE];
	TSS2_RC tpm_rc;
	int rc = fresh ? make_quote(t, h, e) : 0;

	*made = false;
	if (rc)
		return rc;
	tpm_rc = tpm_audit(t, &audit);
	if (!tpm_rc)
		tpm_rc = tpmseal_load(t, audit, h->ak_object, h->ak_object_len,
				      h->ak_auth, &key);
	if (tpm_rc)
		return tpmrc_set(e, tpm_rc, "load the attestation key of host.json");
	if (tpm_name(t, key, name))
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "the attestation key has no Name");
	else
		rc = put_in_place(t, key, name, fresh, made, e);
	Esys_FlushContext(t->esys, key);
	if (rc)
		return rc;
	h->ak_handle = TPMQUOTE_HANDLE;
	memcpy(h->ak_name, name, sizeof(name));
	return 0;
}

void tpmquote_inherit(struct hostconf *h, const struct hostconf *old)
{
	h->ak_handle = old->ak_handle;
	memcpy(h->ak_name, old->ak_name, sizeof(h->ak_name));
	memcpy(h->ak_auth, old->ak_auth, sizeof(h->ak_auth));
	memcpy(h->ak_object, old->ak_object, sizeof(h->ak_object));
	h->ak_object_len = old->ak_object_len;
}

static TSS2_RC quote_once(struct tpm *t, ESYS_TR key, const TPM2B_DATA *extra,
			  struct tpmquote *out)
{
	const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL};
	const TPML_PCR_SELECTION pcrs = {
		.count = 1,
		.pcrSelections = {{.hash = TPM2_ALG_SHA256,
				   .sizeofSelect = 3,
				   .pcrSelect = {(uint8_t)out->pcrs,
						 (uint8_t)(out->pcrs >> 8),
						 (uint8_t)(out->pcrs >> 16)}}},
	};
	TPM2B_ATTEST *quote = NULL;
	TPMT_SIGNATURE *signature = NULL;
	ESYS_TR session;
	TSS2_RC rc = tpm_audit(t, &session);

	if (!rc)
		rc = Esys_Quote(t->esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, extra,
				&scheme, &pcrs, &quote, &signature);
	if (!rc) {
		out->quote = *quote;
		out->signature = *signature;
	}
	Esys_Free(quote);
	Esys_Free(signature);
	return rc;
}

/* The PCRs are read before and after, and have to be the same. */
static int quote_stable(struct tpm *t, ESYS_TR key, const TPM2B_DATA *extra,
			struct tpmquote *out, struct error *e)
{
	uint8_t after[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
	int n, rc = tpm_pcrs(t, out->pcrs, out->value, e);

	for (n = 0; !rc && n < TRIES; n++) {
		TSS2_RC tpm_rc = quote_once(t, key, extra, out);

		if (tpm_rc)
			return tpmrc_set(e, tpm_rc, "quote its PCRs");
		rc = tpm_pcrs(t, out->pcrs, after, e);
		if (rc || !memcmp(after, out->value, sizeof(after)))
			return rc;
		memcpy(out->value, after, sizeof(after));
	}
	return rc ? rc
		  : error_set(e, -EAGAIN, CAUSE_TPM_REFUSED,
			      "the PCRs of the host's TPM do not stand still: ask again");
}

static TSS2_RC set_auth(struct tpm *t, ESYS_TR key, const struct hostconf *h)
{
	TPM2B_AUTH auth = {.size = HOSTCONF_AUTH_SIZE};
	TSS2_RC rc;

	memcpy(auth.buffer, h->ak_auth, HOSTCONF_AUTH_SIZE);
	rc = Esys_TR_SetAuth(t->esys, key, &auth);
	OPENSSL_cleanse(&auth, sizeof(auth));
	return rc;
}

int tpmquote(struct tpm *t, const struct hostconf *h, const uint8_t *extra, size_t len,
	     struct tpmquote *out, struct error *e)
{
	TPM2B_DATA data = {.size = (uint16_t)len};
	ESYS_TR key = ESYS_TR_NONE;
	bool used;
	int rc;

	if (!h->ak_handle || len > TPMQUOTE_EXTRA_MAX)
		return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
				 "this host has no attestation key: `vtpmctl host quote "
				 "--init` makes one");
	memcpy(data.buffer, extra, len);
	out->pcrs = h->pcrs | TPMQUOTE_PCRS;
	rc = tpm_handle_used(t, h->ak_handle, &used, e);
	if (!rc && !used)
		return error_set(
			e, -ENOENT, CAUSE_TPM_REPLACED,
			"the host's TPM has no attestation key at 0x%08x: it was "
			"removed, and `vtpmctl host quote --init` puts it back; or the "
			"TPM was replaced or cleared: put the old one back",
			h->ak_handle);
	if (!rc)
		rc = load_quote(t, h->ak_handle, &key, e);
	if (!rc)
		rc = check_name(t, key, h->ak_name, e);
	if (!rc)
		rc = read_public(t, key, &out->public, e);
	if (!rc && set_auth(t, key, h))
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "the attestation key's authValue cannot be used");
	if (!rc)
		rc = quote_stable(t, key, &data, out, e);
	if (key != ESYS_TR_NONE)
		Esys_TR_Close(t->esys, &key);
	return rc;
}
