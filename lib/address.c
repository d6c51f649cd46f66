/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/address.h"

#include <errno.h>
#include <string.h>

int address_nth(const char *list, unsigned int n, char out[ADDRESS_MAX])
{
	size_t len = strcspn(list, ",");

	for (; n; n--) {
		if (!list[len])
			return -ENOENT;
		list += len + 1;
		len = strcspn(list, ",");
	}
	if (!len || len >= ADDRESS_MAX)
		return -EINVAL;
	memcpy(out, list, len);
	out[len] = '\0';
	return 0;
}

unsigned int address_count(const char *list)
{
	char one[ADDRESS_MAX];
	unsigned int n = 0;
	int rc;

	while (!(rc = address_nth(list, n, one)))
		if (++n > ADDRESSES)
			return 0;
	return rc == -ENOENT ? n : 0;
}
