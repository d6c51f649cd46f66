/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/attest.h"
#include "include/vendor.h"
#include "lib/text.h"
#include "lib/crypt.h"
#include "lib/tpm2/code.h"
#include "lib/tpm2/quote.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NV_MAX 8192

/* A key, and what it signed; TPMT_PUBLIC, Name, TPMS_ATTEST, TPMT_SIGNATURE. */
struct quote {
	struct bytes {
		uint8_t p[ATTEST_PART_MAX];
		size_t n;
	} public, name, quote;
	uint8_t signature[TPM2_ECDSA_P256];
};

static int keep_bytes(struct bytes *out, struct tpm2_bytes b)
{
	if (b.n > sizeof(out->p))
		return -EBADMSG;
	memcpy(out->p, b.p, b.n);
	out->n = b.n;
	return 0;
}

#define ERROR_FMT1 0x0bfu

/* Whether the TPM did not let the manager into the platform hierarchy: an HVM guest's firmware,
 * or its system, has set platformAuth in an encrypted session.  One that disabled the hierarchy
 * has no evidence: SeaBIOS does that when its TPM failed, and boots without measuring. */
static bool is_kept_out(int rc, uint32_t code)
{
	if (rc != -EREMOTEIO || !(code & TPM2_RC_FMT1))
		return false;
	code &= ERROR_FMT1;
	return code == TPM2_RC_BAD_AUTH || code == TPM2_RC_AUTH_FAIL;
}

/* The attestation key: c->handle is the key. */
static int make_attest_key(struct tpm2_cmd *c, const struct firmware *f,
			   struct quote *out)
{
	const struct tpm2_auth auth = firmware_auth(f), empty = {0};
	struct tpm2_bytes public, name;
	uint32_t key;
	int rc = tpm2_create_primary(c, TPM2_RH_PLATFORM, &auth, &tpm2_attestation_key,
				     &public, &name);

	OPENSSL_cleanse(c->cmd, sizeof(c->cmd));
	if (is_kept_out(rc, c->rc))
		rc = tpm2_create_primary(c, TPM2_RH_NULL, &empty, &tpm2_attestation_key,
					 &public, &name);
	if (!rc)
		rc = keep_bytes(&out->public, public);
	if (!rc)
		rc = keep_bytes(&out->name, name);
	key = c->handle;
	if (rc == -EBADMSG && key)
		(void)!tpm2_flush_context(c, key);
	return rc;
}

/* Makes the attestation key, quotes these PCRs with it, and flushes it.  It needs one free
 * place for an object. */
static int quote_pcrs(struct tpm2_cmd *c, const struct firmware *f,
		      const uint32_t pcrs[TPM2_BANKS], struct tpm2_bytes nonce,
		      struct quote *out)
{
	struct tpm2_bytes quote, signature;
	uint32_t key, rc_tpm;
	int rc = make_attest_key(c, f, out);

	if (rc)
		return rc;
	key = c->handle;
	rc = tpm2_quote(c, (struct tpm2_object){.handle = key}, NULL, nonce, pcrs, &quote,
			&signature);
	if (!rc)
		rc = keep_bytes(&out->quote, quote);
	if (!rc)
		rc = tpm2_ecdsa_p256(signature.p, signature.n, out->signature);
	rc_tpm = c->rc;
	(void)!tpm2_flush_context(c, key);
	c->rc = rc_tpm;
	return rc;
}

/* The NV index's content, malloc()ed; NULL: not defined, or not readable without authorization. */
static uint8_t *read_nv(struct tpm2_cmd *c, uint32_t index, size_t *len)
{
	const struct tpm2_nv nv = {.by = index, .index = index};
	struct tpm2_nv_public public;
	struct tpm2_bytes part;
	uint8_t *bytes = NULL;
	size_t at, n;

	*len = 0;
	if (!tpm2_nv_read_public(c, index, &public) && public.size &&
	    public.size <= NV_MAX) {
		*len = public.size;
		bytes = malloc(public.size);
	}
	for (at = 0; bytes && at < *len; at += n) {
		n = *len - at < TPM2_NV_CHUNK ? *len - at : TPM2_NV_CHUNK;
		if (tpm2_nv_read(c, &nv, (uint16_t)n, (uint16_t)at, &part)) {
			free(bytes);
			bytes = NULL;
		} else {
			memcpy(bytes + at, part.p, n);
		}
	}
	return bytes;
}

#define FIXED_ROOM  49152 /* all but certificates, log and the host's part */
#define REQUEST_MAX 512

/* What goes into the evidence. */
struct parts {
	const struct attest_request *r;
	struct quote quote;
	uint32_t pcrs[TPM2_BANKS]; /* that are quoted */
	struct {
		uint8_t *p;
		size_t n;
	} certificate[TPM2_CERT_EKS];
	uint8_t *host;
	size_t host_len;
};

static void put_text(struct cursor *w, const char *text)
{
	cursor_put(w, text, strlen(text));
}

/* "name":"base64url" with what stands before it */
static void put_bytes(struct cursor *w, const char *before, const uint8_t *p, size_t n)
{
	char text[BASE64URL_SIZE(48) + 1];
	size_t k;

	put_text(w, before);
	put_text(w, "\"");
	for (; n; p += k, n -= k) {
		k = n < 48 ? n : 48;
		base64url_encode(p, k, text);
		put_text(w, text);
	}
	put_text(w, "\"");
}

static int put_bank(struct cursor *w, struct tpm2_cmd *c, const struct tpm2_hash *bank,
		    uint32_t pcrs)
{
	uint8_t value[TPM2_PCRS * TPM2_HASH_MAX];
	uint32_t wanted = pcrs, got, pcr;
	const char *comma = "";
	char key[16];
	int rc = 0;

	for (; wanted && !rc; wanted &= ~got) {
		rc = tpm2_pcr_read(c, bank, wanted, &got, value);
		if (!rc && !(got & wanted))
			rc = -EBADMSG;
	}
	put_text(w, "\"");
	put_text(w, bank->name);
	put_text(w, "\":{");
	for (pcr = 0; pcr < TPM2_PCRS && !rc; pcr++) {
		if (!(pcrs & 1u << pcr))
			continue;
		snprintf(key, sizeof(key), "%s\"%u\":", comma, pcr);
		put_bytes(w, key, value + pcr * bank->size, bank->size);
		comma = ",";
	}
	put_text(w, "}");
	return rc;
}

static int put_pcrs(struct cursor *w, struct tpm2_cmd *c, const uint32_t pcrs[TPM2_BANKS])
{
	const char *comma = "";
	int i, rc = 0;

	put_text(w, ",\"pcrs\":{");
	for (i = 0; i < TPM2_BANKS && !rc; i++) {
		if (!pcrs[i])
			continue;
		put_text(w, comma);
		rc = put_bank(w, c, &tpm2_hashes[i], pcrs[i]);
		comma = ",";
	}
	put_text(w, "}");
	return rc;
}

static void put_certificates(struct cursor *w, const struct parts *p)
{
	const char *before = ",\"certificates\":[";
	size_t i;

	for (i = 0; i < TPM2_CERT_EKS; i++) {
		if (!p->certificate[i].p)
			continue;
		put_bytes(w, before, p->certificate[i].p, p->certificate[i].n);
		before = ",";
	}
	if (before[1])
		return;
	put_text(w, "]");
}

/* One form, without spaces: tools/vtpm-verify/evidence.h */
static int put_all(struct cursor *w, struct tpm2_cmd *c, const struct attest *a,
		   const struct parts *p)
{
	int rc;

	put_text(w, "{\"eat_profile\":\"tag:xen-vtpm,2026:deep-quote-2\"");
	put_bytes(w, ",\"eat_nonce\":", p->r->nonce, p->r->nonce_len);
	if (p->r->user_len)
		put_bytes(w, ",\"user_data\":", p->r->user, p->r->user_len);
	put_bytes(w, ",\"submods\":{\"vtpm\":{\"ak\":", p->quote.public.p,
		  p->quote.public.n);
	put_bytes(w, ",\"quote\":", p->quote.quote.p, p->quote.quote.n);
	put_bytes(w, ",\"signature\":", p->quote.signature, sizeof(p->quote.signature));
	rc = put_pcrs(w, c, p->pcrs);
	if (a->log->len)
		put_bytes(w, ",\"log\":", a->log->bytes, a->log->len);
	put_certificates(w, p);
	put_text(w, "},\"host\":");
	cursor_put(w, p->host, p->host_len);
	put_text(w, "}}");
	cursor_put_u8(w, 0);
	return rc || cursor_ok(w) ? rc : -EMSGSIZE;
}

static int write_evidence(struct attest *a, struct tpm2_cmd *c, const struct parts *p)
{
	size_t i, room = FIXED_ROOM + p->host_len + BASE64URL_SIZE(a->log->len);
	struct cursor w;
	int rc;

	for (i = 0; i < TPM2_CERT_EKS; i++)
		room += BASE64URL_SIZE(p->certificate[i].n) + 4;
	a->evidence = malloc(room);
	if (!a->evidence)
		return -ENOMEM;
	w = cursor_writer(a->evidence, room);
	rc = put_all(&w, c, a, p);
	a->len = w.pos - 1;
	if (rc)
		attest_clear(a);
	return rc;
}

/* The vTPM's own part.  The PCRs cannot change before they are written out: no command of
 * the guest comes in between. */
static int ask_tpm(const struct attest *a, struct tpm2_cmd *c, struct parts *p)
{
	const struct attest_request *r = p->r;
	int rc = tpm2_get_banks(c, p->pcrs);
	uint32_t any = 0;
	size_t i;

	for (i = 0; i < TPM2_BANKS; i++)
		any |= p->pcrs[i] &= r->pcrs;
	if (!rc && !any)
		rc = -EBADMSG;
	if (!rc)
		rc = quote_pcrs(c, a->firmware, p->pcrs,
				(struct tpm2_bytes){r->nonce, r->nonce_len}, &p->quote);
	if (rc)
		return rc;
	for (i = 0; i < TPM2_CERT_EKS; i++)
		p->certificate[i].p =
			read_nv(c, tpm2_certs[i].index, &p->certificate[i].n);
	return 0;
}

/* CHANNEL_QUOTE */
static int ask_host(const struct attest *a, struct parts *p)
{
	const struct crypt_part part = {p->quote.quote.p, p->quote.quote.n};
	uint8_t request[REQUEST_MAX], quote[CRYPT_HASH_SIZE], log[CRYPT_HASH_SIZE];
	struct cursor w = cursor_writer(request, sizeof(request));
	int rc = crypt_sha256(&part, 1, quote);

	if (!rc && a->log->len)
		rc = eventlog_sha256(a->log, log);
	if (rc)
		return rc;
	tpm2_put_2b(&w, (struct tpm2_bytes){p->r->nonce, p->r->nonce_len});
	tpm2_put_2b(&w, (struct tpm2_bytes){p->r->user, p->r->user_len});
	tpm2_put_2b(&w, (struct tpm2_bytes){p->quote.name.p, p->quote.name.n});
	tpm2_put_2b(&w, (struct tpm2_bytes){quote, sizeof(quote)});
	tpm2_put_2b(&w, (struct tpm2_bytes){log, a->log->len ? sizeof(log) : 0});
	if (!cursor_ok(&w))
		return -EMSGSIZE;
	return a->host(a->ctx, request, w.pos, &p->host, &p->host_len);
}

static int refuse_tpm(int rc, uint32_t said, uint32_t *tpm_rc, struct error *e)
{
	*tpm_rc = rc == -EREMOTEIO ? said : TPM2_RC_DISABLED;
	if (said == TPM2_RC_OBJECT_MEMORY)
		return error_set(e, rc, CAUSE_ENGINE,
				 "The guest fills the TPM's memory for keys right now: "
				 "ask again.");
	return error_set(e, rc, CAUSE_ENGINE,
			 "The TPM refused to quote (0x%x, %s): ask again; when that "
			 "stays, restart it with its guest.",
			 said, tpm2_code_words(said));
}

static int refuse_host(int rc, uint32_t *tpm_rc, struct error *e)
{
	*tpm_rc = TPM2_RC_DISABLED;
	if (rc != -EAGAIN && rc != -EPIPE && rc != -ETIMEDOUT)
		return error_set(e, rc, CAUSE_TPM_REFUSED,
				 "The host's TPM gave no quote: `journalctl -u vtpmd` "
				 "tells why.");
	*tpm_rc = TPM2_RC_RETRY;
	return error_set(
		e, -EAGAIN, CAUSE_TPM_UNREACHABLE,
		"The host's TPM quotes for others, or did so for this vTPM often: ask "
		"again in some seconds.");
}

static int collect(struct attest *a, struct tpm2_cmd *c, struct parts *p,
		   uint32_t *tpm_rc, struct error *e)
{
	int rc = ask_tpm(a, c, p);

	if (rc)
		return refuse_tpm(rc, rc == -EREMOTEIO ? c->rc : 0, tpm_rc, e);
	rc = ask_host(a, p);
	if (rc)
		return refuse_host(rc, tpm_rc, e);
	rc = write_evidence(a, c, p);
	return rc ? error_set(e, rc, CAUSE_INTERNAL,
			      "The evidence could not be written: %s.", strerror(-rc))
		  : 0;
}

int attest_run(struct attest *a, const struct attest_request *r, uint32_t *tpm_rc,
	       struct error *e)
{
	struct tpm2_cmd *c = calloc(1, sizeof(*c));
	struct parts *p = calloc(1, sizeof(*p));
	size_t i;
	int rc;

	attest_clear(a);
	*tpm_rc = TPM2_RC_DISABLED;
	if (c && p) {
		c->transport = &engine_tpm;
		p->r = r;
		rc = collect(a, c, p, tpm_rc, e);
		for (i = 0; i < TPM2_CERT_EKS; i++)
			free(p->certificate[i].p);
		free(p->host);
	} else {
		rc = error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	}
	free(p);
	free(c);
	return rc;
}

void attest_clear(struct attest *a)
{
	free(a->evidence);
	a->evidence = NULL;
	a->len = 0;
}

void vtpm_attest(struct hostchan *chan, const struct attest *guest)
{
	struct error e = {.cause = CAUSE_NONE};
	struct attest_request r;
	struct attest own = *guest;
	uint32_t tpm_rc;
	size_t len;
	uint8_t *request = hostchan_event_payload(chan, &len);
	struct cursor c = cursor_reader(request, len);

	own.evidence = NULL;
	r.pcrs = cursor_u32(&c);
	r.nonce_len = cursor_u16(&c);
	r.nonce = cursor_bytes(&c, r.nonce_len);
	r.user_len = cursor_u16(&c);
	r.user = cursor_bytes(&c, r.user_len);
	if (!cursor_done(&c) || r.nonce_len > ATTEST_NONCE_MAX ||
	    r.user_len > ATTEST_USER_MAX)
		error_set(&e, -EPROTO, CAUSE_CHANNEL, "vtpmd asked for nonsense.");
	else
		(void)!attest_run(&own, &r, &tpm_rc, &e);
	hostchan_attested(chan, &e, own.evidence, own.len);
	attest_clear(&own);
	free(request);
}
