/* SPDX-License-Identifier: Apache-2.0 */
/* Another host's answer, or its message, and the pool: nothing of either is judged good that
 * somebody else made. */
#include "lib/pool.h"
#include "stubdom/manager/movejudge.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* u16 length | a pool | an answer */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t uuid[16], key[88] = {0, 0x23};
	struct cursor c = cursor_reader(data, size);
	size_t n = cursor_u16(&c);
	struct movejudge j = {.policy_key = {key, sizeof(key)}, .uuid = uuid};
	struct error e = {.cause = CAUSE_NONE};

	j.pool.p = cursor_bytes(&c, n);
	j.pool.n = n;
	j.accept.n = cursor_left(&c);
	j.accept.p = cursor_bytes(&c, j.accept.n);
	j.offer = j.accept;
	if (cursor_ok(&c) && !movejudge_check(&j, &e))
		abort();
	return 0;
}
