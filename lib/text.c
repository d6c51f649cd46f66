/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/text.h"

#include <stdint.h>
#include <string.h>

#define UTF8_MAX 4

static const struct {
	uint32_t first, last;
} unprintable[] = {
	{0x00, 0x1f},	      /* C0 */
	{0x7f, 0x9f},	      /* DEL, C1 */
	{0xad, 0xad},	      /* soft hyphen */
	{0x61c, 0x61c},	      /* Arabic letter mark */
	{0x180e, 0x180e},     /* Mongolian vowel separator */
	{0x200b, 0x200f},     /* zero width, direction */
	{0x2028, 0x202e},     /* separators, direction */
	{0x2060, 0x206f},     /* zero width, direction */
	{0xd800, 0xdfff},     /* surrogates */
	{0xfeff, 0xfeff},     /* byte order mark */
	{0xfff0, 0xffff},     /* specials */
	{0xe0000, 0xe0fff},   /* tags */
	{0x10fffe, 0x10ffff}, /* no characters */
};

static bool is_printable(uint32_t c)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(unprintable); i++)
		if (c >= unprintable[i].first && c <= unprintable[i].last)
			return false;
	return true;
}

/* Bytes of the character that begins with this one; 0: none does. */
static size_t length_of(uint8_t lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead < 0xe0)
		return 2;
	if (lead >= 0xe0 && lead < 0xf0)
		return 3;
	return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}

/* Bytes of the character at the front; 0: the first byte is of none. */
static size_t decode(const uint8_t *in, size_t len, uint32_t *c)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = length_of(in[0]), i;

	if (!n || n > len)
		return 0;
	*c = n == 1 ? in[0] : in[0] & (0x7fu >> n);
	for (i = 1; i < n; i++) {
		if ((in[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (in[i] & 0x3f);
	}
	return *c >= smallest[n] && *c <= 0x10ffff ? n : 0;
}

void text_clean(char *out, size_t room, const void *in, size_t len)
{
	const uint8_t *p = in;
	size_t at = 0, n;
	uint32_t c = 0;

	if (!room)
		return;
	for (; len; p += n, len -= n) {
		char what[UTF8_MAX] = "?";
		size_t size = 1;

		n = decode(p, len, &c);
		if (n && is_printable(c)) {
			memcpy(what, p, n);
			size = n;
		}
		n = n ? n : 1;
		if (at + size >= room)
			break;
		memcpy(out + at, what, size);
		at += size;
	}
	out[at] = '\0';
}

bool text_is_clean(const void *in, size_t len)
{
	const uint8_t *p = in;
	uint32_t c = 0;
	size_t n;

	for (; len; p += n, len -= n) {
		n = decode(p, len, &c);
		if (!n || !is_printable(c))
			return false;
	}
	return true;
}
