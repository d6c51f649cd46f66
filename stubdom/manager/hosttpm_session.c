/* SPDX-License-Identifier: Apache-2.0 */
#include "hosttpm_session.h"

#include <errno.h>
#include <string.h>
#include <openssl/crypto.h>

int hosttpm_session_salt(struct hosttpm_session *s, const struct hosttpm_point *srk,
			 struct hosttpm_point *point)
{
	int rc;

	memset(s, 0, sizeof(*s));
	rc = hosttpm_session_next(s);
	return rc ? rc : hosttpm_crypt_salt(srk, point, s->value);
}

/* Part 1, 19.6.8: sessionKey = KDFa(bind authValue || salt, "ATH", ...) */
int hosttpm_session_begin(struct hosttpm_session *s, uint32_t handle,
			  const uint8_t nonce[HOSTTPM_NONCE_SIZE])
{
	const struct crypt_part theirs = {s->theirs, sizeof(s->theirs)};
	const struct crypt_part ours = {s->ours, sizeof(s->ours)};
	uint8_t salt[CRYPT_HASH_SIZE];
	int rc;

	s->handle = handle;
	memcpy(s->theirs, nonce, sizeof(s->theirs));
	memcpy(salt, s->value, sizeof(salt));
	rc = hosttpm_crypt_kdfa(salt, sizeof(salt), "ATH", &theirs, &ours, s->value);
	OPENSSL_cleanse(salt, sizeof(salt));
	s->value_len = s->hmac_len = CRYPT_HASH_SIZE;
	return rc;
}

void hosttpm_session_auth(struct hosttpm_session *s, const uint8_t *auth, size_t len,
			  bool in_hmac)
{
	/* Part 1, 19.6.4.3: trailing zeroes of an authValue are removed */
	while (len && !auth[len - 1])
		len--;
	if (len > HOSTTPM_AUTH_SIZE)
		len = HOSTTPM_AUTH_SIZE;
	if (len)
		memcpy(s->value + CRYPT_HASH_SIZE, auth, len);
	s->value_len = CRYPT_HASH_SIZE + len;
	s->hmac_len = in_hmac ? s->value_len : CRYPT_HASH_SIZE;
}

int hosttpm_session_next(struct hosttpm_session *s)
{
	return crypt_random(s->ours, sizeof(s->ours));
}

/* nonceNewer and nonceOlder: a command's newer nonce is ours. */
static void nonces(const struct hosttpm_session *s, bool command,
		   struct crypt_part order[2])
{
	order[!command] = (struct crypt_part){s->ours, sizeof(s->ours)};
	order[command] = (struct crypt_part){s->theirs, sizeof(s->theirs)};
}

int hosttpm_session_crypt(const struct hosttpm_session *s, bool command, uint8_t *buf,
			  size_t len)
{
	struct crypt_part order[2];
	uint8_t keys[CRYPT_HASH_SIZE];
	int rc;

	nonces(s, command, order);
	rc = hosttpm_crypt_kdfa(s->value, s->value_len, "CFB", &order[0], &order[1],
				keys);
	if (!rc)
		rc = hosttpm_crypt_cfb(keys, command, buf, len);
	OPENSSL_cleanse(keys, sizeof(keys));
	return rc;
}

int hosttpm_session_hmac(const struct hosttpm_session *s, bool command,
			 const uint8_t hash[CRYPT_HASH_SIZE], uint8_t attributes,
			 uint8_t out[CRYPT_HASH_SIZE])
{
	struct crypt_part parts[4] = {
		{hash, CRYPT_HASH_SIZE},
		[3] = {&attributes, 1},
	};

	nonces(s, command, parts + 1);
	return crypt_hmac(s->value, s->hmac_len, parts, ARRAY_SIZE(parts), out);
}

int hosttpm_session_answer(struct hosttpm_session *s,
			   const uint8_t nonce[HOSTTPM_NONCE_SIZE],
			   const uint8_t rphash[CRYPT_HASH_SIZE], uint8_t attributes,
			   const uint8_t hmac[CRYPT_HASH_SIZE])
{
	uint8_t want[CRYPT_HASH_SIZE];
	int rc;

	if (!memcmp(nonce, s->theirs, HOSTTPM_NONCE_SIZE))
		return -EBADMSG;
	memcpy(s->theirs, nonce, HOSTTPM_NONCE_SIZE);
	rc = hosttpm_session_hmac(s, false, rphash, attributes, want);
	if (!rc && CRYPTO_memcmp(want, hmac, sizeof(want)))
		rc = -EBADMSG;
	OPENSSL_cleanse(want, sizeof(want));
	return rc;
}

void hosttpm_session_wipe(struct hosttpm_session *s)
{
	OPENSSL_cleanse(s, sizeof(*s));
}
