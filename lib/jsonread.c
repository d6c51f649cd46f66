/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/jsonread.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* The text, and what is looked for in it. */
struct reader {
	const char *at, *end;
	bool is_bad;
	bool has_found;
	struct jsonread found;
};

static bool read_value(struct reader *r, const char *path, unsigned int depth);

static bool fail_json(struct reader *r)
{
	r->is_bad = true;
	return false;
}

static void skip_space(struct reader *r)
{
	while (r->at < r->end &&
	       (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

static bool take_char(struct reader *r, char c)
{
	skip_space(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Behind the backslash: RFC 8259, 7. */
static bool skip_escape(struct reader *r)
{
	int i;

	if (r->at == r->end)
		return fail_json(r);
	if (*r->at != 'u') {
		if (!*r->at || !strchr("\"\\/bfnrt", *r->at))
			return fail_json(r);
		r->at++;
		return true;
	}
	r->at++;
	for (i = 0; i < 4; i++)
		if (r->at == r->end || !is_hex(*r->at++))
			return fail_json(r);
	return true;
}

/* What stands between the quotes. */
static bool read_string(struct reader *r, const char **text, size_t *len)
{
	if (!take_char(r, '"'))
		return fail_json(r);
	*text = r->at;
	while (r->at < r->end && *r->at != '"') {
		if ((unsigned char)*r->at < ' ')
			return fail_json(r);
		if (*r->at++ == '\\' && !skip_escape(r))
			return false;
	}
	if (r->at == r->end)
		return fail_json(r);
	*len = (size_t)(r->at++ - *text);
	return true;
}

/* RFC 8259, 6: digits, at least one. */
static bool skip_digits(struct reader *r)
{
	const char *from = r->at;

	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		r->at++;
	return r->at > from;
}

static bool read_number(struct reader *r)
{
	if (r->at < r->end && *r->at == '-')
		r->at++;
	if (r->at < r->end && *r->at == '0')
		r->at++; /* no digit follows a leading zero */
	else if (!skip_digits(r))
		return fail_json(r);
	if (r->at < r->end && *r->at == '.') {
		r->at++;
		if (!skip_digits(r))
			return fail_json(r);
	}
	if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
		r->at++;
		if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
			r->at++;
		if (!skip_digits(r))
			return fail_json(r);
	}
	return true;
}

static bool read_word(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n))
		return fail_json(r);
	r->at += n;
	return true;
}

/* How the path goes on below this name, or NULL: it does not go this way. */
static const char *step(const char *path, const char *name, size_t len)
{
	if (!path || strncmp(path, name, len))
		return NULL;
	if (path[len] == '.')
		return path + len + 1;
	return path[len] ? NULL : path + len;
}

static bool read_object(struct reader *r, const char *path, unsigned int depth)
{
	bool seen = false;
	const char *name, *below;
	size_t len;

	if (take_char(r, '}'))
		return true;
	do {
		if (!read_string(r, &name, &len))
			return false;
		below = len ? step(path, name, len) : NULL;
		if (below && seen)
			return fail_json(r);
		seen = seen || below;
		if (!take_char(r, ':') || !read_value(r, below, depth))
			return fail_json(r);
	} while (take_char(r, ','));
	return take_char(r, '}') || fail_json(r);
}

static bool read_array(struct reader *r, const char *path, unsigned int depth)
{
	unsigned int n;

	if (take_char(r, ']'))
		return true;
	for (n = 0;; n++) {
		char index[2] = {(char)('0' + n % 10), '\0'};

		if (!read_value(r, n < 10 ? step(path, index, 1) : NULL, depth))
			return false;
		if (!take_char(r, ','))
			return take_char(r, ']') || fail_json(r);
	}
}

static bool read_kind(struct reader *r, const char *path, unsigned int depth,
		      struct jsonread *v)
{
	const char *text;
	size_t len;

	switch (*r->at) {
	case '{':
		v->kind = JSONREAD_OBJECT;
		r->at++;
		return read_object(r, path, depth - 1);
	case '[':
		v->kind = JSONREAD_ARRAY;
		r->at++;
		return read_array(r, path, depth - 1);
	case '"':
		v->kind = JSONREAD_STRING;
		return read_string(r, &text, &len);
	case 't':
		v->kind = JSONREAD_TRUE;
		return read_word(r, "true");
	case 'f':
		v->kind = JSONREAD_FALSE;
		return read_word(r, "false");
	case 'n':
		v->kind = JSONREAD_NULL;
		return read_word(r, "null");
	default:
		v->kind = JSONREAD_NUMBER;
		return read_number(r);
	}
}

/* path: what of this value is looked for, "" itself, NULL nothing. */
static bool read_value(struct reader *r, const char *path, unsigned int depth)
{
	struct jsonread v;

	skip_space(r);
	if (r->at == r->end || !depth)
		return fail_json(r);
	v.text = r->at;
	if (!read_kind(r, path && *path ? path : NULL, depth, &v))
		return false;
	v.len = (size_t)(r->at - v.text);
	if (v.kind == JSONREAD_STRING) {
		v.text++;
		v.len -= 2;
	}
	if (path && !*path) {
		r->found = v;
		r->has_found = true;
	}
	return true;
}

int jsonread_find(const char *text, size_t len, const char *path, struct jsonread *v)
{
	struct reader r = {.at = text, .end = text + len};
	bool ok = read_value(&r, path, JSONREAD_DEPTH);

	skip_space(&r);
	if (!ok || r.is_bad || r.at != r.end)
		return -EBADMSG;
	if (!r.has_found)
		return -ENOENT;
	*v = r.found;
	return 0;
}

int jsonread_text(const char *text, size_t len, const char *path, char *out, size_t room)
{
	struct jsonread v;
	int rc = jsonread_find(text, len, path, &v);

	if (rc)
		return rc;
	if (v.kind != JSONREAD_STRING || !v.len || v.len >= room ||
	    memchr(v.text, '\\', v.len))
		return -EBADMSG;
	memcpy(out, v.text, v.len);
	out[v.len] = '\0';
	return 0;
}
