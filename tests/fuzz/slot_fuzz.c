/* SPDX-License-Identifier: Apache-2.0 */
/* A key slot out of a store, and the configuration that comes over the host
 * channel, as a hostile dom0 process would give them. */
#include "lib/cursor.h"
#include "lib/slot/shares.h"
#include "stubdom/manager/unlock.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_slot(const uint8_t *data, size_t size)
{
	const struct slot_kind *k = slot_kind_find(size ? data[size - 1] % 10 : 0);
	static const uint8_t uuid[16] = "vtpm number one",
			     secret[SLOT_SHARE_SIZE] = "key";
	const struct slot_context x = {.uuid = uuid, .key = secret};
	struct envelope_slot *slot = calloc(1, sizeof(*slot));
	struct cursor in = cursor_reader(data, size), out;
	struct shares *s = malloc(sizeof(*s));
	uint8_t key[ENVELOPE_KEY_SIZE];

	if (size > sizeof(slot->data))
		size = sizeof(slot->data);
	out = cursor_writer(slot->data, sizeof(slot->data));
	/* what parses is what would have been written */
	if (k && k->open == shares_open && !shares_parse(k, &in, s)) {
		shares_encode(k, s, &out);
		if (out.pos != size || memcmp(slot->data, data, size))
			abort();
	}
	free(s);
	slot->kind = k ? k->kind : 0;
	slot->len = (uint16_t)size;
	memcpy(slot->data, data, size);
	if (!slot_open(&x, slot, key))
		abort();
	free(slot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct unlock_config c = {0};
	struct error e = {0};

	if (!unlock_config_parse(data, size, &c, &e) &&
	    c.tpm.approvals > UNLOCK_APPROVALS_MAX)
		abort();
	unlock_config_free(&c);
	fuzz_slot(data, size);
	return 0;
}
