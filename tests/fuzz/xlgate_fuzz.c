/* SPDX-License-Identifier: Apache-2.0 */
/* What another host sends as a guest, and what xl says: cut into other pieces it is the same. */
#include "tools/vtpmctl/xlgate.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	int rc;
	size_t passed;
	bool ended;
};

static struct result take(const uint8_t *p, size_t n, size_t cut)
{
	struct xlgate_stream s = {.part = 0};
	struct result r = {0};
	size_t at, one, pass;
	bool go;

	for (at = 0; !r.rc && at < n; at += one) {
		one = n - at < cut ? n - at : cut;
		r.rc = xlgate_stream_take(&s, p + at, one, &pass, &go);
		if (pass > one || (go && !xlgate_stream_ended(&s)))
			abort();
		r.passed += pass;
	}
	r.ended = xlgate_stream_ended(&s);
	return r;
}

static size_t answers(const uint8_t *p, size_t n)
{
	struct xlgate_answer a = {.last = XLGATE_NONE};
	enum xlgate_text found;
	size_t at, used, count = 0;

	for (at = 0; at < n; at += used) {
		if (xlgate_answer_take(&a, p + at, n - at, &used, &found))
			break;
		if (!used || used > n - at)
			abort();
		count += found != XLGATE_NONE;
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t cut = size ? data[0] % 61 + 1u : 1;
	struct result whole, parts;

	if (!size)
		return 0;
	whole = take(data + 1, size - 1, size);
	parts = take(data + 1, size - 1, cut);
	if (whole.rc != parts.rc || whole.ended != parts.ended ||
	    (!whole.rc && whole.passed != parts.passed))
		abort();
	if (answers(data + 1, size - 1) > 4)
		abort();
	return 0;
}
