/* SPDX-License-Identifier: Apache-2.0 */
/* What another host of a pool asks, or tells, about vTPMs: whatever is read is written as the
 * same bytes. */
#include "lib/witness.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t again[WITNESS_ANSWER_MAX];

static void compare(const uint8_t *data, size_t size, int rc, size_t len)
{
	if (rc || len != size || memcmp(again, data, size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct witness_question q;
	static struct witness_answer a;
	size_t len = sizeof(again);

	if (!witness_question_decode(data, size, &q))
		compare(data, size, witness_question_encode(&q, again, &len), len);
	len = sizeof(again);
	if (!witness_answer_decode(data, size, &a))
		compare(data, size, witness_answer_encode(&a, again, &len), len);
	return 0;
}
