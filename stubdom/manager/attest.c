/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/attest.h"
#include "include/vendor.h"
#include "lib/text.h"
#include "lib/crypt.h"
#include "lib/tpmpub.h"
#include "lib/tpm2/types.h"
#include "stubdom/manager/ek.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NV_CHUNK   1024
#define NV_MAX	   8192
#define AUTH_EMPTY 4 /* TPM2B_SENSITIVE_CREATE without anything in it */

/* TPMA_OBJECT, Part 2, 8.3: fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA,
 * restricted, sign */
#define AK_ATTRIBUTES 0x00050472u

static void take_attest_2b(struct cursor *c, struct attest_bytes *out)
{
	out->n = cursor_u16(c);
	if (out->n > sizeof(out->p)) {
		cursor_fail(c);
		out->n = 0;
	}
	cursor_copy(c, out->p, out->n);
}

static const struct attest_bank known[ATTEST_BANKS] = {
	{.alg = TPM2_ALG_SHA, .size = 20, .name = "sha1"},
	{.alg = TPM2_ALG_SHA256, .size = 32, .name = "sha256"},
	{.alg = TPM2_ALG_SHA384, .size = 48, .name = "sha384"},
	{.alg = TPM2_ALG_SHA512, .size = 64, .name = "sha512"},
};

/* TPMS_PCR_SELECTION, Part 2, 10.6.2 */
static uint32_t take_selection(struct cursor *c, uint16_t *alg)
{
	uint32_t pcrs = 0;
	unsigned int i, n;

	*alg = cursor_u16(c);
	n = cursor_u8(c);
	for (i = 0; i < n && cursor_ok(c); i++) {
		uint8_t bits = cursor_u8(c);

		if (i < ATTEST_PCRS / 8)
			pcrs |= (uint32_t)bits << 8 * i;
	}
	return pcrs;
}

static void add_bank(struct attest_banks *out, uint16_t alg, uint32_t pcrs)
{
	size_t i;

	for (i = 0; pcrs && i < ATTEST_BANKS && out->n < ATTEST_BANKS; i++)
		if (known[i].alg == alg) {
			out->bank[out->n] = known[i];
			out->bank[out->n++].pcrs = pcrs;
		}
}

/* The banks that this TPM has, with those of the PCRs that are in pcrs. */
static int attest_tpm_banks(struct command *c, uint32_t pcrs, struct attest_banks *out)
{
	uint32_t n, i, has;
	uint16_t alg;
	int rc;

	out->n = 0;
	command_begin(c, TPM2_CC_GetCapability);
	cursor_put_u32(&c->in, TPM2_CAP_PCRS);
	cursor_put_u32(&c->in, 0);
	cursor_put_u32(&c->in, 1);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_bytes(&c->out, 1 + 4); /* moreData, capability */
	n = cursor_u32(&c->out);
	for (i = 0; i < n && cursor_ok(&c->out); i++) {
		has = take_selection(&c->out, &alg);
		add_bank(out, alg, has & pcrs);
	}
	return cursor_ok(&c->out) && out->n ? 0 : -EBADMSG;
}

static void put_attest_selection(struct cursor *w, uint16_t alg, uint32_t pcrs)
{
	unsigned int i;

	cursor_put_u16(w, alg);
	cursor_put_u8(w, ATTEST_PCRS / 8);
	for (i = 0; i < ATTEST_PCRS / 8; i++)
		cursor_put_u8(w, (uint8_t)(pcrs >> 8 * i));
}

/* One value; c->out is at the digest, of the bank's size. */
static int attest_tpm_pcr(struct command *c, const struct attest_bank *b,
			  unsigned int pcr)
{
	uint16_t alg;
	int rc;

	command_begin(c, TPM2_CC_PCR_Read);
	cursor_put_u32(&c->in, 1);
	put_attest_selection(&c->in, b->alg, 1u << pcr);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_u32(&c->out); /* pcrUpdateCounter */
	if (cursor_u32(&c->out) != 1 || take_selection(&c->out, &alg) != 1u << pcr ||
	    cursor_u32(&c->out) != 1 || cursor_u16(&c->out) != b->size ||
	    cursor_left(&c->out) < b->size)
		return -EBADMSG;
	return 0;
}

/* Each change of a byte here makes another key of every vTPM. */
static void put_attest_template(struct cursor *w)
{
	size_t mark = cursor_mark_u16(w);

	cursor_put_u16(w, TPM2_ALG_ECC);
	cursor_put_u16(w, TPM2_ALG_SHA256);
	cursor_put_u32(w, AK_ATTRIBUTES);
	cursor_put_u16(w, 0);		  /* authPolicy */
	cursor_put_u16(w, TPM2_ALG_NULL); /* symmetric */
	cursor_put_u16(w, TPM2_ALG_ECDSA);
	cursor_put_u16(w, TPM2_ALG_SHA256);
	cursor_put_u16(w, TPM2_ECC_NIST_P256);
	cursor_put_u16(w, TPM2_ALG_NULL); /* kdf */
	cursor_put_u16(w, 0);
	cursor_put_u16(w, 0);
	cursor_patch_u16(w, mark);
}

/* TPM2_CreatePrimary, Part 3, 24.1: c->handle is the key. */
static int make_attest_key(struct command *c, const struct firmware *f,
			   struct attest_quote *out)
{
	int rc;

	command_begin(c, TPM2_CC_CreatePrimary);
	c->gives_handle = true;
	cursor_put_u32(&c->in, TPM2_RH_PLATFORM);
	command_auth(c, f->platform_auth, f->platform_auth_len);
	cursor_put_u16(&c->in, AUTH_EMPTY);
	cursor_put_u32(&c->in, 0);
	put_attest_template(&c->in);
	cursor_put_u16(&c->in, 0); /* outsideInfo */
	cursor_put_u32(&c->in, 0); /* creationPCR */
	rc = command_run(c);
	OPENSSL_cleanse(c->cmd, sizeof(c->cmd));
	if (rc)
		return rc;
	take_attest_2b(&c->out, &out->public);
	(void)cursor_bytes(&c->out, cursor_u16(&c->out)); /* creationData */
	(void)cursor_bytes(&c->out, cursor_u16(&c->out)); /* creationHash */
	(void)cursor_bytes(&c->out, 2 + 4); /* creationTicket: tag, hierarchy */
	(void)cursor_bytes(&c->out, cursor_u16(&c->out));
	take_attest_2b(&c->out, &out->name);
	if (cursor_ok(&c->out))
		return 0;
	(void)!ek_flush(c, c->handle);
	return -EBADMSG;
}

static int quote(struct command *c, uint32_t key, const struct attest_banks *banks,
		 const uint8_t *nonce, size_t len, struct attest_quote *out)
{
	size_t i, left;
	int rc;

	command_begin(c, TPM2_CC_Quote);
	cursor_put_u32(&c->in, key);
	command_auth(c, NULL, 0);
	cursor_put_u16(&c->in, (uint16_t)len);
	cursor_put(&c->in, nonce, len);
	cursor_put_u16(&c->in, TPM2_ALG_NULL);
	cursor_put_u32(&c->in, (uint32_t)banks->n);
	for (i = 0; i < banks->n; i++)
		put_attest_selection(&c->in, banks->bank[i].alg, banks->bank[i].pcrs);
	rc = command_run(c);
	if (rc)
		return rc;
	take_attest_2b(&c->out, &out->quote);
	left = cursor_left(&c->out);
	out->signature.n = ECDSA_P256;
	return ecdsa_p256(cursor_bytes(&c->out, left), left, out->signature.p);
}

/* Makes the attestation key, quotes these PCRs with it, and flushes it.  It needs one free
 * place for an object. */
static int attest_tpm_quote(struct command *c, const struct firmware *f,
			    const struct attest_banks *banks, const uint8_t *nonce,
			    size_t len, struct attest_quote *out)
{
	uint32_t key, rc_tpm;
	int rc = make_attest_key(c, f, out);

	if (rc)
		return rc;
	key = c->handle;
	rc = quote(c, key, banks, nonce, len, out);
	rc_tpm = c->rc;
	(void)!ek_flush(c, key);
	c->rc = rc_tpm;
	return rc;
}

/* TPMS_NV_PUBLIC, Part 2, 13.5: nvIndex, nameAlg, attributes, authPolicy, dataSize */
static size_t nv_size(struct command *c, uint32_t index)
{
	struct cursor public;

	command_begin(c, TPM2_CC_NV_ReadPublic);
	cursor_put_u32(&c->in, index);
	if (command_run(c))
		return 0;
	public = cursor_sub(&c->out, cursor_u16(&c->out));
	(void)cursor_bytes(&public, 4 + 2 + 4);
	(void)cursor_bytes(&public, cursor_u16(&public));
	return cursor_u16(&public);
}

static int nv_read(struct command *c, uint32_t index, uint8_t *to, size_t at, size_t n)
{
	int rc;

	command_begin(c, TPM2_CC_NV_Read);
	cursor_put_u32(&c->in, index);
	cursor_put_u32(&c->in, index);
	command_auth(c, NULL, 0);
	cursor_put_u16(&c->in, (uint16_t)n);
	cursor_put_u16(&c->in, (uint16_t)at);
	rc = command_run(c);
	if (!rc && cursor_u16(&c->out) != n)
		rc = -EBADMSG;
	if (!rc)
		cursor_copy(&c->out, to, n);
	return rc;
}

/* The NV index's content, malloc()ed; NULL: there is none that everybody can read. */
static uint8_t *attest_tpm_nv(struct command *c, uint32_t index, size_t *len)
{
	size_t at, n, size = nv_size(c, index);
	uint8_t *bytes = size && size <= NV_MAX ? malloc(size) : NULL;

	for (at = 0; bytes && at < size; at += n) {
		n = size - at < NV_CHUNK ? size - at : NV_CHUNK;
		if (nv_read(c, index, bytes + at, at, n)) {
			free(bytes);
			bytes = NULL;
		}
	}
	*len = size;
	return bytes;
}

#define CERTIFICATES 3
#define FIXED_ROOM   49152 /* all but certificates, log and the host's part */
#define REQUEST_MAX  512

/* EK Credential Profile 2.5, 2.2.2: low range RSA-2048 and P-256, high range P-384 */
static const uint32_t certificate_index[CERTIFICATES] = {0x01c00002, 0x01c0000a,
							 0x01c00016};

/* What goes into the evidence. */
struct parts {
	const struct attest_request *r;
	struct attest_quote quote;
	struct attest_banks banks;
	struct {
		uint8_t *p;
		size_t n;
	} certificate[CERTIFICATES];
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

static int put_bank(struct cursor *w, struct command *c, const struct attest_bank *b)
{
	const char *comma = "";
	unsigned int pcr;
	char key[16];
	int rc = 0;

	put_text(w, "\"");
	put_text(w, b->name);
	put_text(w, "\":{");
	for (pcr = 0; pcr < ATTEST_PCRS && !rc; pcr++) {
		if (!(b->pcrs & 1u << pcr))
			continue;
		rc = attest_tpm_pcr(c, b, pcr);
		snprintf(key, sizeof(key), "%s\"%u\":", comma, pcr);
		if (!rc)
			put_bytes(w, key, cursor_bytes(&c->out, b->size), b->size);
		comma = ",";
	}
	put_text(w, "}");
	return rc;
}

static int put_pcrs(struct cursor *w, struct command *c, const struct attest_banks *banks)
{
	size_t i;
	int rc = 0;

	put_text(w, ",\"pcrs\":{");
	for (i = 0; i < banks->n && !rc; i++) {
		if (i)
			put_text(w, ",");
		rc = put_bank(w, c, &banks->bank[i]);
	}
	put_text(w, "}");
	return rc;
}

static void put_certificates(struct cursor *w, const struct parts *p)
{
	const char *before = ",\"certificates\":[";
	size_t i;

	for (i = 0; i < CERTIFICATES; i++) {
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
static int put_all(struct cursor *w, struct command *c, const struct attest *a,
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
	put_bytes(w, ",\"signature\":", p->quote.signature.p, p->quote.signature.n);
	rc = put_pcrs(w, c, &p->banks);
	if (a->log->len)
		put_bytes(w, ",\"log\":", a->log->bytes, a->log->len);
	put_certificates(w, p);
	put_text(w, "},\"host\":");
	cursor_put(w, p->host, p->host_len);
	put_text(w, "}}");
	cursor_put_u8(w, 0);
	return rc || cursor_ok(w) ? rc : -EMSGSIZE;
}

static int write_evidence(struct attest *a, struct command *c, const struct parts *p)
{
	size_t i, room = FIXED_ROOM + p->host_len + BASE64URL_SIZE(a->log->len);
	struct cursor w;
	int rc;

	for (i = 0; i < CERTIFICATES; i++)
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
static int ask_tpm(const struct attest *a, struct command *c, struct parts *p)
{
	const struct attest_request *r = p->r;
	int rc = attest_tpm_banks(c, r->pcrs, &p->banks);
	size_t i;

	if (!rc)
		rc = attest_tpm_quote(c, a->firmware, &p->banks, r->nonce, r->nonce_len,
				      &p->quote);
	if (rc)
		return rc;
	for (i = 0; i < CERTIFICATES; i++)
		p->certificate[i].p =
			attest_tpm_nv(c, certificate_index[i], &p->certificate[i].n);
	return 0;
}

static void put_2b(struct cursor *w, const uint8_t *p, size_t n)
{
	cursor_put_u16(w, (uint16_t)n);
	if (n)
		cursor_put(w, p, n);
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
	put_2b(&w, p->r->nonce, p->r->nonce_len);
	put_2b(&w, p->r->user, p->r->user_len);
	put_2b(&w, p->quote.name.p, p->quote.name.n);
	put_2b(&w, quote, sizeof(quote));
	put_2b(&w, log, a->log->len ? sizeof(log) : 0);
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
	return error_set(e, rc, CAUSE_ENGINE, "The TPM refused to quote: 0x%x.", said);
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

static int collect(struct attest *a, struct command *c, struct parts *p, uint32_t *tpm_rc,
		   struct error *e)
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
	struct command *c = malloc(sizeof(*c));
	struct parts *p = calloc(1, sizeof(*p));
	size_t i;
	int rc;

	attest_clear(a);
	*tpm_rc = TPM2_RC_DISABLED;
	if (c && p) {
		p->r = r;
		rc = collect(a, c, p, tpm_rc, e);
		for (i = 0; i < CERTIFICATES; i++)
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
