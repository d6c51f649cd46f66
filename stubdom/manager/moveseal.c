/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/moveseal.h"
#include "include/channel.h"
#include "lib/channel.h"
#include "lib/slot/slot.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define FIXED_ROOM 256 /* of the TLVs' heads, and those of fixed length */

int moveseal_key(EVP_PKEY **key, uint8_t public[MOVE_KEY_MAX], size_t *len)
{
	uint8_t *p = public;
	int n;

	*key = EVP_EC_gen("prime256v1");
	n = *key ? i2d_PUBKEY(*key, NULL) : 0;
	if (n <= 0 || n > MOVE_KEY_MAX || i2d_PUBKEY(*key, &p) != n) {
		EVP_PKEY_free(*key);
		*key = NULL;
		return -EIO;
	}
	*len = (size_t)n;
	return 0;
}

static void put_part(struct cursor *w, uint16_t tag, struct binding_part part)
{
	if (part.p)
		channel_tlv_put(w, tag, part.p, part.n);
}

/* The TLVs, malloc()ed. */
static int write_export(const struct moveseal *m, const uint8_t transcript[32],
			uint8_t **out, size_t *len)
{
	size_t room = FIXED_ROOM + m->permanent.n + m->volatile_state.n + m->log.n +
		      m->platform_auth.n;
	struct cursor w;

	*out = malloc(room);
	if (!*out)
		return -ENOMEM;
	w = cursor_writer(*out, room);
	channel_tlv_put(&w, MOVE_TRANSCRIPT, transcript, CRYPT_HASH_SIZE);
	put_part(&w, MOVE_PERMANENT, m->permanent);
	put_part(&w, MOVE_VOLATILE, m->volatile_state);
	put_part(&w, MOVE_LOG, m->log);
	put_part(&w, MOVE_PLATFORM_AUTH, m->platform_auth);
	channel_tlv_put_u64(&w, MOVE_POWER_ON, m->on);
	channel_tlv_put_u8(&w, MOVE_CRB, m->crb);
	*len = w.pos;
	return cursor_ok(&w) ? 0 : -EMSGSIZE;
}

/* The header, malloc()ed, with the random key in its one slot. */
static int seal_header(const struct moveseal *m, struct binding_part to,
		       const uint8_t key[ENVELOPE_KEY_SIZE], uint8_t **out, size_t *len,
		       struct error *e)
{
	struct envelope_header *h = calloc(1, sizeof(*h));
	const struct slot_context x = {.uuid = m->uuid,
				       .error = e,
				       .recovery_key = to.p,
				       .recovery_key_len = to.n};
	int rc = -ENOMEM;

	*len = ENVELOPE_HEADER_MAX;
	*out = malloc(*len);
	if (h && *out) {
		memcpy(h->uuid, m->uuid, sizeof(h->uuid));
		h->seq = m->seq;
		h->epoch = m->epoch;
		h->desc = m->desc;
		h->desc.recovery = true; /* the one slot */
		rc = slot_put(&x, h, ENVELOPE_SLOT_RECOVERY, key);
	}
	if (!rc)
		rc = envelope_header_seal(h, key, *out, len);
	free(h);
	return rc;
}

static int seal_blob(const struct moveseal *m, const uint8_t key[ENVELOPE_KEY_SIZE],
		     const uint8_t *plain, size_t plain_len, uint8_t **out, size_t *len)
{
	const struct envelope_blob b = {.uuid = m->uuid,
					.kind = CHANNEL_OBJECT_EXPORT,
					.seq = m->seq,
					.epoch = m->epoch};

	*len = plain_len + ENVELOPE_BLOB_OVERHEAD;
	*out = malloc(*len);
	return *out ? envelope_blob_seal(key, &b, plain, plain_len, *out, len) : -ENOMEM;
}

static int join(const struct move_export *x, uint8_t **out, size_t *len)
{
	*len = 8 + x->header.n + x->blob.n;
	*out = malloc(*len);
	return *out ? move_export_encode(x, *out, len) : -ENOMEM;
}

int moveseal_seal(const struct moveseal *m, struct binding_part offer,
		  struct binding_part accept, uint8_t **out, size_t *len, struct error *e)
{
	uint8_t key[ENVELOPE_KEY_SIZE], transcript[CRYPT_HASH_SIZE];
	uint8_t *plain = NULL, *header = NULL, *blob = NULL;
	size_t plain_len = 0, header_len = 0, blob_len = 0;
	struct move_accept a;
	int rc = move_accept_decode(accept.p, accept.n, &a);

	*out = NULL;
	if (!rc)
		rc = move_transcript(offer, accept, transcript);
	if (!rc)
		rc = crypt_random(key, sizeof(key));
	if (!rc)
		rc = write_export(m, transcript, &plain, &plain_len);
	if (!rc)
		rc = seal_header(m, a.key, key, &header, &header_len, e);
	if (!rc)
		rc = seal_blob(m, key, plain, plain_len, &blob, &blob_len);
	if (!rc)
		rc = join(&(struct move_export){{header, header_len}, {blob, blob_len}},
			  out, len);
	OPENSSL_cleanse(key, sizeof(key));
	if (plain)
		OPENSSL_cleanse(plain, plain_len);
	free(plain);
	free(header);
	free(blob);
	return rc ? error_set(e, rc, CAUSE_INTERNAL,
			      "The vTPM could not be sealed for its new host: %s.",
			      strerror(-rc))
		  : 0;
}

static int open_header(struct moveseal *m, EVP_PKEY *private, const struct move_export *x,
		       uint8_t key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct envelope_header *h = calloc(1, sizeof(*h));
	const struct slot_context c = {
		.uuid = m->uuid, .error = e, .recovery_private = private};
	int rc = h ? envelope_header_parse(x->header.p, x->header.n, h, e) : -ENOMEM;

	if (!rc && (h->slot_count != 1 || h->slots[0].kind != ENVELOPE_SLOT_RECOVERY))
		rc = -EBADMSG;
	if (!rc && memcmp(h->uuid, m->uuid, sizeof(m->uuid)) != 0)
		rc = -EXDEV;
	if (!rc)
		rc = slot_open(&c, &h->slots[0], key);
	if (!rc)
		rc = envelope_header_verify(x->header.p, x->header.n, key, e);
	if (!rc) {
		m->desc = h->desc;
		m->desc.recovery = false;
		m->seq = h->seq;
		m->epoch = h->epoch;
	}
	free(h);
	return rc;
}

static int open_blob(struct moveseal *m, const struct move_export *x,
		     const uint8_t key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct envelope_blob b = {.uuid = m->uuid, .kind = CHANNEL_OBJECT_EXPORT};
	int rc;

	m->raw = malloc(x->blob.n ? x->blob.n : 1);
	m->raw_len = x->blob.n;
	if (!m->raw)
		return -ENOMEM;
	rc = envelope_blob_open(key, &b, x->blob.p, x->blob.n, m->raw, &m->raw_len, e);
	/* header and blob are of one export */
	return rc || (b.seq == m->seq && b.epoch == m->epoch) ? rc : -EBADMSG;
}

static struct binding_part take_rest(struct cursor *c)
{
	size_t n = cursor_left(c);

	return (struct binding_part){cursor_bytes(c, n), n};
}

static void take_export_tlv(struct moveseal *m, struct channel_tlv *t,
			    uint8_t transcript[CRYPT_HASH_SIZE])
{
	switch (t->tag) {
	case MOVE_TRANSCRIPT:
		cursor_copy(&t->value, transcript, CRYPT_HASH_SIZE);
		break;
	case MOVE_PERMANENT:
		m->permanent = take_rest(&t->value);
		break;
	case MOVE_VOLATILE:
		m->volatile_state = take_rest(&t->value);
		break;
	case MOVE_LOG:
		m->log = take_rest(&t->value);
		break;
	case MOVE_PLATFORM_AUTH:
		m->platform_auth = take_rest(&t->value);
		break;
	case MOVE_POWER_ON:
		m->on = cursor_u64(&t->value);
		break;
	case MOVE_CRB:
		m->crb = cursor_u8(&t->value) != 0;
		break;
	default: /* of a newer source: what it needs, it says by its OFFER's label */
		(void)take_rest(&t->value);
	}
}

static int read_export(struct moveseal *m, uint8_t transcript[CRYPT_HASH_SIZE])
{
	struct cursor c = cursor_reader(m->raw, m->raw_len);
	struct channel_tlv t;

	memset(transcript, 0, CRYPT_HASH_SIZE);
	while (channel_tlv_next(&c, &t)) {
		take_export_tlv(m, &t, transcript);
		if (!cursor_done(&t.value))
			return -EBADMSG;
	}
	return cursor_done(&c) && m->permanent.n && m->volatile_state.n ? 0 : -EBADMSG;
}

static int open_all(struct moveseal *m, EVP_PKEY *private, const struct move_export *x,
		    const uint8_t expected[CRYPT_HASH_SIZE], struct error *e)
{
	uint8_t key[ENVELOPE_KEY_SIZE], transcript[CRYPT_HASH_SIZE];
	int rc = open_header(m, private, x, key, e);

	if (!rc)
		rc = open_blob(m, x, key, e);
	OPENSSL_cleanse(key, sizeof(key));
	if (!rc)
		rc = read_export(m, transcript);
	if (!rc && CRYPTO_memcmp(transcript, expected, sizeof(transcript)) != 0)
		rc = -EXDEV;
	return rc;
}

int moveseal_open(struct moveseal *m, EVP_PKEY *key, struct binding_part offer,
		  struct binding_part accept, const uint8_t *buf, size_t len,
		  struct error *e)
{
	struct error why = {.cause = CAUSE_NONE};
	uint8_t expected[CRYPT_HASH_SIZE];
	struct move_export x;
	int rc = move_export_decode(buf, len, &x);

	if (!rc)
		rc = move_transcript(offer, accept, expected);
	if (!rc)
		rc = open_all(m, key, &x, expected, &why);
	if (!rc)
		return 0;
	moveseal_wipe(m);
	return error_set(e, rc, CAUSE_PEER,
			 "What the source sent does not open: it is damaged, or of "
			 "another transfer (%s).",
			 strerror(-rc));
}

void moveseal_wipe(struct moveseal *m)
{
	if (m->raw)
		OPENSSL_cleanse(m->raw, m->raw_len);
	free(m->raw);
	m->raw = NULL;
	m->permanent = m->volatile_state = m->log = m->platform_auth =
		(struct binding_part){NULL, 0};
}
