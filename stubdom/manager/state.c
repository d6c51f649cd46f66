/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

static void drop_later(struct state *s)
{
	if (s->later)
		OPENSSL_cleanse(s->later, s->later_len);
	free(s->later);
	s->later = NULL;
	s->later_len = 0;
}

static int open_blob(struct state *s, const uint8_t *blob, size_t blob_len,
		     uint8_t **plain, size_t *len)
{
	uint64_t seq = 0;
	int rc;

	*plain = malloc(blob_len ? blob_len : 1);
	if (!*plain)
		return -ENOMEM;
	*len = blob_len;
	rc = envelope_blob_open(s->data_key, s->uuid, CHANNEL_OBJECT_PERMALL, blob,
				blob_len, &seq, *plain, len, s->error);
	if (rc) {
		free(*plain);
		*plain = NULL;
		return rc;
	}
	s->seq = seq;
	return 0;
}

static int load(void *ctx, uint8_t **plain, size_t *len)
{
	struct state *s = ctx;
	uint8_t *blob = NULL;
	size_t blob_len = 0;
	int rc;

	/* What waited is older than nothing, and newer than the place's. */
	rc = state_flush(s);
	if (rc)
		return rc;
	rc = s->place.get(s->place.ctx, CHANNEL_OBJECT_PERMALL, &blob, &blob_len);
	if (rc)
		return rc;
	rc = open_blob(s, blob, blob_len, plain, len);
	free(blob);
	return rc;
}

/* Seals *plain as the next generation and hands it to put. */
static int seal_and(struct state *s, const uint8_t *plain, size_t len, bool later)
{
	uint8_t *blob = malloc(len + ENVELOPE_BLOB_OVERHEAD);
	size_t blob_len = len + ENVELOPE_BLOB_OVERHEAD;
	int rc;

	if (!blob)
		return -ENOMEM;
	rc = envelope_blob_seal(s->data_key, s->uuid, CHANNEL_OBJECT_PERMALL, s->seq + 1,
				plain, len, blob, &blob_len);
	if (!rc)
		rc = (later ? s->place.put_later : s->place.put)(
			s->place.ctx, CHANNEL_OBJECT_PERMALL, s->seq + 1, blob, blob_len);
	if (!rc) {
		s->seq++;
		s->writes += !later;
	}
	free(blob);
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
	rc = seal_and(s, plain, len, clock_only);
	/* Dropped even on failure: it is older than what failed. */
	drop_later(s);
	return rc;
}

struct engine_store state_store(struct state *s)
{
	return (struct engine_store){.ctx = s, .load = load, .save = save};
}

int state_flush(struct state *s)
{
	int rc;

	if (!s->later)
		return 0;
	rc = seal_and(s, s->later, s->later_len, false);
	drop_later(s);
	return rc;
}

void state_wipe(struct state *s)
{
	drop_later(s);
	OPENSSL_cleanse(s->data_key, sizeof(s->data_key));
}
