/* SPDX-License-Identifier: Apache-2.0 */
/* A state of swtpm, as a file and as a blob, and a file with a key.  The first byte: the key. */
#include "stubdom/manager/stateblob.h"
#include "stubdom/manager/swtpmkey.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stateblob_key made = {.len = 16};
	struct stateblob_keys keys = {0};
	uint8_t *plain, *blob;
	size_t len, blob_len;
	struct error e = {0};

	if (!size)
		return 0;
	keys.file.len = data[0] % 3 * 16;
	keys.migration.len = data[0] / 3 % 3 * 16;
	if (!stateblob_open_file(data + 1, size - 1, &keys, &plain, &len, &e)) {
		if (len > size)
			abort();
		(void)!stateblob_check(plain, len, data[0] & 1, &e);
		stateblob_free(plain, len);
	} else if (plain || !e.text[0]) {
		abort();
	}
	if (!stateblob_take(data + 1, size - 1, data[0] & 2, &plain, &len)) {
		/* what is taken is given again, and taken */
		if (len) {
			if (stateblob_give(plain, len, &blob, &blob_len))
				abort();
			stateblob_free(plain, len);
			if (stateblob_take(blob, blob_len, 0, &plain, &len))
				abort();
			stateblob_free(blob, blob_len);
		}
		stateblob_free(plain, len);
	}
	if (size < SWTPMKEY_FILE_MAX)
		(void)!swtpmkey_make((enum swtpmkey_kind)(data[0] % 2), data + 1,
				     size - 1, &made);
	return 0;
}
