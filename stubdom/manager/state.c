/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

/* An opened blob. */
struct plain {
	uint8_t *bytes;
	size_t len;
	uint64_t seq;
	bool old; /* it was under the old key */
};

static void drop_later(struct state *s)
{
	if (s->later)
		OPENSSL_cleanse(s->later, s->later_len);
	free(s->later);
	s->later = NULL;
	s->later_len = 0;
}

/* Opens a blob of this vTPM, under the data key or the previous one.  p->bytes is
 * malloc()ed; NULL on failure. */
static int open_blob(struct state *s, enum channel_object object, const uint8_t *blob,
		     size_t blob_len, struct plain *p, struct error *e)
{
	struct envelope_blob b = {.uuid = s->uuid, .kind = (uint16_t)object};
	struct error why = {.cause = CAUSE_NONE};
	int rc;

	p->bytes = malloc(blob_len ? blob_len : 1);
	if (!p->bytes)
		return -ENOMEM;
	p->len = blob_len;
	p->old = false;
	rc = envelope_blob_open(s->data_key, &b, blob, blob_len, p->bytes, &p->len, &why);
	if (rc == -EBADMSG && s->has_old) {
		why = (struct error){.cause = CAUSE_NONE};
		p->len = blob_len;
		p->old = true;
		rc = envelope_blob_open(s->old_key, &b, blob, blob_len, p->bytes, &p->len,
					&why);
	}
	p->seq = b.seq;
	if (!rc)
		return 0;
	free(p->bytes);
	p->bytes = NULL;
	return error_set(e, rc, why.cause, "%s", why.text);
}

static int load_state(void *ctx, uint8_t **plain, size_t *len)
{
	struct state *s = ctx;
	struct plain p = {0};
	uint8_t *blob = NULL;
	size_t blob_len = 0;
	int rc;

	/* A pending write is newer than the stored copy: flush it before reading. */
	rc = state_flush(s);
	if (rc)
		return rc;
	rc = s->place.get(s->place.ctx, CHANNEL_OBJECT_PERMALL, &blob, &blob_len);
	if (rc == -ESTALE)
		return error_set(s->error, rc, CAUSE_ROLLED_BACK,
				 "the state in the store was replaced while the vTPM "
				 "started: it is not the one that was checked");
	if (rc)
		return rc;
	rc = open_blob(s, CHANNEL_OBJECT_PERMALL, blob, blob_len, &p, s->error);
	free(blob);
	if (rc)
		return rc;
	s->seq = p.seq;
	*plain = p.bytes;
	*len = p.len;
	return 0;
}

/* Seals an object's generation and hands it to put. */
static int seal_and(struct state *s, enum channel_object object, uint64_t seq,
		    const uint8_t *plain, size_t len, bool later)
{
	const struct envelope_blob b = {
		.uuid = s->uuid, .kind = (uint16_t)object, .seq = seq, .epoch = s->epoch};
	uint8_t *blob = malloc(len + ENVELOPE_BLOB_OVERHEAD);
	size_t blob_len = len + ENVELOPE_BLOB_OVERHEAD;
	int rc;

	if (!blob)
		return -ENOMEM;
	rc = envelope_blob_seal(s->data_key, &b, plain, len, blob, &blob_len);
	if (!rc)
		rc = (later ? s->place.put_later : s->place.put)(s->place.ctx, object,
								 seq, blob, blob_len);
	free(blob);
	return rc;
}

/* The permanent state's next generation. */
static int seal_next(struct state *s, const uint8_t *plain, size_t len, bool later)
{
	int rc = seal_and(s, CHANNEL_OBJECT_PERMALL, s->seq + 1, plain, len, later);

	if (!rc) {
		s->seq++;
		s->writes += !later;
	}
	return rc;
}

static int keep_for_later(struct state *s, const uint8_t *plain, size_t len)
{
	uint8_t *copy = malloc(len);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, plain, len);
	drop_later(s);
	s->later = copy;
	s->later_len = len;
	return 0;
}

static int save(void *ctx, const uint8_t *plain, size_t len, bool clock_only)
{
	struct state *s = ctx;
	int rc;

	if (clock_only && !s->place.put_later)
		return keep_for_later(s, plain, len);
	rc = seal_next(s, plain, len, clock_only);
	/* Dropped even on failure: it is older than what failed. */
	drop_later(s);
	return rc;
}

struct engine_store state_store(struct state *s)
{
	return (struct engine_store){.ctx = s, .load = load_state, .save = save};
}

int state_flush(struct state *s)
{
	int rc;

	if (!s->later)
		return 0;
	rc = seal_next(s, s->later, s->later_len, false);
	drop_later(s);
	return rc;
}

/* A put that failed may have been done all the same: its number is used up. */
static int reseal(struct state *s, enum channel_object object, const struct plain *p)
{
	int rc;

	if (object != CHANNEL_OBJECT_PERMALL)
		return seal_and(s, object, p->seq + 1, p->bytes, p->len, false);
	rc = seal_and(s, object, ++s->seq, p->bytes, p->len, false);
	s->writes += !rc;
	return rc;
}

int state_put_object(struct state *s, enum channel_object object, const uint8_t *plain,
		     size_t len)
{
	return seal_and(s, object, s->seq, plain, len, false);
}

int state_get_object(struct state *s, enum channel_object object, uint8_t **plain,
		     size_t *len)
{
	struct plain p = {0};
	uint8_t *blob = NULL;
	size_t blob_len = 0;
	int rc = s->place.get(s->place.ctx, object, &blob, &blob_len);

	if (!rc)
		rc = open_blob(s, object, blob, blob_len, &p, s->error);
	free(blob);
	*plain = p.bytes;
	*len = p.len;
	return rc;
}

int state_reseal(struct state *s, enum channel_object object, struct error *e)
{
	struct plain p = {0};
	uint8_t *blob = NULL;
	size_t blob_len = 0, room;
	int rc = s->place.get(s->place.ctx, object, &blob, &blob_len);

	if (rc == -ENOENT)
		return 0;
	if (!rc)
		rc = open_blob(s, object, blob, blob_len, &p, e);
	room = blob_len;
	free(blob);
	if (!rc && p.old)
		rc = reseal(s, object, &p);
	if (p.bytes)
		OPENSSL_cleanse(p.bytes, room);
	free(p.bytes);
	return rc ? error_set(e, rc, CAUSE_STORE,
			      "object %d could not be stored under the new data key: %s",
			      (int)object, strerror(-rc))
		  : 0;
}

int state_get_header(struct state *s, uint8_t **header, size_t *len, struct error *e)
{
	int rc = s->place.get(s->place.ctx, CHANNEL_OBJECT_HEADER, header, len);

	if (rc == -ENOENT)
		return error_set(e, rc, CAUSE_NO_STATE,
				 "the vTPM has no header in the store: restore it from a "
				 "backup; no new one is made");
	if (rc == -ESTALE)
		return error_set(e, rc, CAUSE_ROLLED_BACK,
				 "the header in the store was replaced while the vTPM "
				 "started: it is not the one that was checked");
	return rc ? error_set(e, rc, CAUSE_STORE,
			      "the header could not be read from the store: %s",
			      strerror(-rc))
		  : 0;
}

int state_put_header(struct state *s, uint64_t seq, const uint8_t *header, size_t len,
		     struct error *e)
{
	int rc = s->place.put(s->place.ctx, CHANNEL_OBJECT_HEADER, seq, header, len);

	if (rc == -EBUSY) /* vtpmd's, while the anchor has not the one before */
		return error_set(
			e, rc, CAUSE_STORE,
			"a new header is not taken before the host's TPM has the hash "
			"of the last one: `journalctl -u vtpmd` says why it has not; "
			"try again when it has");
	return rc ? error_set(e, rc, CAUSE_STORE, "the header could not be stored: %s",
			      strerror(-rc))
		  : 0;
}

void state_wipe(struct state *s)
{
	drop_later(s);
	OPENSSL_cleanse(s->data_key, sizeof(s->data_key));
	OPENSSL_cleanse(s->old_key, sizeof(s->old_key));
}
