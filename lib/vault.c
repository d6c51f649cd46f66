/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/vault.h"
#include "lib/cursor.h"
#include "lib/httpread.h"
#include "lib/jsonread.h"
#include "lib/text.h"
#include "lib/tls.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEALED_SIZE  (KMS_IV_SIZE + KMS_SECRET_SIZE + KMS_TAG_SIZE)
#define BASE64_MAX   92 /* of SEALED_SIZE bytes, and some */
#define REQUEST_SIZE 2048
#define VERSION_MAX  999999999u

/* A connection, the token that is used on it, and the answer to the last request. */
struct vault {
	const struct kms_config *c;
	struct tls *tls;
	char token[VAULT_TOKEN_MAX];
	bool is_login; /* the token was made for this connection */
	uint8_t answer[HTTPREAD_MAX];
	struct httpread r;
};

bool vault_key_ok(const char *key)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789_-.";
	const char *part = key;
	size_t n, parts = 0;

	if (strlen(key) >= VAULT_KEY_MAX)
		return false;
	for (;; part += n + 1) {
		n = strspn(part, letters);
		if (!n || strspn(part, ".") == n)
			return false;
		parts++;
		if (!part[n])
			return parts > 1;
		if (part[n] != '/')
			return false;
	}
}

/* MOUNT/NAME of a key id, of host.json or of a slot. */
static const char *key_of(const char *key_id)
{
	const char *key = key_id + strlen(VAULT_PREFIX), *colon = strchr(key, ':');

	return colon ? colon + 1 : key;
}

/* Decodes len characters of base64 into exactly n bytes, in their one encoding. */
static bool decode_exactly(const char *text, size_t len, uint8_t *out, size_t n)
{
	uint8_t bytes[BASE64_MAX], again[BASE64_MAX + 8];

	if (len != 4 * ((n + 2) / 3) || len > BASE64_MAX ||
	    EVP_DecodeBlock(bytes, (const uint8_t *)text, (int)len) < (int)n ||
	    EVP_EncodeBlock(again, bytes, (int)n) != (int)len || memcmp(again, text, len))
		return false;
	memcpy(out, bytes, n);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	OPENSSL_cleanse(again, sizeof(again));
	return true;
}

/* "vN:", in its one form; the length, or 0. */
static size_t take_key_version(const char *text, unsigned int *version)
{
	size_t n = 1;

	*version = 0;
	if (text[0] != 'v' || text[1] < '1' || text[1] > '9')
		return 0;
	for (; text[n] >= '0' && text[n] <= '9'; n++) {
		if (n > 9)
			return 0;
		*version = *version * 10 + (unsigned int)(text[n] - '0');
	}
	return text[n] == ':' && *version <= VERSION_MAX ? n + 1 : 0;
}

int vault_ciphertext_parse(const char *text, const char *key, struct kms_wrapped *w)
{
	uint8_t bytes[SEALED_SIZE] = {0};
	struct cursor c = cursor_reader(bytes, sizeof(bytes));
	unsigned int version;
	size_t n;

	if (!vault_is_key_id(text))
		return -EBADMSG;
	text += strlen(VAULT_PREFIX);
	n = take_key_version(text, &version);
	if (!n || !decode_exactly(text + n, strlen(text + n), bytes, sizeof(bytes)))
		return -EBADMSG;
	memset(w, 0, sizeof(*w));
	cursor_copy(&c, w->iv, sizeof(w->iv));
	cursor_copy(&c, w->ct, sizeof(w->ct));
	cursor_copy(&c, w->tag, sizeof(w->tag));
	snprintf(w->key_id, sizeof(w->key_id), VAULT_PREFIX "v%u:%s", version, key);
	return 0;
}

int vault_ciphertext_print(const struct kms_wrapped *w, const char *key,
			   char out[VAULT_CIPHERTEXT_MAX])
{
	uint8_t bytes[SEALED_SIZE] = {0}, text[BASE64_MAX];
	struct cursor c = cursor_writer(bytes, sizeof(bytes));
	unsigned int version;
	size_t n = vault_is_key_id(w->key_id)
			   ? take_key_version(w->key_id + strlen(VAULT_PREFIX), &version)
			   : 0;

	if (!n || strcmp(key_of(w->key_id), key))
		return -EBADMSG;
	cursor_put(&c, w->iv, sizeof(w->iv));
	cursor_put(&c, w->ct, sizeof(w->ct));
	cursor_put(&c, w->tag, sizeof(w->tag));
	EVP_EncodeBlock(text, bytes, sizeof(bytes));
	snprintf(out, VAULT_CIPHERTEXT_MAX, VAULT_PREFIX "v%u:%s", version, (char *)text);
	return 0;
}

static int vault_nonsense(const struct vault *v, const char *what, struct error *e)
{
	return error_set(
		e, -EPROTO, CAUSE_KMS_REFUSED,
		"the KMS at %s answered %s: see that it is Vault or OpenBao, and "
		"no proxy in front of it; nothing was changed",
		v->c->address, what);
}

/* Reads a response whole. */
static int read_answer(struct vault *v, struct error *e)
{
	size_t len = 0, n;
	int rc;

	do {
		rc = tls_read(v->tls, v->answer + len, sizeof(v->answer) - len, &n, e);
		if (rc)
			return rc;
		len += n;
		rc = httpread_parse(v->answer, len, &v->r);
	} while (!rc && len < sizeof(v->answer));
	return rc == 1 ? 0 : vault_nonsense(v, "no HTTP that has bounds", e);
}

/* path: behind /v1/. body: JSON, or NULL: a GET. */
static int ask_vault(struct vault *v, const char *path, const char *body, struct error *e)
{
	char out[REQUEST_SIZE];
	int n, rc;

	n = snprintf(
		out, sizeof(out),
		"%s /v1/%s HTTP/1.1\r\nHost: %s\r\nX-Vault-Request: true\r\n"
		"%s%s%sAccept: application/json\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		body ? "POST" : "GET", path, v->c->address,
		v->token[0] ? "X-Vault-Token: " : "", v->token, v->token[0] ? "\r\n" : "",
		body ? strlen(body) : 0, body ? body : "");
	if (n < 0 || n >= (int)sizeof(out))
		rc = error_set(e, -EMSGSIZE, CAUSE_INTERNAL,
			       "the KMS request is too long");
	else
		rc = tls_send(v->tls, (uint8_t *)out, (size_t)n, e);
	OPENSSL_cleanse(out, sizeof(out));
	return rc ? rc : read_answer(v, e);
}

/* A text of the answer's body. */
static int answer_text(const struct vault *v, const char *path, char *out, size_t room)
{
	return jsonread_text((const char *)v->r.body, v->r.body_len, path, out, room);
}

/* What the server says of a request that failed, printable. */
static void words_of(const struct vault *v, char *out, size_t room)
{
	struct jsonread words;

	snprintf(out, room, "no reason given");
	if (!jsonread_find((const char *)v->r.body, v->r.body_len, "errors.0", &words) &&
	    words.kind == JSONREAD_STRING && words.len)
		text_clean(out, room, words.text, words.len);
}

/* Whether a status is 200, or 204; else what it means, by the API's list of them. */
static int check_status(const struct vault *v, const char *key, struct error *e)
{
	const char *at = v->c->address;
	unsigned int status = v->r.status;
	char words[80];

	words_of(v, words, sizeof(words));
	if (status == 200 || status == 204)
		return 0;
	if (status == 403)
		return error_set(
			e, -EACCES, CAUSE_KMS_DENIED,
			"the KMS at %.90s does not let this host use the Transit "
			"key %.80s (\"%.70s\"): ask its operator for a policy, and "
			"%s; nothing was changed",
			at, key, words,
			v->c->cert_pem ? "for a role of this host's certificate"
				       : "whether the token has expired");
	if (status == 404 || strstr(words, "key not found"))
		return error_set(e, -ENOKEY, CAUSE_KMS_KEY,
				 "the KMS at %.90s has no Transit key %.80s: create it, "
				 "or correct the path; nothing was changed",
				 at, key);
	if (status == 503 || status == 307 || status == 429 || status == 472 ||
	    status == 473)
		return error_set(
			e, -EAGAIN, CAUSE_KMS_UNREACHABLE,
			"the KMS at %.100s is sealed, or on standby and does not "
			"forward (status %u): unseal it, or give the active "
			"one's address too; nothing was changed",
			at, status);
	return error_set(e, -EREMOTEIO, CAUSE_KMS_REFUSED,
			 "the KMS at %.90s refused to use the Transit key %.80s "
			 "(\"%.70s\", status %u): see its log; nothing was changed",
			 at, key, words, status);
}

/* The cert auth method: who has shown his certificate in TLS gets a token. */
static int log_in(struct vault *v, const char *key, struct error *e)
{
	int rc = ask_vault(v, "auth/cert/login", "{}", e);

	if (!rc)
		rc = check_status(v, key, e);
	if (!rc && answer_text(v, "auth.client_token", v->token, sizeof(v->token)))
		rc = vault_nonsense(v, "a login without a token", e);
	/* in the midst, too: it goes into the next requests' header */
	if (!rc && v->token[strcspn(v->token, "\r\n \t")])
		rc = vault_nonsense(v, "a login with a token that is none", e);
	v->is_login = !rc;
	return rc;
}

/* The key that is configured, or a token. */
static int take_identity(struct vault *v, const char *key, struct error *e)
{
	const char *text = v->c->key_pem;
	size_t n = strcspn(text, "\r\n");

	if (v->c->cert_pem)
		return log_in(v, key, e);
	if (!n || n >= sizeof(v->token) || text[n + strspn(text + n, "\r\n")])
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "this host's token for the KMS cannot be used: run "
				 "`vtpmctl host init` again with --kms-token");
	memcpy(v->token, text, n);
	return 0;
}

/* transit/encrypt/web of transit/web */
static void path_of(const char *key, const char *verb, char out[VAULT_KEY_MAX + 16])
{
	const char *name = strrchr(key, '/') + 1;

	snprintf(out, VAULT_KEY_MAX + 16, "%.*s%s/%s", (int)(name - key), key, verb,
		 name);
}

/* Encrypt makes a key that is not there, for who may: so it is asked for first.  One of a
 * derived type has no AAD, and others are no AES-256-GCM. */
static int judge_transit(struct vault *v, const char *key, struct error *e)
{
	char path[VAULT_KEY_MAX + 16], type[32];
	struct jsonread derived;
	int rc;

	path_of(key, "keys", path);
	rc = ask_vault(v, path, NULL, e);
	if (!rc)
		rc = check_status(v, key, e);
	if (rc)
		return rc;
	if (answer_text(v, "data.type", type, sizeof(type)) ||
	    jsonread_find((const char *)v->r.body, v->r.body_len, "data.derived",
			  &derived))
		return vault_nonsense(v, "something else than what its key is", e);
	text_clean(type, sizeof(type), type, strlen(type));
	if (strcmp(type, "aes256-gcm96") || derived.kind != JSONREAD_FALSE)
		return error_set(
			e, -ENOKEY, CAUSE_KMS_KEY,
			"the Transit key %.80s at %.90s is of type %s%s, and has "
			"to be aes256-gcm96, not derived: create another one; "
			"nothing was changed",
			key, v->c->address, type,
			derived.kind == JSONREAD_TRUE ? ", derived" : "");
	return 0;
}

static void encode(const uint8_t *bytes, size_t n, char out[BASE64_MAX])
{
	EVP_EncodeBlock((uint8_t *)out, bytes, (int)n);
}

static int encrypt_at(struct vault *v, const char *key, const struct vault_exchange *x,
		      struct error *e)
{
	char path[VAULT_KEY_MAX + 16], body[400], plain[BASE64_MAX], aad[BASE64_MAX];
	char text[VAULT_CIPHERTEXT_MAX];
	int rc;

	path_of(key, "encrypt", path);
	encode(x->plain, KMS_SECRET_SIZE, plain);
	encode(x->aad, x->aad_len, aad);
	snprintf(body, sizeof(body), "{\"plaintext\":\"%s\",\"associated_data\":\"%s\"}",
		 plain, aad);
	rc = ask_vault(v, path, body, e);
	if (!rc)
		rc = check_status(v, key, e);
	if (!rc && (answer_text(v, "data.ciphertext", text, sizeof(text)) ||
		    vault_ciphertext_parse(text, key, x->wrapped)))
		rc = vault_nonsense(v, "no ciphertext of AES-256-GCM", e);
	OPENSSL_cleanse(plain, sizeof(plain));
	OPENSSL_cleanse(body, sizeof(body));
	return rc;
}

/* One request; its status is not judged. */
static int ask_decrypt(struct vault *v, const char *key, const struct kms_wrapped *w,
		       const uint8_t *aad, size_t aad_len, struct error *e)
{
	char path[VAULT_KEY_MAX + 16], body[400], bound[BASE64_MAX];
	char text[VAULT_CIPHERTEXT_MAX];

	if (vault_ciphertext_print(w, key, text))
		return error_set(e, -EBADMSG, CAUSE_HEADER_CORRUPT,
				 "the key slot has no ciphertext of Vault's: restore the "
				 "header from a backup");
	path_of(key, "decrypt", path);
	encode(aad, aad_len, bound);
	snprintf(body, sizeof(body), "{\"ciphertext\":\"%s\",\"associated_data\":\"%s\"}",
		 text, bound);
	return ask_vault(v, path, body, e);
}

static int decrypt_at(struct vault *v, const char *key, const struct vault_exchange *x,
		      struct error *e)
{
	char text[BASE64_MAX];
	int rc = ask_decrypt(v, key, x->wrapped, x->aad, x->aad_len, e);

	if (!rc)
		rc = check_status(v, key, e);
	if (!rc && (answer_text(v, "data.plaintext", text, sizeof(text)) ||
		    !decode_exactly(text, strlen(text), x->secret, KMS_SECRET_SIZE)))
		rc = vault_nonsense(v, "no plaintext of 32 bytes", e);
	OPENSSL_cleanse(text, sizeof(text));
	return rc;
}

/* A server that is too old to know "associated_data" leaves it out in silence: then it would
 * decrypt one vTPM's secret in another's place. */
static int check_bound(struct vault *v, const char *key, const struct vault_exchange *x,
		       struct error *e)
{
	static const uint8_t other[] = "xen-vtpm: of no vTPM";
	int rc = ask_decrypt(v, key, x->wrapped, other, sizeof(other), e);

	if (rc || v->r.status == 400)
		return rc;
	if (v->r.status == 200)
		return error_set(
			e, -EPROTO, CAUSE_KMS_REFUSED,
			"the KMS at %.100s leaves associated_data out: it takes a "
			"newer Vault (1.13) or OpenBao; nothing was changed",
			v->c->address);
	return check_status(v, key, e);
}

/* A token that was made for this connection is revoked; the host's own is renewed: a periodic
 * one lives on as long as it is used in time.  What the server answers changes nothing here. */
static void leave_token(struct vault *v)
{
	struct error ignored = {.cause = CAUSE_NONE};
	const char *path =
		v->is_login ? "auth/token/revoke-self" : "auth/token/renew-self";

	if (v->token[0])
		(void)!ask_vault(v, path, "{}", &ignored);
}

/* The digits of a JSON number without sign, fraction and exponent, below 10^12; -1: it is another. */
static int64_t seconds_of(const struct jsonread *v)
{
	int64_t n = 0;

	if (v->kind != JSONREAD_NUMBER || !v->len || v->len > 12)
		return -1;
	for (size_t i = 0; i < v->len; i++) {
		if (v->text[i] < '0' || v->text[i] > '9')
			return -1;
		n = n * 10 + (v->text[i] - '0');
	}
	return n;
}

/* What is left of the host's own token, which was renewed just now. */
static void look_at_token(struct vault *v)
{
	struct error ignored = {.cause = CAUSE_NONE};
	struct jsonread ttl;
	struct timespec now;
	int64_t left;

	if (ask_vault(v, "auth/token/lookup-self", NULL, &ignored) ||
	    v->r.status != 200 ||
	    jsonread_find((const char *)v->r.body, v->r.body_len, "data.ttl", &ttl))
		return;
	left = seconds_of(&ttl);
	if (left < 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	*v->c->token = (struct kms_token){.left_s = left,
					  .used_ms = (int64_t)now.tv_sec * 1000 +
						     now.tv_nsec / 1000000};
}

int vault_exchange_at(const struct kms_config *c, const struct kms_stream *s,
		      unsigned int nth, const struct vault_exchange *x, struct error *e)
{
	const char *key = key_of(x->encrypts ? c->key_id : x->wrapped->key_id);
	struct vault *v = calloc(1, sizeof(*v));
	int rc;

	if (!v)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory for the KMS");
	v->c = c;
	rc = vault_key_ok(key) ? tls_open(&v->tls, c, s, nth, e)
			       : error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
					   "the KMS key's path is not MOUNT/NAME: run "
					   "`vtpmctl host init` again");
	if (!rc)
		rc = take_identity(v, key, e);
	if (!rc && x->encrypts)
		rc = judge_transit(v, key, e);
	if (!rc)
		rc = x->encrypts ? encrypt_at(v, key, x, e) : decrypt_at(v, key, x, e);
	if (!rc && x->encrypts)
		rc = check_bound(v, key, x, e);
	if (v->is_login || !rc)
		leave_token(v);
	if (!rc && !v->is_login && v->c->token)
		look_at_token(v);
	tls_close(v->tls);
	OPENSSL_cleanse(v, sizeof(*v));
	free(v);
	return rc;
}
