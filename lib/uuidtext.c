/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/uuidtext.h"

#include <errno.h>
#include <string.h>

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int uuidtext_parse(const char *text, uint8_t uuid[static UUIDTEXT_SIZE])
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	unsigned int n = 0;

	if (strlen(text) != sizeof(form) - 1)
		return -EINVAL;
	memset(uuid, 0, UUIDTEXT_SIZE);
	for (unsigned int i = 0; form[i]; i++) {
		int digit = digit_of(text[i]);

		if (form[i] == '-' ? text[i] != '-' : digit < 0)
			return -EINVAL;
		if (form[i] == '-')
			continue;
		uuid[n / 2] = (uint8_t)(uuid[n / 2] << 4 | digit);
		n++;
	}
	return 0;
}

bool uuidtext_is_random(const uint8_t uuid[static UUIDTEXT_SIZE])
{
	/* 4.1, the variant: 10 in binary; 4.2, the version */
	return uuid[8] >> 6 == 2 && uuid[6] >> 4 == 4;
}
