/* SPDX-License-Identifier: Apache-2.0 */
/* LD_PRELOAD for a vtpmd in an attacker's hands: the next vTPM that it creates has the
 * uuid in $FIXED_UUID. */
#include <stdlib.h>
#include <uuid/uuid.h>

void uuid_generate_random(uuid_t out)
{
	const char *text = getenv("FIXED_UUID");

	if (!text || uuid_parse(text, out))
		abort();
}
