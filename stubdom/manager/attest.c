/* SPDX-License-Identifier: Apache-2.0 */
#include "attest.h"
#include "include/vendor.h"
#include "lib/base64url.h"
#include "lib/crypt.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
