/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/kms.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/kmip.h"
#include "lib/text.h"
#include "lib/tls.h"
#include "lib/vault.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int nonsense(const struct kms_config *c, const char *what, struct error *e)
{
	return error_set(e, -EPROTO, CAUSE_KMS_REFUSED,
			 "the KMS at %s answered %s: see that it speaks KMIP 1.4 and "
			 "AES-GCM with 16-byte tags; nothing was changed",
			 c->address, what);
}

/* Reads one message whole; *rsp is malloc()ed. */
static int receive(struct tls *t, const struct kms_config *c, uint8_t **rsp, size_t *len,
		   struct error *e)
{
	uint8_t head[TTLV_HEADER_SIZE], *buf;
	struct cursor cur = cursor_reader(head, sizeof(head));
	uint32_t n;
	int rc;

	rc = tls_recv(t, head, sizeof(head), e);
	if (rc)
		return rc;
	(void)cursor_u32(&cur);
	n = cursor_u32(&cur);
	if (n > KMIP_MESSAGE_MAX - sizeof(head))
		return nonsense(c, "with a message that is too long", e);
	buf = malloc(sizeof(head) + n);
	if (!buf)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL,
				 "out of memory for the KMS's answer");
	memcpy(buf, head, sizeof(head));
	rc = tls_recv(t, buf + sizeof(head), n, e);
	*len = sizeof(head) + n;
	*rsp = buf;
	return rc;
}

/* What the server says, as the one sentence that an operator reads. */
static int refused(const struct kms_config *c, const struct kmip_request *rq,
		   const struct kmip_response *r, struct error *e)
{
	const char *what = rq->operation == KMIP_GET_ATTRIBUTES ? "read the attributes of"
			   : rq->operation == KMIP_GET		? "get"
								: "use";
	const char *key_id = rq->key_id;
	const char *text = r->message[0] ? r->message : "no reason given";
	enum cause cause = kmip_cause(r);

	if (cause == CAUSE_KMS_KEY)
		return error_set(e, -ENOKEY, cause,
				 "the KMS key %.64s at %.100s is not active or not there "
				 "(\"%.90s\"): ask the KMS's operator to activate or "
				 "restore it; "
				 "nothing was changed",
				 key_id, c->address, text);
	if (cause == CAUSE_KMS_DENIED)
		return error_set(e, -EACCES, cause,
				 "the KMS at %.100s does not let this host %s key %.64s "
				 "(\"%.70s\"): ask its operator for that permission; "
				 "nothing was changed",
				 c->address, what, key_id, text);
	return error_set(e, -EREMOTEIO, cause,
			 "the KMS at %.100s refused to %s key %.64s (\"%.70s\", reason "
			 "0x%x): see its log; nothing was changed",
			 c->address, what, key_id, text, r->reason);
}

/* A message of the KMS's, parsed; r points into it. */
struct answer {
	uint8_t *bytes;
	size_t len;
	struct kmip_response r;
};

/* The key itself.  Its block is judged as its attributes are: a server may tell one thing
 * and give another. */
static int check_given(const struct kms_config *c, const struct kmip_response *r,
		       struct error *e)
{
	const struct kmip_attributes *a = &r->attributes;

	if (r->is_wrapped)
		return nonsense(c, "with a key that is wrapped under another one", e);
	if (a->object_type != KMIP_OBJECT_SYMMETRIC_KEY || r->format != KMIP_FORMAT_RAW ||
	    (a->algorithm && a->algorithm != KMIP_ALGORITHM_AES) ||
	    (a->length && a->length != 8 * KMS_SECRET_SIZE) || !r->data ||
	    r->data_len != KMS_SECRET_SIZE)
		return nonsense(c, "with another thing than a raw AES key of 256 bits",
				e);
	return 0;
}

static int check_kms(const struct kms_config *c, const struct kmip_request *rq,
		     const struct kmip_response *r, struct error *e)
{
	if (r->status)
		return refused(c, rq, r, e);
	if (r->operation != (uint32_t)rq->operation)
		return nonsense(c, "another operation", e);
	if (!r->key_id || r->key_id_len != strlen(rq->key_id) ||
	    memcmp(r->key_id, rq->key_id, r->key_id_len))
		return nonsense(c, "for another key", e);
	if (rq->operation == KMIP_GET_ATTRIBUTES)
		return 0;
	if (rq->operation == KMIP_GET)
		return check_given(c, r, e);
	if (!r->data || r->data_len != KMS_SECRET_SIZE)
		return nonsense(c, "with data of another length", e);
	/* a shortened tag would make forgeries cheap */
	if (rq->operation == KMIP_ENCRYPT && (!r->tag || r->tag_len != KMS_TAG_SIZE))
		return nonsense(c, "without a 16-byte tag", e);
	return 0;
}

/* One request and its answer, which is malloc()ed, and which *r points into. */
static int ask_kms(struct tls *t, const struct kms_config *c,
		   const struct kmip_request *rq, struct answer *a, struct error *e)
{
	uint8_t out[KMIP_REQUEST_MAX];
	size_t out_len = sizeof(out);
	int rc = kmip_encode(rq, out, &out_len);

	if (rc)
		error_set(e, rc, CAUSE_INTERNAL, "the KMS request is too long");
	if (!rc)
		rc = tls_send(t, out, out_len, e);
	if (!rc)
		rc = receive(t, c, &a->bytes, &a->len, e);
	if (!rc)
		rc = kmip_parse(a->bytes, a->len, &a->r)
			     ? nonsense(c, "no KMIP message", e)
			     : check_kms(c, rq, &a->r, e);
	OPENSSL_cleanse(out, sizeof(out));
	return rc;
}

static void answer_free(struct answer *a)
{
	if (a->bytes)
		OPENSSL_cleanse(a->bytes, a->len);
	free(a->bytes);
	memset(a, 0, sizeof(*a));
}

/* A key of less than 256 bits would be the weakest of all that guards a vTPM, and one that
 * may not decrypt would be found out at the next start.  usage: what it has to allow. */
static int check_key(const struct kms_config *c, const char *key_id, uint32_t usage,
		     const struct kmip_attributes *a, struct error *e)
{
	uint32_t lacks = usage & ~a->usage_mask;
	char what[100];

	kmip_describe(a, what, sizeof(what));
	if (a->object_type != KMIP_OBJECT_SYMMETRIC_KEY ||
	    a->algorithm != KMIP_ALGORITHM_AES || a->length != 256)
		return error_set(
			e, -ENOKEY, CAUSE_KMS_KEY,
			"the KMS key %.64s at %.100s is %s, and has to be an AES "
			"key of 256 bits: give --kms-key-id of such a one, or "
			"have the KMS's operator make it",
			key_id, c->address, what);
	if (a->state != KMIP_STATE_ACTIVE)
		return error_set(
			e, -ENOKEY, CAUSE_KMS_KEY,
			"the KMS key %.64s at %.100s is %s, and has to be Active: "
			"ask the KMS's operator to activate or restore it; "
			"nothing was changed",
			key_id, c->address, kmip_state(a->state));
	if (lacks)
		return error_set(e, -ENOKEY, CAUSE_KMS_KEY,
				 "the KMS key %.64s at %.90s may not %s: have the KMS's "
				 "operator set Encrypt and Decrypt in its Cryptographic "
				 "Usage Mask; for a KMS that encrypts nothing there is "
				 "`vtpmctl host init --kms-mode get`",
				 key_id, c->address,
				 lacks & KMIP_MAY_ENCRYPT ? "encrypt" : "decrypt");
	return 0;
}

/* Asks the KMS what its key is. */
static int judge_key(struct tls *t, const struct kms_config *c, const char *key_id,
		     uint32_t usage, struct error *e)
{
	const struct kmip_request rq = {
		.operation = KMIP_GET_ATTRIBUTES,
		.key_id = key_id,
	};
	struct answer a = {.len = 0};
	int rc = ask_kms(t, c, &rq, &a, e);

	if (!rc)
		rc = check_key(c, key_id, usage, &a.r.attributes, e);
	answer_free(&a);
	return rc;
}

/* A request, and where of its answer what goes; or Get Attributes alone. */
struct exchange {
	const struct vault_exchange *vault; /* NULL: it is KMIP's, as follows */
	struct kmip_request rq;
	uint8_t *data, *tag; /* tag: or NULL */
};

/* One request and its answer on a connection of its own to c's only address, which
 * is the nth one that the stream knows.  What a key encrypts, it has to be fit for; and of
 * one that is given out only the client sees that it was revoked: Get has no regard to the
 * State (KMIP 1.4, 4.11). */
static int exchange_at(const struct kms_config *c, const struct kms_stream *s,
		       unsigned int nth, const struct exchange *x, struct error *e)
{
	const struct kmip_request *rq = &x->rq;
	bool encrypts = rq->operation == KMIP_ENCRYPT;
	struct answer a = {.len = 0};
	struct tls *t = NULL;
	int rc;

	if (x->vault)
		return vault_exchange_at(c, s, nth, x->vault, e);
	if (!rq->key_id[0] || strlen(rq->key_id) > KMIP_KEY_ID_MAX)
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"the KMS key's id is empty or longer than %d characters: "
			"run `vtpmctl host init` again",
			KMIP_KEY_ID_MAX);
	rc = tls_open(&t, c, s, nth, e);
	if (!rc && rq->operation != KMIP_DECRYPT)
		rc = judge_key(t, c, rq->key_id,
			       encrypts ? KMIP_MAY_ENCRYPT | KMIP_MAY_DECRYPT : 0, e);
	if (!rc && rq->operation != KMIP_GET_ATTRIBUTES) {
		rc = ask_kms(t, c, rq, &a, e);
		if (!rc)
			memcpy(x->data, a.r.data, KMS_SECRET_SIZE);
		if (!rc && x->tag)
			memcpy(x->tag, a.r.tag, KMS_TAG_SIZE);
	}
	tls_close(t);
	answer_free(&a);
	return rc;
}

/* Why none of several addresses could be reached: each with its own reason. */
struct tried {
	char text[200];
	size_t len;
};

static void note(struct tried *t, const char *address, int rc)
{
	int n = snprintf(t->text + t->len, sizeof(t->text) - t->len, "%s%.60s: %s",
			 t->len ? "; " : "", address, strerror(-rc));

	t->len += n > 0 ? (size_t)n : 0;
	if (t->len > sizeof(t->text) - 1)
		t->len = sizeof(t->text) - 1;
}

/* At the first address that answers. */
static int exchange(const struct kms_config *c, const struct kms_stream *s,
		    const struct exchange *x, struct error *e)
{
	unsigned int i, n = address_count(c->address);
	struct tried tried = {.len = 0};
	struct kms_config one = *c;
	char address[ADDRESS_MAX];
	struct error why;
	int rc = -EINVAL;

	one.address = address;
	for (i = 0; i < n; i++) {
		why = (struct error){.cause = CAUSE_NONE};
		rc = address_nth(c->address, i, address);
		if (!rc)
			rc = exchange_at(&one, s, i, x, &why);
		if (!rc)
			return 0;
		if (why.cause != CAUSE_KMS_UNREACHABLE || n == 1)
			return error_set(e, rc, why.cause, "%s", why.text);
		note(&tried, address, rc);
	}
	if (!n)
		return error_set(e, rc, CAUSE_NOT_CONFIGURED,
				 "the KMS address %.100s is not HOST:PORT, or more than "
				 "%d of them: run `vtpmctl host init` again",
				 c->address, ADDRESSES);
	return error_set(e, rc, CAUSE_KMS_UNREACHABLE,
			 "none of the KMS's addresses is reachable (%s): start one; "
			 "nothing was changed",
			 tried.text);
}

/* A slot's key, and the configured one, are of one kind of KMS. */
static int check_kind(const struct kms_config *c, const char *key_id, struct error *e)
{
	bool is_vault = vault_is_key_id(key_id);

	if (vault_is_key_id(c->key_id) == is_vault)
		return 0;
	return error_set(
		e, -EINVAL, CAUSE_NOT_CONFIGURED,
		"this vTPM's key slots were made with the %s key %.100s, and this "
		"host is set up for %s: set it up with that KMS again, or "
		"`vtpmctl recover` the vTPM",
		is_vault ? "Transit" : "KMIP", key_id, is_vault ? "KMIP" : "Vault");
}

int kms_wrap(const struct kms_config *c, const struct kms_stream *s, const uint8_t *aad,
	     size_t aad_len, const uint8_t secret[KMS_SECRET_SIZE],
	     struct kms_wrapped *out, struct error *e)
{
	const struct vault_exchange vault = {.encrypts = true,
					     .aad = aad,
					     .aad_len = aad_len,
					     .plain = secret,
					     .wrapped = out};
	const struct exchange x = {
		.vault = vault_is_key_id(c->key_id) ? &vault : NULL,
		.rq = {.operation = KMIP_ENCRYPT,
		       .key_id = c->key_id,
		       .data = secret,
		       .data_len = KMS_SECRET_SIZE,
		       .iv = out->iv,
		       .iv_len = KMS_IV_SIZE,
		       .aad = aad,
		       .aad_len = aad_len},
		.data = out->ct,
		.tag = out->tag,
	};
	int rc;

	memset(out, 0, sizeof(*out));
	if (crypt_random(out->iv, sizeof(out->iv)))
		return error_set(e, -EIO, CAUSE_RANDOM,
				 "there is no good source of random numbers: the "
				 "processor needs RDRAND");
	rc = exchange(c, s, &x, e);
	if (!rc && !x.vault)
		memcpy(out->key_id, c->key_id, strlen(c->key_id));
	return rc;
}

int kms_unwrap(const struct kms_config *c, const struct kms_stream *s, const uint8_t *aad,
	       size_t aad_len, const struct kms_wrapped *in,
	       uint8_t secret[KMS_SECRET_SIZE], struct error *e)
{
	struct kms_wrapped copy = *in;
	const struct vault_exchange vault = {
		.aad = aad, .aad_len = aad_len, .wrapped = &copy, .secret = secret};
	const struct exchange x = {
		.vault = vault_is_key_id(in->key_id) ? &vault : NULL,
		.rq = {.operation = KMIP_DECRYPT,
		       .key_id = in->key_id,
		       .data = in->ct,
		       .data_len = KMS_SECRET_SIZE,
		       .iv = in->iv,
		       .iv_len = KMS_IV_SIZE,
		       .aad = aad,
		       .aad_len = aad_len,
		       .tag = in->tag},
		.data = secret,
	};

	int rc = check_kind(c, in->key_id, e);

	return rc ? rc : exchange(c, s, &x, e);
}

int kms_probe(const struct kms_config *c, const struct kms_stream *s, struct error *e)
{
	const struct exchange x = {
		.rq = {.operation = KMIP_GET_ATTRIBUTES, .key_id = c->key_id},
	};

	return exchange(c, s, &x, e);
}

static int derive_of(const uint8_t key[KMS_SECRET_SIZE], const struct kms_derived *d,
		     const char *label, const uint8_t *context, size_t len,
		     uint8_t out[CRYPT_HASH_SIZE])
{
	uint8_t info[sizeof(KMS_CHECK_LABEL) + KMS_CONTEXT_MAX];
	struct cursor c = cursor_writer(info, sizeof(info));

	cursor_put(&c, label, strlen(label));
	cursor_put(&c, context, len);
	if (!cursor_ok(&c))
		return -EINVAL;
	return crypt_hkdf(key, KMS_SECRET_SIZE, d->nonce, sizeof(d->nonce), info, c.pos,
			  out);
}

/* What comes of the key: the secret, and what proves that it is the same key. */
static int derive_both(const uint8_t key[KMS_SECRET_SIZE], const struct kms_derived *d,
		       const uint8_t *context, size_t len, uint8_t check[CRYPT_HASH_SIZE],
		       uint8_t secret[KMS_SECRET_SIZE], struct error *e)
{
	int rc = derive_of(key, d, KMS_CHECK_LABEL, context, len, check);

	if (!rc)
		rc = derive_of(key, d, KMS_DERIVE_LABEL, context, len, secret);
	return rc ? error_crypto(e, rc, "HKDF-SHA256") : 0;
}

int kms_derive(const struct kms_config *c, const struct kms_stream *s,
	       const uint8_t *context, size_t context_len, bool is_new,
	       struct kms_derived *d, uint8_t secret[KMS_SECRET_SIZE], struct error *e)
{
	uint8_t key[KMS_SECRET_SIZE] = {0}, check[CRYPT_HASH_SIZE] = {0};
	const struct exchange x = {
		.rq = {.operation = KMIP_GET, .key_id = is_new ? c->key_id : d->key_id},
		.data = key,
	};
	int rc;

	if (vault_is_key_id(x.rq.key_id))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "Vault's Transit engine gives no key out: the policies "
				 "host and kms are for it");
	if (is_new && crypt_random(d->nonce, sizeof(d->nonce)))
		return error_set(e, -EIO, CAUSE_RANDOM,
				 "there is no good source of random numbers: the "
				 "processor needs RDRAND");
	rc = exchange(c, s, &x, e);
	if (!rc)
		rc = derive_both(key, d, context, context_len, check, secret, e);
	if (!rc && is_new) {
		snprintf(d->key_id, sizeof(d->key_id), "%s", c->key_id);
		memcpy(d->check, check, sizeof(d->check));
	} else if (!rc && CRYPTO_memcmp(check, d->check, sizeof(d->check))) {
		rc = error_set(e, -EKEYREJECTED, CAUSE_KMS_KEY,
			       "the KMS key %.64s at %.90s is not the one that this "
			       "vTPM's key slots were made with: have the KMS's operator "
			       "see whether its material was replaced; or the header was "
			       "altered: restore it",
			       d->key_id, c->address);
	}
	if (rc)
		OPENSSL_cleanse(secret, KMS_SECRET_SIZE);
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(check, sizeof(check));
	return rc;
}
