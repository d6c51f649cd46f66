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
#include <stdbool.h>
#include <stdio.h>
#include <openssl/crypto.h>
#include <string.h>

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
	char text[BASE64URL_SIZE(TPMQUOTE_PART_MAX) + 1];

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
	return json_pack("{s:o, s:o, s:o, s:o}", "ak",
			 encode_quote(q->public.p, q->public.n), "quote",
			 encode_quote(q->quote.p, q->quote.n), "signature",
			 encode_quote(q->signature, sizeof(q->signature)), "pcrs",
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

/* A random key with a random authValue; the session says that what comes is the TPM's. */
static int make_quote(struct hosttpm *c, struct hostconf *h, struct error *e)
{
	const struct tpm2_bytes auth = {h->ak_auth, sizeof(h->ak_auth)}, none = {0};
	int rc;

	if (crypt_random(h->ak_auth, sizeof(h->ak_auth)))
		return error_set(e, -EIO, CAUSE_RANDOM,
				 "there is no good randomness yet; try again in a "
				 "minute");
	h->ak_object_len = sizeof(h->ak_object);
	rc = hosttpm_create(c, &tpm2_attestation_key, auth, none, h->ak_object,
			    &h->ak_object_len, e);
	if (rc)
		h->ak_object_len = 0;
	return rc;
}

static int load_quote(struct tpm *t, uint32_t handle, ESYS_TR *key, struct error *e)
{
	TSS2_RC rc = Esys_TR_FromTPMPublic(t->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE,
					   ESYS_TR_NONE, key);

	return rc ? tpmrc_set(e, rc, "read its attestation key") : 0;
}

static int other_key(struct error *e)
{
	return error_set(
		e, -EXDEV, CAUSE_TPM_REPLACED,
		"0x%08x in the host's TPM is not this host's attestation key; if "
		"nobody needs what is there, remove it with `tpm2_evictcontrol -C "
		"o -c 0x%08x`, then `vtpmctl host quote --init`",
		TPMQUOTE_HANDLE, TPMQUOTE_HANDLE);
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

/* One of an earlier host.json of this host, whose authValue is lost, or an
 * object of another program.  The first is known by its template, and makes room. */
static int make_room(struct tpm *t, ESYS_TR *there, bool *used, struct error *e)
{
	TPM2B_PUBLIC area = {0};
	ESYS_TR none = ESYS_TR_NONE;
	TSS2_RC rc;
	int ret = read_public(t, *there, &area, e);

	if (ret)
		return ret;
	if (area.publicArea.type != tpm2_attestation_key.type ||
	    area.publicArea.objectAttributes != tpm2_attestation_key.attributes ||
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
static int put_in_place(struct tpm *t, struct hosttpm *c, uint32_t key,
			const uint8_t name[TPM_NAME_SIZE], bool fresh, bool *made,
			struct error *e)
{
	uint8_t found[TPM_NAME_SIZE] = {0};
	ESYS_TR there = ESYS_TR_NONE;
	bool used;
	int rc = tpm_handle_used(t, TPMQUOTE_HANDLE, &used, e);

	if (!rc && used)
		rc = load_quote(t, TPMQUOTE_HANDLE, &there, e);
	if (!rc && used && fresh)
		rc = make_room(t, &there, &used, e);
	if (!rc && used &&
	    (tpm_name(t, there, found) || memcmp(found, name, sizeof(found))))
		rc = other_key(e);
	if (!rc && !used)
		rc = hosttpm_result(&c->cmd,
				    tpm2_evict_control(&c->cmd, key, TPMQUOTE_HANDLE), e);
	*made = !rc && !used;
	if (there != ESYS_TR_NONE)
		Esys_TR_Close(t->esys, &there);
	return rc;
}

/* The Name that a TPMT_PUBLIC has. */
static int name_key(struct tpm2_bytes public, uint8_t name[TPM_NAME_SIZE],
		    struct error *e)
{
	return tpm2_name(public, name) ? error_set(e, -EIO, CAUSE_INTERNAL,
						   "the attestation key has no Name")
				       : 0;
}

static int place_key(struct tpm *t, struct hosttpm *c, struct hostconf *h, bool *made,
		     struct error *e)
{
	bool fresh = !h->ak_object_len;
	uint8_t name[TPM_NAME_SIZE];
	struct cursor object;
	uint32_t key = 0;
	int rc = fresh ? make_quote(c, h, e) : 0;

	if (rc)
		return rc;
	object = cursor_reader(h->ak_object, h->ak_object_len);
	rc = name_key(tpm2_get_2b(&object), name, e);
	if (!rc)
		rc = hosttpm_load(c, h->ak_object, h->ak_object_len, &key, e);
	if (!rc)
		rc = put_in_place(t, c, key, name, fresh, made, e);
	hosttpm_flush(c, key);
	if (rc)
		return rc;
	h->ak_handle = TPMQUOTE_HANDLE;
	memcpy(h->ak_name, name, sizeof(name));
	return 0;
}

int tpmquote_make_key(struct tpm *t, struct hostconf *h, bool *made, struct error *e)
{
	const struct tpm2_transport tpm = tpm_transport(t);
	struct hosttpm_config config;
	struct hosttpm c;
	int rc;

	*made = false;
	tpm_hosttpm_config(h, &config);
	rc = hosttpm_open(&c, &config, &tpm, e);
	if (!rc)
		rc = place_key(t, &c, h, made, e);
	hosttpm_close(&c);
	OPENSSL_cleanse(&config, sizeof(config));
	return rc;
}

void tpmquote_inherit(struct hostconf *h, const struct hostconf *old)
{
	h->ak_handle = old->ak_handle;
	memcpy(h->ak_name, old->ak_name, sizeof(h->ak_name));
	memcpy(h->ak_auth, old->ak_auth, sizeof(h->ak_auth));
	memcpy(h->ak_object, old->ak_object, sizeof(h->ak_object));
	h->ak_object_len = old->ak_object_len;
}

static int keep_part(struct tpmquote_part *out, struct tpm2_bytes b)
{
	if (b.n > sizeof(out->p))
		return -EBADMSG;
	memcpy(out->p, b.p, b.n);
	out->n = b.n;
	return 0;
}

/* Has the TPM sign, in a session that has the key's authValue. */
static int quote_once(struct hosttpm *c, const struct hostconf *h, struct tpm2_session *s,
		      struct tpm2_bytes extra, struct tpmquote *out)
{
	const struct tpm2_object key = {h->ak_handle, h->ak_name};
	const uint32_t pcrs[TPM2_BANKS] = {
		[1] = out->pcrs}; /* SHA-256: lib/tpm2/marshal.h */
	struct tpm2_bytes quote, signature;
	int rc = tpm2_quote(&c->cmd, key, &(struct tpm2_auth){.session = s}, extra, pcrs,
			    &quote, &signature);

	if (!rc)
		rc = keep_part(&out->quote, quote);
	return rc ? rc : tpm2_ecdsa_p256(signature.p, signature.n, out->signature);
}

/* The PCRs are read before and after, and have to be the same. */
static int quote_stable(struct tpm *t, struct hosttpm *c, const struct hostconf *h,
			struct tpm2_session *s, struct tpm2_bytes extra,
			struct tpmquote *out, struct error *e)
{
	uint8_t after[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
	int n, rc = tpm_pcrs(t, out->pcrs, out->value, e);

	for (n = 0; !rc && n < TRIES; n++) {
		rc = hosttpm_result(&c->cmd, quote_once(c, h, s, extra, out), e);
		if (!rc)
			rc = tpm_pcrs(t, out->pcrs, after, e);
		if (rc || !memcmp(after, out->value, sizeof(after)))
			return rc;
		memcpy(out->value, after, sizeof(after));
	}
	return rc ? rc
		  : error_set(e, -EAGAIN, CAUSE_TPM_REFUSED,
			      "the PCRs of the host's TPM do not stand still: ask again");
}

/* The key's public part, if what is at its handle has its Name. */
static int read_key(struct hosttpm *c, const struct hostconf *h, struct tpmquote *out,
		    struct error *e)
{
	uint8_t name[TPM_NAME_SIZE];
	struct tpm2_bytes public, its_name;
	int rc = tpm2_read_public(&c->cmd, h->ak_handle, &public, &its_name);

	if (!rc)
		rc = keep_part(&out->public, public);
	if (rc)
		return hosttpm_result(&c->cmd, rc, e);
	if (tpm2_name(public, name) || memcmp(name, h->ak_name, sizeof(name)))
		return other_key(e);
	return 0;
}

static int quote_with_key(struct tpm *t, const struct hostconf *h,
			  struct tpm2_bytes extra, struct tpmquote *out, struct error *e)
{
	const struct tpm2_transport tpm = tpm_transport(t);
	struct hosttpm_config config;
	struct tpm2_session s = {0};
	struct hosttpm c;
	int rc;

	tpm_hosttpm_config(h, &config);
	rc = hosttpm_open(&c, &config, &tpm, e);
	if (!rc)
		rc = read_key(&c, h, out, e);
	if (!rc)
		rc = hosttpm_start(&c, TPM2_SE_HMAC, &s, e);
	if (!rc) {
		tpm2_session_auth(&s, h->ak_auth, sizeof(h->ak_auth), true);
		rc = quote_stable(t, &c, h, &s, extra, out, e);
	}
	hosttpm_end(&c, &s);
	hosttpm_close(&c);
	OPENSSL_cleanse(&config, sizeof(config));
	return rc;
}

int tpmquote(struct tpm *t, const struct hostconf *h, const uint8_t *extra, size_t len,
	     struct tpmquote *out, struct error *e)
{
	bool used;
	int rc;

	if (!h->ak_handle || len > TPMQUOTE_EXTRA_MAX)
		return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
				 "this host has no attestation key: `vtpmctl host quote "
				 "--init` makes one");
	out->pcrs = h->pcrs | TPMQUOTE_PCRS;
	rc = tpm_handle_used(t, h->ak_handle, &used, e);
	if (!rc && !used)
		return error_set(
			e, -ENOENT, CAUSE_TPM_REPLACED,
			"the host's TPM has no attestation key at 0x%08x: it was "
			"removed, and `vtpmctl host quote --init` puts it back; or the "
			"TPM was replaced or cleared: put the old one back",
			h->ak_handle);
	return rc ? rc : quote_with_key(t, h, (struct tpm2_bytes){extra, len}, out, e);
}
