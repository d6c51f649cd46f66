/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/kms.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/kmip.h"
#include "lib/text.h"
#include "lib/tls.h"

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
	const char *what =
		rq->operation == KMIP_GET_ATTRIBUTES ? "read the attributes of" : "use";
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
 * may not decrypt would be found out at the next start. */
static int check_key(const struct kms_config *c, const struct kmip_attributes *a,
		     struct error *e)
{
	uint32_t lacks = (KMIP_MAY_ENCRYPT | KMIP_MAY_DECRYPT) & ~a->usage_mask;
	char what[100];

	kmip_describe(a, what, sizeof(what));
	if (a->object_type != KMIP_OBJECT_SYMMETRIC_KEY ||
	    a->algorithm != KMIP_ALGORITHM_AES || a->length != 256)
		return error_set(
			e, -ENOKEY, CAUSE_KMS_KEY,
			"the KMS key %.64s at %.100s is %s, and has to be an AES "
			"key of 256 bits: give --kms-key-id of such a one, or "
			"have the KMS's operator make it",
			c->key_id, c->address, what);
	if (a->state != KMIP_STATE_ACTIVE)
		return error_set(
			e, -ENOKEY, CAUSE_KMS_KEY,
			"the KMS key %.64s at %.100s is %s, and has to be Active: "
			"ask the KMS's operator to activate or restore it; "
			"nothing was changed",
			c->key_id, c->address, kmip_state(a->state));
	if (lacks)
		return error_set(e, -ENOKEY, CAUSE_KMS_KEY,
				 "the KMS key %.64s at %.100s may not %s: have the KMS's "
				 "operator set Encrypt and Decrypt in its Cryptographic "
				 "Usage Mask; nothing was changed",
				 c->key_id, c->address,
				 lacks & KMIP_MAY_ENCRYPT ? "encrypt" : "decrypt");
	return 0;
}

/* Asks the KMS what its key is. */
static int judge_key(struct tls *t, const struct kms_config *c, struct error *e)
{
	const struct kmip_request rq = {
		.operation = KMIP_GET_ATTRIBUTES,
		.key_id = c->key_id,
	};
	struct answer a = {.len = 0};
	int rc = ask_kms(t, c, &rq, &a, e);

	if (!rc)
		rc = check_key(c, &a.r.attributes, e);
	answer_free(&a);
	return rc;
}

/* One request and its answer on a connection of its own to c's only address, which
 * is the nth one that the stream knows.  What a key encrypts, it has to be fit for. */
static int exchange_at(const struct kms_config *c, const struct kms_stream *s,
		       unsigned int nth, const struct kmip_request *rq,
		       uint8_t data[KMS_SECRET_SIZE], uint8_t tag[KMS_TAG_SIZE],
		       struct error *e)
{
	struct answer a = {.len = 0};
	struct tls *t = NULL;
	int rc;

	if (!rq->key_id[0] || strlen(rq->key_id) > KMIP_KEY_ID_MAX)
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"the KMS key's id is empty or longer than %d characters: "
			"run `vtpmctl host init` again",
			KMIP_KEY_ID_MAX);
	rc = tls_open(&t, c, s, nth, e);
	if (!rc && rq->operation == KMIP_ENCRYPT)
		rc = judge_key(t, c, e);
	if (!rc)
		rc = ask_kms(t, c, rq, &a, e);
	if (!rc) {
		memcpy(data, a.r.data, KMS_SECRET_SIZE);
		if (tag)
			memcpy(tag, a.r.tag, KMS_TAG_SIZE);
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
		    const struct kmip_request *rq, uint8_t data[KMS_SECRET_SIZE],
		    uint8_t tag[KMS_TAG_SIZE], struct error *e)
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
			rc = exchange_at(&one, s, i, rq, data, tag, &why);
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

int kms_wrap(const struct kms_config *c, const struct kms_stream *s, const uint8_t *aad,
	     size_t aad_len, const uint8_t secret[KMS_SECRET_SIZE],
	     struct kms_wrapped *out, struct error *e)
{
	const struct kmip_request rq = {
		.operation = KMIP_ENCRYPT,
		.key_id = c->key_id,
		.data = secret,
		.data_len = KMS_SECRET_SIZE,
		.iv = out->iv,
		.iv_len = KMS_IV_SIZE,
		.aad = aad,
		.aad_len = aad_len,
	};
	int rc;

	memset(out, 0, sizeof(*out));
	if (crypt_random(out->iv, sizeof(out->iv)))
		return error_set(e, -EIO, CAUSE_RANDOM,
				 "there is no good source of random numbers: the "
				 "processor needs RDRAND");
	rc = exchange(c, s, &rq, out->ct, out->tag, e);
	if (!rc)
		memcpy(out->key_id, c->key_id, strlen(c->key_id));
	return rc;
}

int kms_unwrap(const struct kms_config *c, const struct kms_stream *s, const uint8_t *aad,
	       size_t aad_len, const struct kms_wrapped *in,
	       uint8_t secret[KMS_SECRET_SIZE], struct error *e)
{
	const struct kmip_request rq = {
		.operation = KMIP_DECRYPT,
		.key_id = in->key_id,
		.data = in->ct,
		.data_len = KMS_SECRET_SIZE,
		.iv = in->iv,
		.iv_len = KMS_IV_SIZE,
		.aad = aad,
		.aad_len = aad_len,
		.tag = in->tag,
	};

	return exchange(c, s, &rq, secret, NULL, e);
}
