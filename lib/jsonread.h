/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value out of a JSON text of somebody else's (RFC 8259), without memory of its own: the
 * manager has no JSON library.  The whole text is checked, up to JSONREAD_DEPTH; a name that
 * stands twice on the way is refused, since which of the two holds is not said.
 */
#ifndef XVTPM_LIB_JSONREAD_H
#define XVTPM_LIB_JSONREAD_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stddef.h>

#define JSONREAD_DEPTH 8

enum jsonread_kind {
	JSONREAD_OBJECT,
	JSONREAD_ARRAY,
	JSONREAD_STRING,
	JSONREAD_NUMBER,
	JSONREAD_TRUE,
	JSONREAD_FALSE,
	JSONREAD_NULL,
};

/* text points into what was read: of a string what stands between its quotes, with its
 * escapes; of anything else all of it. */
struct jsonread {
	enum jsonread_kind kind;
	const char *text;
	size_t len;
};

/* path: names with '.' between, "data.ciphertext"; a number is an array's element.
 * 0; -ENOENT: there is no such value; -EBADMSG: the text is no JSON, or nested too deep. */
int __must_check jsonread_find(const char *text, size_t len, const char *path,
			       struct jsonread *v);
/* The same, of a string that has no escapes, fits, and is not empty: terminated.  -ENOENT,
 * -EBADMSG */
int __must_check jsonread_text(const char *text, size_t len, const char *path, char *out,
			       size_t room);

#endif
