/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tpm2/duplicate.h"
#include "lib/tpm2/public.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#define SEED_SIZE CRYPT_HASH_SIZE
/* TPM2B_SENSITIVE: size | type | authValue, empty | seedValue | the secret */
#define SENSITIVE_SIZE (2 + 2 + 2 + 2 + SEED_SIZE + 2 + TPM2_DUPLICATE_SECRET)

/* KDFa without contextV (Part 1, 11.4.10.2); bits: of the key, at most 256. */
static int derive_duplicate(const uint8_t seed[CRYPT_HASH_SIZE], const char *label,
			    struct crypt_part context, uint8_t bits_high,
			    uint8_t bits_low, uint8_t out[CRYPT_HASH_SIZE])
{
	static const uint8_t counter[4] = {0, 0, 0, 1};
	const uint8_t bits[4] = {0, 0, bits_high, bits_low};
	const struct crypt_part parts[] = {{counter, sizeof(counter)},
					   {label, strlen(label) + 1},
					   context,
					   {bits, sizeof(bits)}};

	return crypt_hmac(seed, CRYPT_HASH_SIZE, parts, ARRAY_SIZE(parts), out);
}

/* Part 1, 23.3.2.2 and .3: encrypts the sensitive part in place, and its integrity value. */
static int wrap_sensitive(const uint8_t seed[CRYPT_HASH_SIZE],
			  const uint8_t name[TPM2_NAME_SIZE],
			  uint8_t sensitive[SENSITIVE_SIZE],
			  uint8_t integrity[CRYPT_HASH_SIZE])
{
	const struct crypt_part of = {name, TPM2_NAME_SIZE}, none = {NULL, 0};
	const struct crypt_part parts[] = {{sensitive, SENSITIVE_SIZE}, of};
	uint8_t keys[32] = {0}, key[CRYPT_HASH_SIZE];
	int rc = derive_duplicate(seed, "STORAGE", of, 0, 128, key);

	if (!rc) {
		memcpy(keys, key, 16); /* and the IV is zero */
		rc = tpm2_crypt_cfb(keys, true, sensitive, SENSITIVE_SIZE);
	}
	if (!rc)
		rc = derive_duplicate(seed, "INTEGRITY", none, 1, 0, key);
	if (!rc)
		rc = crypt_hmac(key, sizeof(key), parts, ARRAY_SIZE(parts), integrity);
	OPENSSL_cleanse(keys, sizeof(keys));
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

/* Part 2, 12.3.2.4: TPM2B_SENSITIVE */
static void put_sensitive(uint8_t out[SENSITIVE_SIZE],
			  const uint8_t seed_value[SEED_SIZE],
			  const uint8_t secret[TPM2_DUPLICATE_SECRET])
{
	struct cursor w = cursor_writer(out, SENSITIVE_SIZE);

	cursor_put_u16(&w, SENSITIVE_SIZE - 2);
	cursor_put_u16(&w, TPM2_ALG_KEYEDHASH);
	cursor_put_u16(&w, 0);
	tpm2_put_2b(&w, (struct tpm2_bytes){seed_value, SEED_SIZE});
	tpm2_put_2b(&w, (struct tpm2_bytes){secret, TPM2_DUPLICATE_SECRET});
}

int tpm2_duplicate_make(const struct tpm2_point *parent, const struct tpm2_template *t,
			const uint8_t secret[TPM2_DUPLICATE_SECRET], struct cursor *out)
{
	uint8_t seed_value[SEED_SIZE], unique[CRYPT_HASH_SIZE], name[TPM2_NAME_SIZE];
	uint8_t seed[CRYPT_HASH_SIZE], integrity[CRYPT_HASH_SIZE];
	uint8_t sensitive[SENSITIVE_SIZE], public[256];
	/* Part 1, 27.5.3.2: unique = H(seedValue || secret) */
	const struct crypt_part of[] = {{seed_value, SEED_SIZE},
					{secret, TPM2_DUPLICATE_SECRET}};
	struct cursor w = cursor_writer(public, sizeof(public));
	struct tpm2_template whole = *t;
	struct tpm2_point point;
	size_t mark, inner;
	int rc = crypt_random(seed_value, sizeof(seed_value));

	if (!rc)
		rc = crypt_sha256(of, ARRAY_SIZE(of), unique);
	if (rc)
		goto out;
	whole.x = (struct tpm2_bytes){unique, sizeof(unique)};
	tpm2_put_template(&w, &whole);
	rc = cursor_ok(&w) ? tpm2_name((struct tpm2_bytes){public, w.pos}, name) : -EIO;
	if (!rc)
		rc = tpm2_make_secret(parent, "DUPLICATE", &point, seed);
	put_sensitive(sensitive, seed_value, secret);
	if (!rc)
		rc = wrap_sensitive(seed, name, sensitive, integrity);
	if (rc)
		goto out;
	tpm2_put_2b(out, (struct tpm2_bytes){public, w.pos});
	mark = cursor_mark_u16(out);
	tpm2_put_2b(out, (struct tpm2_bytes){integrity, sizeof(integrity)});
	cursor_put(out, sensitive, sizeof(sensitive));
	cursor_patch_u16(out, mark);
	inner = cursor_mark_u16(out);
	tpm2_put_2b(out, (struct tpm2_bytes){point.x, sizeof(point.x)});
	tpm2_put_2b(out, (struct tpm2_bytes){point.y, sizeof(point.y)});
	cursor_patch_u16(out, inner);
out:
	OPENSSL_cleanse(seed_value, sizeof(seed_value));
	OPENSSL_cleanse(seed, sizeof(seed));
	OPENSSL_cleanse(sensitive, sizeof(sensitive));
	return rc ? -EIO : 0;
}

int tpm2_duplicate_parse(struct tpm2_bytes object, struct tpm2_duplicate *d)
{
	struct cursor c = cursor_reader(object.p, object.n);

	d->public = tpm2_get_2b(&c);
	d->duplicate = tpm2_get_2b(&c);
	d->seed = tpm2_get_2b(&c);
	return cursor_done(&c) && d->public.n && d->duplicate.n && d->seed.n ? 0
									     : -EBADMSG;
}

/* A coordinate, without leading zeroes perhaps. */
static bool take_storage_coordinate(struct tpm2_bytes b, uint8_t out[TPM2_ECC_SIZE])
{
	memset(out, 0, TPM2_ECC_SIZE);
	if (b.n > TPM2_ECC_SIZE)
		return false;
	memcpy(out + TPM2_ECC_SIZE - b.n, b.p, b.n);
	return true;
}

int tpm2_storage_point(struct tpm2_bytes public, struct tpm2_point *p)
{
	struct tpm2_public k;

	return !tpm2_public_parse(public.p, public.n, &k) && k.type == TPM2_ALG_ECC &&
			       k.name_alg == TPM2_ALG_SHA256 &&
			       k.size == TPM2_ECC_NIST_P256 &&
			       k.scheme == TPM2_ALG_NULL &&
			       take_storage_coordinate(k.x, p->x) &&
			       take_storage_coordinate(k.y, p->y)
		       ? 0
		       : -EBADMSG;
}
