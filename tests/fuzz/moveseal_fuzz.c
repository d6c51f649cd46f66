/* SPDX-License-Identifier: Apache-2.0 */
/* What comes as an EXPORT: nobody opens one that the key's owner was not sent. */
#include "stubdom/manager/moveseal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static EVP_PKEY *key;
	static uint8_t public[MOVE_KEY_MAX];
	struct moveseal m = {.uuid = "one vTPM of all"};
	struct error e = {.cause = CAUSE_NONE};
	const struct binding_part none = {public, 0};
	size_t len;

	if (!key && moveseal_key(&key, public, &len))
		abort();
	if (!moveseal_open(&m, key, none, none, data, size, &e))
		abort();
	return 0;
}
