/* SPDX-License-Identifier: Apache-2.0 */
/* swtpm's files and blobs, whole, damaged and with other keys; tests/host/swtpm has swtpm's own. */
#include "tests/unit/unit.h"
#include "stubdom/manager/stateblob.h"
#include "stubdom/manager/swtpmkey.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "a state of libtpms, of no block's length";
static uint8_t file[512];
static size_t file_len;
static struct error error;

static void put(size_t n, uint64_t v)
{
	while (n--)
		file[file_len++] = (uint8_t)(v >> (8 * n));
}

static void put_tlv(uint16_t tag, const void *p, size_t n)
{
	put(2, tag);
	put(4, n);
	memcpy(file + file_len, p, n);
	file_len += n;
}

static void begin(uint16_t flags)
{
	file_len = 0;
	put(1, 2);
	put(1, 1);
	put(2, 10);
	put(2, flags);
	put(4, 0);
}

static void finish(void)
{
	size_t n = file_len;

	file_len = 6;
	put(4, n);
	file_len = n;
}

static void make_plain(void)
{
	begin(0);
	put_tlv(1, text, sizeof(text));
	finish();
}

/* As swtpm: AES-CBC, padded to the key's size; HMAC over it and the IV.  at: the tag of the
 * ciphertext, 2 or 5; that of the IV is 6 or 7.  In place of the TLVs from `from` on. */
static void encrypt_from(size_t from, const struct stateblob_key *key, uint16_t at,
			 uint8_t pad, bool has_iv)
{
	uint8_t in[300] = {0}, out[300], mac[32], iv[32] = {0}, both[340];
	size_t used = file_len - from, n = (used / key->len + 1) * key->len;
	EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
	int len = 0;

	if (has_iv)
		memset(iv, 7, sizeof(iv));
	memset(in, pad, n);
	memcpy(in, file + from, used);
	assert_int_equal(
		EVP_EncryptInit_ex(x,
				   key->len == 32 ? EVP_aes_256_cbc() : EVP_aes_128_cbc(),
				   NULL, key->bytes, iv),
		1);
	EVP_CIPHER_CTX_set_padding(x, 0);
	assert_int_equal(EVP_EncryptUpdate(x, out, &len, in, (int)n), 1);
	EVP_CIPHER_CTX_free(x);
	memcpy(both, out, n);
	memcpy(both + n, iv, key->len);
	HMAC(EVP_sha256(), key->bytes, (int)key->len, both, n + (has_iv ? key->len : 0),
	     mac, NULL);
	file_len = from;
	put_tlv(at, out, n);
	put_tlv(3, mac, sizeof(mac));
	if (has_iv)
		put_tlv(at == 2 ? 6 : 7, iv, key->len);
	finish();
}

static void make_encrypted(const struct stateblob_key *key, uint8_t pad, bool has_iv)
{
	begin(key->len == 32 ? 9 : 1);
	memcpy(file + file_len, text, sizeof(text));
	file_len += sizeof(text);
	encrypt_from(10, key, 2, pad, has_iv);
}

static struct stateblob_key key_of(size_t len)
{
	struct stateblob_key key = {.len = len};

	for (size_t i = 0; i < len; i++)
		key.bytes[i] = (uint8_t)(i * 3);
	return key;
}

static int open_blob(const struct stateblob_keys *keys)
{
	/* of its own size, for the sanitizer */
	uint8_t *copy = malloc(file_len ? file_len : 1), *plain = NULL;
	size_t len = 0;
	int rc;

	memcpy(copy, file, file_len);
	error = (struct error){0};
	rc = stateblob_open_file(copy, file_len, keys, &plain, &len, &error);
	if (!rc) {
		assert_int_equal(len, sizeof(text));
		assert_memory_equal(plain, text, len);
	} else {
		assert_null(plain);
		assert_true(error.text[0]);
	}
	stateblob_free(plain, len);
	free(copy);
	return rc;
}

static int open_file(const struct stateblob_key *key)
{
	return open_blob(&(struct stateblob_keys){.file = *key});
}

static void plain_files(void **state)
{
	struct stateblob_key none = {.len = 0}, some = key_of(16);
	size_t whole;

	make_plain();
	assert_int_equal(open_file(&none), 0);
	assert_int_equal(open_file(&some), 0); /* it needs none */
	for (whole = file_len, file_len = 0; file_len < whole; file_len++)
		assert_int_equal(open_file(&none), -EPROTONOSUPPORT);
	file_len = whole + 1;
	assert_int_equal(open_file(&none), -EPROTONOSUPPORT);
	file_len = whole;
	file[15] = 0xff; /* the TLV is longer than the file */
	assert_int_equal(open_file(&none), -EBADMSG);
	make_plain();
	file[11] = 9; /* a tag that is not known */
	assert_int_equal(open_file(&none), -EBADMSG);
	make_plain();
	file[1] = 3; /* for newer ones alone */
	assert_int_equal(open_file(&none), -EPROTONOSUPPORT);
}

static void encrypted_files(void **state)
{
	static const size_t sizes[] = {16, 32};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct stateblob_key key = key_of(sizes[i]), other = key;
		uint8_t pad = (uint8_t)(key.len - sizeof(text) % key.len);

		other.bytes[3] ^= 1;
		make_encrypted(&key, pad, true);
		assert_int_equal(open_file(&key), 0);
		assert_int_equal(open_file(&other), -EBADMSG);
		assert_int_equal(error.cause, CAUSE_BLOB_CORRUPT);
		other.len = key.len == 16 ? 32 : 16;
		assert_int_equal(open_file(&other), -ENOKEY);
		other.len = 0;
		assert_int_equal(open_file(&other), -ENOKEY);
		assert_non_null(strstr(error.text, "--key"));
		for (size_t at = 0; at < file_len; at++) {
			if (at == 4 || at == 5)
				continue; /* a flag that means nothing in a file */
			file[at] ^= 4;
			assert_int_not_equal(open_file(&key), 0);
			file[at] ^= 4;
		}
		make_encrypted(&key, pad, false);
		assert_int_equal(open_file(&key), 0);
		make_encrypted(&key, 0, true);
		assert_int_equal(open_file(&key), -EBADMSG);
		make_encrypted(&key, 0xff, true);
		assert_int_equal(open_file(&key), -EBADMSG);
	}
}

/* `swtpm_ioctl --save`, without and with --migration-key, and beside it --key. */
static void migration_blobs(void **state)
{
	static const size_t sizes[] = {16, 32};
	struct stateblob_keys keys = {0}, none = {0}, other;

	begin(4);
	put_tlv(4, text, 6);
	finish();
	assert_int_equal(open_blob(&none), -EBADMSG); /* nothing of a file inside */
	begin(4);
	put(2, 4);
	put(4, 6 + sizeof(text));
	put_tlv(1, text, sizeof(text));
	finish();
	assert_int_equal(open_blob(&none), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		keys.migration = key_of(sizes[i]);
		begin((uint16_t)(6 | (i ? 0x10 : 0)));
		put_tlv(1, text, sizeof(text));
		encrypt_from(10, &keys.migration, 5,
			     (uint8_t)(sizes[i] - (6 + sizeof(text)) % sizes[i]), true);
		assert_int_equal(open_blob(&keys), 0);
		other = keys;
		other.migration.bytes[0] ^= 1;
		assert_int_equal(open_blob(&other), -EBADMSG);
		assert_int_equal(open_blob(&none), -ENOKEY);
		assert_non_null(strstr(error.text, "--migration-key"));
		other.migration.len = 48 - sizes[i];
		assert_int_equal(open_blob(&other), -ENOKEY);
		while (--file_len)
			assert_int_not_equal(open_blob(&keys), 0);
	}
	keys.file = key_of(16);
	make_encrypted(&keys.file, (uint8_t)(16 - sizeof(text) % 16), true);
	file[5] |= 0x16;
	encrypt_from(10, &keys.migration, 5, (uint8_t)(32 - (file_len - 10) % 32), true);
	assert_int_equal(open_blob(&keys), 0);
	keys.file.len = 0;
	assert_int_equal(open_blob(&keys), -ENOKEY);
	assert_non_null(strstr(error.text, "the --key "));
}

/* What libtpms's states begin with. */
static void kinds(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t len;
		int rc[2]; /* of a TPM 2.0, of a TPM 1.2 */
		const char *says;
	} each[] = {
		{{0, 3, 0xab, 0x36, 0x47, 0x23}, 8, {0, -EMEDIUMTYPE}, "leave --tpm 1.2"},
		{{0, 1, 0xab, 0x36, 0x47, 0x23}, 8, {0, -EMEDIUMTYPE}, "leave --tpm 1.2"},
		{{0, 1, 0, 0x22}, 8, {-EMEDIUMTYPE, 0}, "add --tpm 1.2"},
		{{0, 4, 0x45, 0x63, 0x78, 0x89},
		 8,
		 {-EMEDIUMTYPE, -EMEDIUMTYPE},
		 ".permall"},
		{{0, 1, 0, 1, 1, 2}, 8, {-EMEDIUMTYPE, -EMEDIUMTYPE}, ".permall"},
		{{9, 9, 9, 9, 9, 9}, 8, {0, 0}, ""}, /* libtpms's to say */
		{{0, 3, 0xab}, 3, {0, 0}, ""},
		{{0}, 0, {0, 0}, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(each); i++)
		for (int tpm12 = 0; tpm12 < 2; tpm12++) {
			error = (struct error){0};
			assert_int_equal(stateblob_check(each[i].bytes, each[i].len,
							 tpm12, &error),
					 each[i].rc[tpm12]);
			if (each[i].rc[tpm12])
				assert_non_null(strstr(error.text, each[i].says));
		}
}

static void give_and_take(void **state)
{
	uint8_t *blob = NULL, *plain = NULL;
	size_t len = 0, plain_len = 0, at;

	assert_int_equal(stateblob_give((const uint8_t *)text, sizeof(text), &blob, &len),
			 0);
	assert_int_equal(stateblob_take(blob, len, 0, &plain, &plain_len), 0);
	assert_int_equal(plain_len, sizeof(text));
	assert_memory_equal(plain, text, plain_len);
	stateblob_free(plain, plain_len);
	assert_int_equal(stateblob_take(blob, len, 2, &plain, &plain_len), -ENOKEY);
	for (at = 0; at < 22; at++) { /* header and both TLVs */
		blob[at] ^= 0x80;
		if (!stateblob_take(blob, len, 0, &plain, &plain_len))
			stateblob_free(plain, plain_len); /* flags without meaning */
		else
			assert_null(plain);
		blob[at] ^= 0x80;
	}
	for (at = 0; at < len; at++)
		assert_int_equal(stateblob_take(blob, at, 0, &plain, &plain_len),
				 -EPROTONOSUPPORT);
	blob[5] = 2; /* swtpm's --migration-key */
	assert_int_equal(stateblob_take(blob, len, 0, &plain, &plain_len), -ENOKEY);
	stateblob_free(blob, len);
	begin(4);
	finish();
	assert_int_equal(stateblob_take(file, file_len, 0, &plain, &plain_len), 0);
	assert_null(plain);
	assert_int_equal(plain_len, 0);
}

static int make_key(enum swtpmkey_kind kind, const char *bytes, struct stateblob_key *key)
{
	return swtpmkey_make(kind, (const uint8_t *)bytes, strlen(bytes), key);
}

static void keys(void **state)
{
	struct stateblob_key key = {.len = 16};
	static const uint8_t want[] = {0,    1,	   2,	 3,    4,    0xAB, 6,	 7,
				       0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8};

	assert_int_equal(
		make_key(SWTPMKEY_HEX, "0x0001020304aB0607fffefdfcfbfaf9f8 \n", &key), 0);
	assert_memory_equal(key.bytes, want, 16);
	assert_int_equal(make_key(SWTPMKEY_HEX, "0001020304aB0607fffefdfcfbfaf9f8", &key),
			 0);
	assert_int_equal(make_key(SWTPMKEY_HEX, "0001020304aB0607fffefdfcfbfaf9f", &key),
			 -EINVAL);
	assert_int_equal(
		make_key(SWTPMKEY_HEX, "0001020304aB0607fffefdfcfbfaf9f8a", &key),
		-EINVAL);
	assert_int_equal(make_key(SWTPMKEY_HEX, "0001020304aB0607fffefdfcfbfaf9gg", &key),
			 -EINVAL);
	assert_int_equal(make_key(SWTPMKEY_HEX, "", &key), -EINVAL);
	assert_int_equal(make_key(SWTPMKEY_HEX, "0x", &key), -EINVAL);
	assert_int_equal(make_key(SWTPMKEY_BINARY, "0123456789abcdef", &key), 0);
	assert_int_equal(make_key(SWTPMKEY_BINARY, "0123456789abcde", &key), -EINVAL);
	assert_int_equal(make_key(SWTPMKEY_PBKDF2, "secret", &key), 0);
	assert_int_equal(make_key(SWTPMKEY_SHA512, "", &key), 0);
	/* SHA-512 of nothing: FIPS 180-4's examples */
	assert_memory_equal(key.bytes, "\xcf\x83\xe1\x35\x7e\xef\xb8\xbd", 8);
}

static void key_options(void **state)
{
	static const char *const bad[] = {
		"",
		"file=",
		"mode=aes-cbc",
		"file=/no/such",
		"file=/dev/null,kdf=sha512",
		"pwdfile=/dev/null,format=hex",
		"file=/dev/null,mode=des",
		"file=/dev/null,remove=true",
		"file=/dev/null",
	};
	struct stateblob_key key;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		error = (struct error){0};
		assert_true(swtpmkey_parse("--key", bad[i], &key, &error) < 0);
		assert_non_null(strstr(error.text, "key"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_files),	 cmocka_unit_test(encrypted_files),
		cmocka_unit_test(give_and_take), cmocka_unit_test(keys),
		cmocka_unit_test(key_options),	 cmocka_unit_test(migration_blobs),
		cmocka_unit_test(kinds),
	};

	return cmocka_run_group_tests_name("stateblob", tests, NULL, NULL);
}
