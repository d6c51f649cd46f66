/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/pefile.h"
#include "lib/cursor.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SECTIONS_MAX	   96 /* what Windows' loader takes */
#define SECTION_SIZE	   40
#define LFANEW		   0x3c
#define COFF_SIZE	   20
#define OPTIONAL_PE32	   0x10b
#define OPTIONAL_PE32_PLUS 0x20b
#define DIRECTORY_CERT	   4

/* Where things are in the file. */
struct layout {
	size_t checksum, cert_entry; /* cert_entry is 0: there is none */
	size_t headers, cert_size;
	unsigned int sections;
	struct {
		size_t at, size;
	} section[SECTIONS_MAX];
};

static struct cursor cursor_from(const uint8_t *file, size_t len, size_t at)
{
	struct cursor c = cursor_reader(file, len);

	(void)cursor_bytes(&c, at);
	return c;
}

/* By their place in the file, as they are hashed. */
static void add_section(struct layout *l, size_t at, size_t size)
{
	unsigned int i = l->sections++;

	for (; i && l->section[i - 1].at > at; i--)
		l->section[i] = l->section[i - 1];
	l->section[i].at = at;
	l->section[i].size = size;
}

static int find_sections(struct cursor c, unsigned int n, struct layout *l)
{
	if (n > SECTIONS_MAX)
		return -EBADMSG;
	while (n--) {
		struct cursor s = cursor_sub(&c, SECTION_SIZE);
		size_t size, at;

		(void)cursor_bytes(&s, 16);
		size = cursor_le32(&s);
		at = cursor_le32(&s);
		if (size)
			add_section(l, at, size);
	}
	return cursor_ok(&c) ? 0 : -EBADMSG;
}

/* Microsoft PE and COFF Specification, "File Headers" and "Optional Header". */
static int find_parts(const uint8_t *file, size_t len, struct layout *l)
{
	struct cursor c = cursor_from(file, len, LFANEW);
	size_t pe = cursor_le32(&c), optional = pe + 4 + COFF_SIZE;
	unsigned int n, optional_size, magic, directories;

	c = cursor_from(file, len, pe);
	if (cursor_le32(&c) != 0x4550) /* PE\0\0 */
		return -EBADMSG;
	(void)cursor_le16(&c);
	n = cursor_le16(&c);
	(void)cursor_bytes(&c, 12);
	optional_size = cursor_le16(&c);
	c = cursor_from(file, len, optional);
	magic = cursor_le16(&c);
	if (!cursor_ok(&c) || (magic != OPTIONAL_PE32 && magic != OPTIONAL_PE32_PLUS))
		return -EBADMSG;
	(void)cursor_bytes(&c, 58);
	l->headers = cursor_le32(&c);
	l->checksum = optional + 64;
	(void)cursor_bytes(&c, magic == OPTIONAL_PE32 ? 28 : 44);
	directories = cursor_le32(&c);
	if (directories > DIRECTORY_CERT) {
		l->cert_entry = c.pos + 8 * DIRECTORY_CERT;
		(void)cursor_bytes(&c, 8 * DIRECTORY_CERT + 4);
		l->cert_size = cursor_le32(&c);
	}
	if (!cursor_ok(&c))
		return -EBADMSG;
	return find_sections(cursor_from(file, len, optional + optional_size), n, l);
}

struct parts {
	const uint8_t *file;
	size_t len, count;
	struct crypt_part part[SECTIONS_MAX + 4];
	bool bad;
};

static void add_part(struct parts *p, size_t from, size_t to)
{
	if (from > to || to > p->len) {
		p->bad = true;
		return;
	}
	p->part[p->count++] = (struct crypt_part){p->file + from, to - from};
}

int pefile_hash(const uint8_t *file, size_t len, uint8_t hash[CRYPT_HASH_SIZE])
{
	struct parts p = {.file = file, .len = len};
	struct layout l = {0};
	size_t hashed;
	unsigned int i;
	int rc = find_parts(file, len, &l);

	if (rc)
		return rc;
	add_part(&p, 0, l.checksum);
	if (l.cert_entry) {
		add_part(&p, l.checksum + 4, l.cert_entry);
		add_part(&p, l.cert_entry + 8, l.headers);
	} else {
		add_part(&p, l.checksum + 4, l.headers);
	}
	hashed = l.headers;
	for (i = 0; i < l.sections; i++) {
		add_part(&p, l.section[i].at, l.section[i].at + l.section[i].size);
		hashed += l.section[i].size;
	}
	if (l.cert_size > len)
		return -EBADMSG;
	if (hashed < len - l.cert_size)
		add_part(&p, hashed, len - l.cert_size);
	return p.bad ? -EBADMSG : crypt_sha256(p.part, p.count, hash);
}
