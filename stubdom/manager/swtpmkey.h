/* SPDX-License-Identifier: Apache-2.0 */
/* The key of swtpm's encrypted states, in the words of swtpm's --key:
 * file=F[,format=hex|binary] | pwdfile=F[,kdf=pbkdf2|sha512], and
 * [,mode=aes-cbc|aes-256-cbc]. */
#ifndef XVTPM_MANAGER_SWTPMKEY_H
#define XVTPM_MANAGER_SWTPMKEY_H

#include "include/compiler.h"
#include "lib/error.h"
#include "stubdom/manager/stateblob.h"

#define SWTPMKEY_FILE_MAX 4096

enum swtpmkey_kind { SWTPMKEY_HEX, SWTPMKEY_BINARY, SWTPMKEY_PBKDF2, SWTPMKEY_SHA512 };

/* Makes key, of key->len bytes, of what its file has.  -EINVAL: it is not of that form or
 * size. */
int __must_check swtpmkey_make(enum swtpmkey_kind kind, const uint8_t *file, size_t len,
			       struct stateblob_key *key);
/* Reads the file that text, the value of the option, names.  *e says what is wrong with it, or
 * with text. */
int __must_check swtpmkey_parse(const char *option, const char *text,
				struct stateblob_key *key, struct error *e);

#endif
