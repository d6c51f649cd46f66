/* SPDX-License-Identifier: Apache-2.0 */
/* A key slot out of a store, and the configuration that comes over the host
 * channel, as a hostile dom0 process would give them. */
#include "stubdom/manager/slot.h"
#include "stubdom/manager/unlock.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_slot(const uint8_t *data, size_t size)
{
	struct envelope_slot *in = calloc(1, sizeof(*in)),
			     *again = calloc(1, sizeof(*in));
	struct unlock_slot *s = malloc(sizeof(*s));
	struct error e = {0};

	if (size > sizeof(in->data))
		size = sizeof(in->data);
	in->kind = again->kind = size ? data[size - 1] % 7 : 0;
	in->len = (uint16_t)size;
	memcpy(in->data, data, size);
	/* what parses is what would have been written */
	if (!unlock_slot_parse(in, s, &e) &&
	    (unlock_slot_encode(s, again) || again->len != in->len ||
	     memcmp(again->data, in->data, in->len)))
		abort();
	free(s);
	free(again);
	free(in);
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
