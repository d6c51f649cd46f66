/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever comes in, what comes out is no longer, is clean, stays what it is when it is
 * cleaned again, and is a text for JSON; what was clean has not changed. */
#include "lib/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text)
{
	size_t n = strlen(text), i;
	char *again = malloc(n + 1);
	json_t *json = json_string(text);

	if (!again || !json || !text_is_clean(text, n))
		abort();
	for (i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			abort();
	text_clean(again, n + 1, text, n);
	if (strcmp(again, text))
		abort();
	json_decref(json);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = size > 1 ? data[0] % size + 1 : 1;
	char *whole = malloc(size + 1), *part = malloc(room);

	if (!whole || !part)
		abort();
	text_clean(whole, size + 1, data, size);
	text_clean(part, room, data, size);
	check(whole);
	check(part);
	if (strlen(part) >= room || strncmp(whole, part, strlen(part)))
		abort();
	if (text_is_clean(data, size) &&
	    (strlen(whole) != size || memcmp(whole, data, size) ||
	     (!memchr(data, '\\', size) && text_unclean_line((const char *)data, size))))
		abort();
	if (text_unclean_line((const char *)data, size) > size)
		abort();
	free(part);
	free(whole);
	return 0;
}
