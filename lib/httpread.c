/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/httpread.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Where the head and the chunks are read. */
struct lines {
	const uint8_t *buf;
	size_t len, at;
};

struct head {
	unsigned int status;
	bool has_length, is_chunked;
	size_t length;
};

/* The next line, without its CR LF: 1; 0: it has not come as a whole; -EBADMSG: it is too long,
 * or a control character is in it (RFC 9110, 5.5). */
static int next_line(struct lines *l, const char **line, size_t *len)
{
	const uint8_t *from = l->buf + l->at, *end;
	size_t i;

	end = memchr(from, '\n', l->len - l->at);
	*len = end ? (size_t)(end - from) : l->len - l->at;
	if (*len > HTTPREAD_LINE_MAX)
		return -EBADMSG;
	if (!end)
		return 0;
	if (!*len || from[*len - 1] != '\r')
		return -EBADMSG;
	--*len;
	for (i = 0; i < *len; i++)
		if (from[i] < ' ' && from[i] != '\t')
			return -EBADMSG;
	*line = (const char *)from;
	l->at += *len + 2;
	return 1;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 9112, 4: HTTP/1.1 SP 3DIGIT SP [ reason ] */
static bool take_status(const char *line, size_t len, unsigned int *status)
{
	static const char version[] = "HTTP/1.1 ";
	const size_t n = sizeof(version) - 1;

	if (len < n + 3 || memcmp(line, version, n) || !is_digit(line[n]) ||
	    !is_digit(line[n + 1]) || !is_digit(line[n + 2]) ||
	    (len > n + 3 && line[n + 3] != ' '))
		return false;
	*status = (unsigned int)(line[n] - '0') * 100 +
		  (unsigned int)(line[n + 1] - '0') * 10 +
		  (unsigned int)(line[n + 2] - '0');
	/* one that goes before another one is none that we ask for */
	return *status >= 200;
}

/* A number of at most HTTPREAD_MAX, all of the text; base 10 or 16. */
static bool take_size(const char *text, size_t len, unsigned int base, size_t *size)
{
	size_t i;

	*size = 0;
	for (i = 0; i < len; i++) {
		char c = text[i];
		unsigned int digit = is_digit(c)	    ? (unsigned int)(c - '0')
				     : c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a') + 10
				     : c >= 'A' && c <= 'F' ? (unsigned int)(c - 'A') + 10
							    : base;

		if (digit >= base)
			return false;
		*size = *size * base + digit;
		if (*size > HTTPREAD_MAX)
			return false;
	}
	return len;
}

static bool is_name(const char *line, size_t len, const char *name)
{
	return len == strlen(name) && !strncasecmp(line, name, len);
}

/* RFC 9112, 6.3: of two lengths, or a length and chunks, which of them holds is what requests
 * are smuggled by. */
static bool take_field(const char *line, size_t len, struct head *h)
{
	const char *colon = memchr(line, ':', len), *value;
	size_t name, left;

	if (!colon || colon == line || colon[-1] == ' ')
		return false;
	name = (size_t)(colon - line);
	value = colon + 1;
	left = len - name - 1;
	for (; left && (*value == ' ' || *value == '\t'); value++)
		left--;
	while (left && (value[left - 1] == ' ' || value[left - 1] == '\t'))
		left--;
	if (is_name(line, name, "content-length")) {
		if (h->has_length || h->is_chunked ||
		    !take_size(value, left, 10, &h->length))
			return false;
		h->has_length = true;
	} else if (is_name(line, name, "transfer-encoding")) {
		if (h->has_length || h->is_chunked || !is_name(value, left, "chunked"))
			return false;
		h->is_chunked = true;
	} else if (is_name(line, name, "content-encoding")) {
		return is_name(value, left, "identity");
	}
	return true;
}

/* As next_line(), of the whole head. */
static int read_head(struct lines *l, struct head *h)
{
	unsigned int n;
	const char *line;
	size_t len;
	int rc = next_line(l, &line, &len);

	if (rc != 1)
		return rc;
	if (!take_status(line, len, &h->status))
		return -EBADMSG;
	for (n = 0; n < HTTPREAD_LINES; n++) {
		rc = next_line(l, &line, &len);
		if (rc != 1)
			return rc;
		if (!len)
			return 1;
		if (!take_field(line, len, h))
			return -EBADMSG;
	}
	return -EBADMSG;
}

/* RFC 9112, 7.1: moves the chunks together, behind each other, at to.  They are moved when all
 * of them are there (move), else only looked at.  Trailers are refused. */
static int read_chunks(struct lines *l, uint8_t *to, bool move, size_t *total)
{
	const char *line;
	size_t len, size;
	int rc;

	*total = 0;
	for (;;) {
		rc = next_line(l, &line, &len);
		if (rc != 1)
			return rc;
		if (!take_size(line, len, 16, &size))
			return -EBADMSG;
		if (!size)
			break;
		if (l->len - l->at < size + 2)
			return *total + size > HTTPREAD_MAX ? -EBADMSG : 0;
		if (memcmp(l->buf + l->at + size, "\r\n", 2))
			return -EBADMSG;
		if (move)
			memmove(to + *total, l->buf + l->at, size);
		*total += size;
		l->at += size + 2;
	}
	rc = next_line(l, &line, &len);
	return rc == 1 && len ? -EBADMSG : rc;
}

int httpread_parse(uint8_t *buf, size_t len, struct httpread *r)
{
	struct lines l = {.buf = buf, .len = len}, body;
	struct head h = {.status = 0};
	int rc = len > HTTPREAD_MAX ? -EBADMSG : read_head(&l, &h);

	memset(r, 0, sizeof(*r));
	if (rc != 1)
		return rc ? rc : len == HTTPREAD_MAX ? -EBADMSG : 0;
	r->status = h.status;
	r->body = buf + l.at;
	r->body_len = h.length;
	if (h.is_chunked) {
		body = l;
		rc = read_chunks(&body, r->body, false, &r->body_len);
		if (rc == 1)
			rc = read_chunks(&l, r->body, true, &r->body_len);
	} else if (h.has_length) {
		rc = len - l.at >= h.length;
		l.at += rc ? h.length : 0;
	} else {
		/* RFC 9110, 15.3.5 */
		rc = h.status == 204 ? 1 : -EBADMSG;
	}
	if (!rc)
		return len == HTTPREAD_MAX ? -EBADMSG : 0;
	/* nothing was asked for that comes behind it */
	return rc == 1 && l.at != len ? -EBADMSG : rc;
}
