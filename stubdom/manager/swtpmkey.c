/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/swtpmkey.h"
#include "lib/atomic.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* swtpm's: PBKDF2-HMAC-SHA512 */
#define PBKDF2_ROUNDS 1000
static const uint8_t pbkdf2_salt[5] = "swtpm";

struct keyspec {
	const char *file;
	enum swtpmkey_kind kind;
	bool has_kind, is_password;
	size_t len;
};

static int digit_of(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As many digits as the key has, with or without 0x, and white space behind. */
static int make_hex(const uint8_t *text, size_t len, struct stateblob_key *key)
{
	size_t i, n = key->len * 2;

	if (len >= 2 && text[0] == '0' && text[1] == 'x') {
		text += 2;
		len -= 2;
	}
	if (len < n)
		return -EINVAL;
	for (i = n; i < len; i++)
		if (!isspace(text[i]))
			return -EINVAL;
	for (i = 0; i < key->len; i++) {
		int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		key->bytes[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int swtpmkey_make(enum swtpmkey_kind kind, const uint8_t *file, size_t len,
		  struct stateblob_key *key)
{
	uint8_t hash[SHA512_DIGEST_LENGTH];

	switch (kind) {
	case SWTPMKEY_HEX:
		return make_hex(file, len, key);
	case SWTPMKEY_BINARY:
		if (len != key->len)
			return -EINVAL;
		memcpy(key->bytes, file, len);
		return 0;
	case SWTPMKEY_PBKDF2:
		return PKCS5_PBKDF2_HMAC((const char *)file, (int)len, pbkdf2_salt,
					 sizeof(pbkdf2_salt), PBKDF2_ROUNDS, EVP_sha512(),
					 (int)key->len, key->bytes) == 1
			       ? 0
			       : -EIO;
	case SWTPMKEY_SHA512:
		if (!SHA512(file, len, hash))
			return -EIO;
		memcpy(key->bytes, hash, key->len);
		OPENSSL_cleanse(hash, sizeof(hash));
		return 0;
	}
	return -EINVAL;
}

static bool take_kind(struct keyspec *s, enum swtpmkey_kind kind)
{
	s->kind = kind;
	s->has_kind = true;
	return true;
}

static bool take_key_word(struct keyspec *s, char *word)
{
	if (!strncmp(word, "file=", 5)) {
		s->file = word + 5;
	} else if (!strncmp(word, "pwdfile=", 8)) {
		s->file = word + 8;
		s->is_password = true;
	} else if (!strcmp(word, "mode=aes-256-cbc")) {
		s->len = 32;
	} else if (!strcmp(word, "mode=aes-cbc") || !strcmp(word, "mode=aes-128-cbc")) {
		s->len = 16;
	} else if (!strcmp(word, "format=hex")) {
		return take_kind(s, SWTPMKEY_HEX);
	} else if (!strcmp(word, "format=binary")) {
		return take_kind(s, SWTPMKEY_BINARY);
	} else if (!strcmp(word, "kdf=pbkdf2")) {
		return take_kind(s, SWTPMKEY_PBKDF2);
	} else if (!strcmp(word, "kdf=sha512")) {
		return take_kind(s, SWTPMKEY_SHA512);
	} else {
		return false;
	}
	return true;
}

static int read_spec(char *copy, struct keyspec *s)
{
	char *rest, *word;
	bool of_password;

	for (word = strtok_r(copy, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		if (!take_key_word(s, word))
			return -EINVAL;
	of_password = s->kind == SWTPMKEY_PBKDF2 || s->kind == SWTPMKEY_SHA512;
	if (!s->file || !*s->file || (s->has_kind && s->is_password != of_password))
		return -EINVAL;
	if (!s->has_kind && s->is_password)
		s->kind = SWTPMKEY_PBKDF2;
	return 0;
}

int swtpmkey_parse(const char *option, const char *text, struct stateblob_key *key,
		   struct error *e)
{
	struct keyspec s = {.kind = SWTPMKEY_HEX, .len = 16}; /* swtpm's defaults */
	char *copy = strdup(text);
	uint8_t *file = NULL;
	size_t len = 0;
	int rc = copy ? read_spec(copy, &s) : -ENOMEM;

	key->len = s.len;
	if (rc) {
		rc = error_set(e, rc, CAUSE_NOT_CONFIGURED,
			       "%s %.80s: write it as for swtpm: "
			       "file=F[,format=hex|binary] or "
			       "pwdfile=F[,kdf=pbkdf2|sha512], and "
			       "[,mode=aes-cbc|aes-256-cbc]",
			       option, text);
		free(copy);
		return rc;
	}
	rc = atomic_read(AT_FDCWD, s.file, SWTPMKEY_FILE_MAX, &file, &len);
	if (rc)
		rc = error_set(e, rc, CAUSE_NOT_CONFIGURED, "the key file %.120s: %s",
			       s.file, strerror(-rc));
	if (!rc)
		rc = swtpmkey_make(s.kind, file, len, key);
	if (rc)
		rc = error_set(
			e, rc, CAUSE_NOT_CONFIGURED,
			"the key file %.120s has no key of %zu bits in that form; "
			"mode=aes-256-cbc is for 256 bits, format=binary for bytes",
			s.file, key->len * 8);
	stateblob_free(file, len);
	free(copy);
	return rc;
}
