/* SPDX-License-Identifier: Apache-2.0 */
#include "vtpm_copy.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

/* The other vTPM's objects, from where vtpmd gives them. */
static int get_source(void *ctx, enum channel_object object, uint8_t **buf, size_t *len)
{
	const struct state_place *place = ctx;

	return place->get(place->ctx,
			  object == CHANNEL_OBJECT_HEADER ? CHANNEL_OBJECT_SOURCE_HEADER
							  : CHANNEL_OBJECT_SOURCE_PERMALL,
			  buf, len);
}

static int open_source(struct vtpm_keys *k, uint8_t **plain, size_t *len)
{
	struct state source = {
		.place = {.ctx = (void *)k->place, .get = get_source},
		.error = k->error,
	};
	struct engine_store from = state_store(&source);
	int rc;

	memcpy(source.uuid, k->config->copy_of, sizeof(source.uuid));
	rc = vtpm_keys_open_other(k, &source);
	if (!rc) {
		rc = from.load(from.ctx, plain, len);
		if (rc)
			error_set(k->error, rc, CAUSE_STORE,
				  "what this vTPM is to be a copy of is not in the store "
				  "(%s): delete it, and clone again",
				  strerror(-rc));
	}
	state_wipe(&source);
	return rc;
}

int vtpm_copy(struct vtpm_keys *k)
{
	struct engine_store to = state_store(k->state);
	uint8_t *plain = NULL;
	size_t len = 0;
	int rc = open_source(k, &plain, &len);

	if (!rc)
		rc = vtpm_keys_unlock(k);
	if (!rc) {
		rc = to.save(to.ctx, plain, len, false);
		if (rc)
			error_set(k->error, rc, CAUSE_STORE,
				  "the state could not be stored: %s", strerror(-rc));
	}
	if (plain)
		OPENSSL_cleanse(plain, len);
	free(plain);
	return rc;
}
