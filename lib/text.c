/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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

bool text_are_clean(int count, char *const words[], char *out, size_t room)
{
	for (int i = 0; i < count; i++) {
		size_t len = strlen(words[i]);

		if (!text_is_clean(words[i], len)) {
			text_clean(out, room, words[i], len);
			return false;
		}
	}
	return true;
}

/* Bytes of a line before its comment, which begins behind a # outside of quotes.  *hides: in
 * quotes a character is written as an escape, as \n is (xl's are in libxlu_cfg.c), but a quote
 * or a backslash. */
static size_t length_of_code(const char *line, size_t len, bool *hides)
{
	char quote = 0;
	size_t i;

	*hides = false;
	for (i = 0; i < len && (quote || line[i] != '#'); i++) {
		if (quote && line[i] == '\\' && i + 1 < len)
			*hides |= !memchr("\"'\\", line[++i], 3);
		else if (quote ? line[i] == quote : line[i] == '"' || line[i] == '\'')
			quote = quote ? 0 : line[i];
	}
	return i;
}

static bool is_line_clean(const char *line, size_t len)
{
	size_t part;

	for (; len; line += part, len -= part) {
		const char *tab = memchr(line, '\t', len);

		part = tab ? (size_t)(tab - line) : len;
		if (!text_is_clean(line, part))
			return false;
		part += tab != NULL;
	}
	return true;
}

unsigned int text_unclean_line(const char *text, size_t len)
{
	unsigned int n = 1;
	size_t line;

	for (; len; text += line, len -= line, n++) {
		const char *end = memchr(text, '\n', len);
		size_t code;
		bool hides;

		line = end ? (size_t)(end - text) : len;
		code = length_of_code(text, line, &hides);
		/* of an end of line as Windows has it */
		if (code && code == line && text[code - 1] == '\r')
			code--;
		if (hides || !is_line_clean(text, code))
			return n;
		line += end != NULL;
	}
	return 0;
}

static const char hex_digits[] = "0123456789abcdef";

void hex_encode(const uint8_t *in, size_t len, char *out)
{
	size_t i;

	for (i = 0; i < len; i++) {
		out[2 * i] = hex_digits[in[i] >> 4];
		out[2 * i + 1] = hex_digits[in[i] & 15];
	}
	out[2 * len] = 0;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(const char *in, uint8_t *out, size_t *len)
{
	size_t i, n = strlen(in);

	if (n % 2)
		return -EINVAL;
	if (n / 2 > *len)
		return -ENOSPC;
	for (i = 0; i < n / 2; i++) {
		int high = nibble(in[2 * i]), low = nibble(in[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		out[i] = (uint8_t)(high << 4 | low);
	}
	*len = n / 2;
	return 0;
}

static const char base64url_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_encode(const uint8_t *in, size_t len, char *out)
{
	uint32_t bits = 0;
	unsigned int have = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		bits = bits << 8 | in[i];
		for (have += 8; have >= 6; have -= 6)
			*out++ = base64url_digits[bits >> (have - 6) & 63];
	}
	if (have)
		*out++ = base64url_digits[bits << (6 - have) & 63];
	*out = 0;
}

int base64url_decode(const char *in, uint8_t *out, size_t *len)
{
	size_t room = *len, n = 0;
	unsigned int have = 0;
	uint32_t bits = 0;
	const char *d;

	for (; *in; in++) {
		d = strchr(base64url_digits, *in);
		if (!d)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)(d - base64url_digits);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n == room)
			return -ENOSPC;
		out[n++] = (uint8_t)(bits >> have);
	}
	/* 6 bits left are a digit too many; fewer have to be zero */
	if (have >= 6 || bits & ((1u << have) - 1))
		return -EINVAL;
	*len = n;
	return 0;
}

#define SECONDS_LEN 19 /* "2026-01-31T12:00:00" */

void stamp_now(char out[STAMP_SIZE])
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(out, STAMP_SIZE, "%FT%T", &tm);
	snprintf(out + n, STAMP_SIZE - n, ".%03dZ", (int)(now.tv_nsec / 1000000 % 1000));
}

bool stamp_ok(const char *text)
{
	struct tm tm;
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!end || end - text != SECONDS_LEN)
		return false;
	if (!strcmp(end, "Z"))
		return true;
	return end[0] == '.' && isdigit((unsigned char)end[1]) &&
	       isdigit((unsigned char)end[2]) && isdigit((unsigned char)end[3]) &&
	       !strcmp(end + 4, "Z");
}

bool stamp_later(const char *a, const char *b)
{
	/* '.' comes before 'Z': within b's second nothing is later than b without fraction */
	return strcmp(a, b) > 0;
}

bool stamp_since(const char *stamp, const char *since, const char *now)
{
	return stamp_later(stamp, since) && !stamp_later(stamp, now);
}

int64_t stamp_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + 1;
}

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
