/* SPDX-License-Identifier: Apache-2.0 */
#include "rekey.h"
#include "lib/slot/previous_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

/* The generation that follows the stored header. */
static int next_seq(struct state *s, uint64_t *seq, struct error *e)
{
	struct envelope_header *h = malloc(sizeof(*h));
	uint8_t *header = NULL;
	size_t len = 0;
	int rc = h ? state_get_header(s, &header, &len, e) : -ENOMEM;

	if (!rc)
		rc = envelope_header_parse(header, len, h, e);
	if (!rc)
		*seq = h->seq + 1;
	free(header);
	free(h);
	return rc;
}

/* Puts a header that follows the stored one, with slots for data_key and, if that is not
 * NULL, one with old_key.  A put that failed may have been done all the same.  Then the
 * stored header has both keys, and what is written under the old one, which is still the
 * one in use, opens. */
static int put_keys(struct state *s, const struct rekey_source *source,
		    const uint8_t *data_key, const uint8_t *old_key, uint8_t *header,
		    struct error *e)
{
	size_t len = ENVELOPE_HEADER_MAX;
	uint64_t seq = 0;
	int rc = next_seq(s, &seq, e);

	if (!rc)
		rc = source->header(source->unlock, data_key, seq, header, &len);
	if (!rc && old_key)
		rc = previous_key_add(header, &len, data_key, old_key, e);
	if (!rc)
		rc = state_put_header(s, seq, header, len, e);
	return rc;
}

int rekey_slots(struct state *s, const struct rekey_source *source, struct error *e)
{
	uint8_t *header;
	int rc = rekey_finish(s, e);

	if (rc)
		return rc;
	header = malloc(ENVELOPE_HEADER_MAX);
	if (!header)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	rc = put_keys(s, source, s->data_key, NULL, header, e);
	free(header);
	return rc;
}

int rekey_run(struct state *s, const struct rekey_source *source, struct error *e)
{
	uint8_t new_key[ENVELOPE_KEY_SIZE], *header;
	int rc = rekey_finish(s, e); /* there is room for one old key */

	if (rc)
		return rc;
	header = malloc(ENVELOPE_HEADER_MAX);
	if (!header)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	rc = source->key(source->unlock, new_key);
	if (!rc)
		rc = put_keys(s, source, new_key, s->data_key, header, e);
	if (!rc) {
		memcpy(s->old_key, s->data_key, sizeof(s->old_key));
		memcpy(s->data_key, new_key, sizeof(s->data_key));
		s->has_old = true;
		rc = rekey_finish(s, e);
	}
	OPENSSL_cleanse(new_key, sizeof(new_key));
	free(header);
	return rc;
}

static int drop_old_key(struct state *s, struct error *e)
{
	uint8_t *old = NULL, *new = malloc(ENVELOPE_HEADER_MAX);
	size_t old_len = 0, len = 0;
	uint64_t seq;
	int rc = new ? state_get_header(s, &old, &old_len, e) : -ENOMEM;

	if (!rc)
		rc = previous_key_drop(old, old_len, s->data_key, s->epoch, new, &len,
				       &seq, e);
	/* 0: a put that was thought to have failed had been done */
	if (rc > 0)
		rc = state_put_header(s, seq, new, len, e);
	free(new);
	free(old);
	return rc;
}

int rekey_finish(struct state *s, struct error *e)
{
	static const enum channel_object blobs[] = {
		CHANNEL_OBJECT_PERMALL,
		CHANNEL_OBJECT_VOLATILE,
		CHANNEL_OBJECT_SAVESTATE,
	};
	size_t i;
	int rc = 0;

	if (!s->has_old)
		return 0;
	for (i = 0; i < ARRAY_SIZE(blobs) && !rc; i++)
		rc = state_reseal(s, blobs[i], e);
	if (!rc)
		rc = drop_old_key(s, e);
	if (rc)
		return error_set(e, rc, CAUSE_INTERNAL, "out of memory");
	s->has_old = false;
	OPENSSL_cleanse(s->old_key, sizeof(s->old_key));
	return 0;
}

int rekey_find(struct state *s, const uint8_t *header, size_t len, struct error *e)
{
	int rc = previous_key_find(header, len, s->data_key, s->old_key, e);

	s->has_old = rc > 0;
	return rc < 0 ? rc : 0;
}
