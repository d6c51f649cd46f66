/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/stateblob.h"
#include "lib/crypt.h"
#include "lib/cursor.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define BLOB_VERSION   2
#define BLOB_HEAD_SIZE 10
#define BLOB_TLV_SIZE  6
#define BLOB_HMAC_SIZE 32

enum blob_tag {
	BLOB_TAG_DATA = 1,
	BLOB_TAG_ENCRYPTED = 2,
	BLOB_TAG_HMAC = 3,
	BLOB_TAG_MIGRATION = 4,
	BLOB_TAG_MIGRATION_ENCRYPTED = 5,
	BLOB_TAG_IVEC = 6,
	BLOB_TAG_MIGRATION_IVEC = 7,
};

enum blob_flag {
	BLOB_ENCRYPTED = 1 << 0,
	BLOB_MIGRATION_ENCRYPTED = 1 << 1,
	BLOB_MIGRATION = 1 << 2,
	BLOB_KEY_256 = 1 << 3,
	BLOB_MIGRATION_KEY_256 = 1 << 4,
};

/* One of swtpm's two layers of encryption. */
struct blob_layer {
	enum blob_tag data, iv;
	uint16_t key_256; /* the flag of a key of 256 bits */
	const char *option;
};

static const struct blob_layer file_layer = {BLOB_TAG_ENCRYPTED, BLOB_TAG_IVEC,
					     BLOB_KEY_256, "--key"};
static const struct blob_layer migration_layer = {
	BLOB_TAG_MIGRATION_ENCRYPTED, BLOB_TAG_MIGRATION_IVEC, BLOB_MIGRATION_KEY_256,
	"--migration-key"};

#define STATE_FLAG_ENCRYPTED 2 /* PTM_STATE_FLAG_ENCRYPTED */

void stateblob_free(uint8_t *bytes, size_t len)
{
	if (bytes)
		OPENSSL_cleanse(bytes, len);
	free(bytes);
}

/* Reads the header; *c is behind it.  -EPROTONOSUPPORT */
static int read_blob_header(struct cursor *c, uint16_t *flags)
{
	uint8_t version = cursor_u8(c), least = cursor_u8(c);
	uint16_t size = cursor_u16(c);
	uint32_t total;

	*flags = cursor_u16(c);
	total = cursor_u32(c);
	if (!cursor_ok(c) || version != BLOB_VERSION || least > BLOB_VERSION ||
	    size != BLOB_HEAD_SIZE || total != c->len)
		return -EPROTONOSUPPORT;
	return 0;
}

/* A reader over the value of the first TLV of that tag.  false: there is none. */
static bool find_tag(struct cursor c, enum blob_tag tag, struct cursor *value)
{
	while (cursor_ok(&c) && cursor_left(&c)) {
		uint16_t t = cursor_u16(&c);
		uint32_t len = cursor_u32(&c);

		*value = cursor_sub(&c, len);
		if (cursor_ok(&c) && t == tag)
			return true;
	}
	return false;
}

static int copy_plain(struct cursor *value, uint8_t **plain, size_t *len)
{
	size_t n = cursor_left(value);

	*plain = malloc(n ? n : 1);
	if (!*plain)
		return -ENOMEM;
	cursor_copy(value, *plain, n);
	*len = n;
	return 0;
}

/* swtpm pads to the key's size, with bytes of the padding's length. */
static int strip_padding(const uint8_t *plain, size_t *len, size_t block)
{
	size_t pad = *len ? plain[*len - 1] : 0;

	if (!pad || pad > block || pad > *len)
		return -EBADMSG;
	for (size_t i = 1; i <= pad; i++)
		if (plain[*len - i] != pad)
			return -EBADMSG;
	*len -= pad;
	return 0;
}

static int decrypt_cbc(const struct stateblob_key *key, const uint8_t *iv,
		       const uint8_t *in, size_t len, uint8_t *out)
{
	const EVP_CIPHER *cipher = key->len == 32 ? EVP_aes_256_cbc() : EVP_aes_128_cbc();
	EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
	int n = 0, rest = 0;
	bool ok = x && EVP_DecryptInit_ex(x, cipher, NULL, key->bytes, iv) == 1 &&
		  EVP_CIPHER_CTX_set_padding(x, 0) == 1 &&
		  EVP_DecryptUpdate(x, out, &n, in, (int)len) == 1 &&
		  EVP_DecryptFinal_ex(x, out + n, &rest) == 1 &&
		  (size_t)n + (size_t)rest == len;

	EVP_CIPHER_CTX_free(x);
	return ok ? 0 : -EIO;
}

static int check_mac(const struct stateblob_key *key, const struct crypt_part parts[2],
		     struct cursor mac)
{
	uint8_t want[BLOB_HMAC_SIZE];
	const uint8_t *got = cursor_bytes(&mac, sizeof(want));
	int rc = crypt_hmac(key->bytes, key->len, parts, 2, want);

	if (!rc && (!got || CRYPTO_memcmp(want, got, sizeof(want))))
		rc = -EBADMSG;
	return rc;
}

/* Checks the HMAC first, as swtpm made it last. */
static int decrypt_blob(const struct cursor *tlvs, const struct blob_layer *layer,
			const struct stateblob_key *key, uint8_t **plain, size_t *len)
{
	static const uint8_t zero[32];
	struct cursor data, mac, iv;
	struct crypt_part parts[2] = {{NULL, 0}, {NULL, 0}};
	int rc;
	size_t n;

	if (!find_tag(*tlvs, layer->data, &data) || !find_tag(*tlvs, BLOB_TAG_HMAC, &mac))
		return -EBADMSG;
	n = cursor_left(&data);
	parts[0] = (struct crypt_part){cursor_bytes(&data, n), n};
	if (find_tag(*tlvs, layer->iv, &iv))
		parts[1] = (struct crypt_part){cursor_bytes(&iv, key->len), key->len};
	if (!n || n % 16 || n > INT_MAX || (parts[1].n && !parts[1].p))
		return -EBADMSG;
	rc = check_mac(key, parts, mac);
	if (rc)
		return rc;
	*plain = malloc(n);
	if (!*plain)
		return -ENOMEM;
	rc = decrypt_cbc(key, parts[1].p ? parts[1].p : zero, parts[0].p, n, *plain);
	*len = n;
	if (!rc)
		rc = strip_padding(*plain, len, key->len);
	if (rc) {
		stateblob_free(*plain, n);
		*plain = NULL;
	}
	return rc;
}

static int say_blob(struct error *e, int rc)
{
	switch (rc) {
	case -EPROTONOSUPPORT:
		return error_set(e, rc, CAUSE_VERSION,
				 "this is no state of swtpm 0.3 or newer: name its "
				 "tpm2-00.permall; one of an older swtpm is written anew "
				 "when a newer one has run on it");
	case -EBADMSG:
		return error_set(
			e, rc, CAUSE_BLOB_CORRUPT,
			"the state does not open: the key is another one (or is "
			"derived in another way: kdf=pbkdf2 or kdf=sha512), or the "
			"file was changed; nothing was made of it");
	case -EIO:
		return error_crypto(e, rc, "AES-CBC");
	default:
		return error_set(e, rc, CAUSE_INTERNAL, "%s", strerror(-rc));
	}
}

/* What is inside of a layer. */
static int open_layer(const struct cursor *tlvs, uint16_t flags,
		      const struct blob_layer *layer, const struct stateblob_key *key,
		      uint8_t **plain, size_t *len, struct error *e)
{
	if (key->len == (flags & layer->key_256 ? 32 : 16))
		return decrypt_blob(tlvs, layer, key, plain, len);
	return error_set(
		e, -ENOKEY, CAUSE_NOT_CONFIGURED,
		"the state is encrypted: give the %s that swtpm had, of the same "
		"size (mode=aes-cbc or aes-256-cbc)",
		layer->option);
}

static int copy_tag(const struct cursor *tlvs, enum blob_tag tag, uint8_t **plain,
		    size_t *len)
{
	struct cursor value;

	return find_tag(*tlvs, tag, &value) ? copy_plain(&value, plain, len) : -EBADMSG;
}

int stateblob_open_file(const uint8_t *file, size_t len,
			const struct stateblob_keys *keys, uint8_t **plain,
			size_t *plain_len, struct error *e)
{
	struct cursor c = cursor_reader(file, len);
	uint8_t *inner = NULL;
	size_t inner_len = 0;
	uint16_t flags;
	int rc = read_blob_header(&c, &flags);

	*plain = NULL;
	if (!rc && flags & BLOB_MIGRATION_ENCRYPTED)
		rc = open_layer(&c, flags, &migration_layer, &keys->migration, &inner,
				&inner_len, e);
	else if (!rc && flags & BLOB_MIGRATION)
		rc = copy_tag(&c, BLOB_TAG_MIGRATION, &inner, &inner_len);
	if (inner)
		c = cursor_reader(inner, inner_len);
	if (!rc && flags & BLOB_ENCRYPTED)
		rc = open_layer(&c, flags, &file_layer, &keys->file, plain, plain_len, e);
	else if (!rc)
		rc = copy_tag(&c, BLOB_TAG_DATA, plain, plain_len);
	stateblob_free(inner, inner_len);
	return rc ? say_blob(e, rc) : 0;
}

/* The first bytes of what libtpms writes: of a TPM 2.0 version and magic number, of a TPM 1.2
 * a tag, and in the permanent state the tag of TPM_PERMANENT_DATA behind it. */
#define STATE_PERMANENT_20 0xAB364723u
#define STATE_VOLATILE_20  0x45637889u
#define STATE_TAG_12	   0x0001
#define STATE_PERMANENT_12 0x0022

int stateblob_check(const uint8_t *plain, size_t len, bool tpm12, struct error *e)
{
	struct cursor c = cursor_reader(plain, len);
	uint16_t tag = cursor_u16(&c);
	uint32_t magic = cursor_u32(&c);
	bool is_12 = tag == STATE_TAG_12 && magic >> 16 == STATE_PERMANENT_12;
	bool is_20 = magic == STATE_PERMANENT_20;

	if (!cursor_ok(&c) || (is_20 && !tpm12) || (is_12 && tpm12))
		return 0;
	if (is_20 || is_12)
		return error_set(
			e, -EMEDIUMTYPE, CAUSE_ENGINE,
			"this is the state of a TPM %s: %s, and import it again; "
			"nothing was made of it",
			is_12 ? "1.2" : "2.0",
			is_12 ? "add --tpm 1.2" : "leave --tpm 1.2 out");
	if (magic == STATE_VOLATILE_20 || tag == STATE_TAG_12)
		return error_set(
			e, -EMEDIUMTYPE, CAUSE_ENGINE,
			"this is a volatile state, which has the PCRs of a guest "
			"that ran and no keys: name the file beside it that ends "
			"in .permall; nothing was made of it");
	return 0;
}

int stateblob_take(const uint8_t *blob, size_t len, uint32_t state_flags, uint8_t **plain,
		   size_t *plain_len)
{
	struct cursor c = cursor_reader(blob, len), inner, value;
	uint16_t flags;
	int rc = read_blob_header(&c, &flags);

	*plain = NULL;
	*plain_len = 0;
	if (rc)
		return rc;
	if (!cursor_left(&c)) /* an empty state */
		return 0;
	if (flags & (BLOB_ENCRYPTED | BLOB_MIGRATION_ENCRYPTED) ||
	    state_flags & STATE_FLAG_ENCRYPTED)
		return -ENOKEY;
	if (!find_tag(c, BLOB_TAG_MIGRATION, &inner) ||
	    !find_tag(inner, BLOB_TAG_DATA, &value))
		return -EBADMSG;
	return copy_plain(&value, plain, plain_len);
}

int stateblob_give(const uint8_t *plain, size_t plain_len, uint8_t **blob, size_t *len)
{
	size_t total = BLOB_HEAD_SIZE + 2 * BLOB_TLV_SIZE + plain_len;
	uint8_t *out = malloc(total);
	struct cursor w = cursor_writer(out, out ? total : 0);

	cursor_put_u8(&w, BLOB_VERSION);
	cursor_put_u8(&w, 1);
	cursor_put_u16(&w, BLOB_HEAD_SIZE);
	cursor_put_u16(&w, BLOB_MIGRATION);
	cursor_put_u32(&w, (uint32_t)total);
	cursor_put_u16(&w, BLOB_TAG_MIGRATION);
	cursor_put_u32(&w, (uint32_t)(BLOB_TLV_SIZE + plain_len));
	cursor_put_u16(&w, BLOB_TAG_DATA);
	cursor_put_u32(&w, (uint32_t)plain_len);
	cursor_put(&w, plain, plain_len);
	if (!cursor_ok(&w)) {
		free(out);
		return -ENOMEM;
	}
	*blob = out;
	*len = total;
	return 0;
}
