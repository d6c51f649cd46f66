/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile KMS, or who sits in its place, answers. */
#include "lib/kmip.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const uint8_t *p, size_t len, const uint8_t *data, size_t size)
{
	if (p && (p < data || len > size || p + len > data + size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kmip_response r;
	char what[100];

	if (kmip_parse(data, size, &r))
		return 0;
	if (!ttlv_check(data, size))
		abort();
	inside(r.data, r.data_len, data, size);
	inside(r.tag, r.tag_len, data, size);
	inside(r.key_id, r.key_id_len, data, size);
	kmip_describe(&r.attributes, what, sizeof(what));
	if (!what[0] || !kmip_state(r.attributes.state)[0])
		abort();
	if (strnlen(r.message, sizeof(r.message)) == sizeof(r.message) ||
	    kmip_cause(&r) == CAUSE_NONE)
		abort();
	return 0;
}
