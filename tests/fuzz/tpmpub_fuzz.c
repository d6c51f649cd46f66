/* SPDX-License-Identifier: Apache-2.0 */
/* Public areas as a manager that was taken over may tell them: whatever parses has a
 * digest or none, and never reaches past its bytes. */
#include "lib/tpmpub.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t name[TPMPUB_NAME_MAX], digest[32];
	struct tpmpub p;
	size_t len;

	if (tpmpub_parse(data, size, &p))
		return 0;
	if (p.x + p.x_len > data + size || p.policy + p.policy_len > data + size)
		abort();
	if (!tpmpub_name(&p, name, &len) && len > sizeof(name))
		abort();
	if (!tpmpub_digest(&p, digest) && !tpmpub_word(&p))
		abort();
	return 0;
}
