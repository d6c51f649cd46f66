/* SPDX-License-Identifier: Apache-2.0 */
/* Headers with and without the slot of a deep rekey, as a store may give them: the
 * manager's reading of them, once the MAC fits, and vtpmd's, which has no key. */
#include "lib/slot/previous_key.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[ENVELOPE_KEY_SIZE] = "the data key";
static const uint8_t old_key[ENVELOPE_KEY_SIZE] = "the data key of before";

static uint8_t header[ENVELOPE_HEADER_MAX], with[ENVELOPE_HEADER_MAX],
	without[ENVELOPE_HEADER_MAX];

/* What is added is found, and taken out again leaves what was there. */
static void add_and_drop(size_t len, uint64_t seq, uint64_t epoch)
{
	size_t with_len = len, without_len = 0;
	uint8_t found[ENVELOPE_KEY_SIZE];
	uint64_t next = 0;

	memcpy(with, header, len);
	if (previous_key_add(with, &with_len, key, old_key, NULL))
		return; /* no slot is free */
	if (!envelope_has_old_key(with, with_len) ||
	    previous_key_find(with, with_len, key, found, NULL) != 1 ||
	    memcmp(found, old_key, sizeof(found)) ||
	    previous_key_drop(with, with_len, key, epoch, without, &without_len, &next,
			      NULL) != 1 ||
	    next != seq + 1 || without_len != len || envelope_has_old_key(without, len) ||
	    memcmp(without + 44, header + 44, len - 44 - 32))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct envelope_header *h = malloc(sizeof(*h));
	uint8_t found[ENVELOPE_KEY_SIZE];
	uint16_t kinds[ENVELOPE_SLOTS_MAX];
	size_t len = sizeof(header);
	int rc;

	(void)envelope_slot_kinds(data, size, kinds, ENVELOPE_SLOTS_MAX);
	/* a MAC that fits, so that all behind it is reached */
	if (!h || envelope_header_parse(data, size, h, NULL) ||
	    envelope_header_seal(h, key, header, &len)) {
		free(h);
		return 0;
	}
	rc = previous_key_find(header, len, key, found, NULL);
	/* one that is there but damaged is never taken for none */
	if (envelope_has_old_key(header, len) ? rc == 0 : rc != 0)
		abort();
	if (!rc)
		add_and_drop(len, h->seq, h->epoch);
	free(h);
	return 0;
}
