/* SPDX-License-Identifier: Apache-2.0 */
/* A header and a blob as a hostile store would give them. */
#include "lib/slot/envelope.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[ENVELOPE_KEY_SIZE] = {1, 2, 3, 4};
	static const uint8_t uuid[ENVELOPE_UUID_SIZE] = "vtpm number one";
	static struct envelope_header h;
	struct error e = {0};
	uint8_t *plain = malloc(size ? size : 1);
	size_t len;
	struct envelope_blob b = {.uuid = uuid, .kind = 2};

	if (!envelope_header_parse(data, size, &h, &e) &&
	    !envelope_header_verify(data, size, key, &e) &&
	    h.slot_count > ENVELOPE_SLOTS_MAX)
		abort();
	if (!envelope_blob_open(key, &b, data, size, plain, &len, &e) &&
	    len + ENVELOPE_BLOB_OVERHEAD != size)
		abort();
	free(plain);
	return 0;
}
