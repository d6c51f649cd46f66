/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/kmsseal.h"

#include <errno.h>
#include <stdlib.h>
#include <openssl/crypto.h>

static int check(struct tpm *t, const struct hostconf *h, const struct approval *state,
		 const uint8_t *object, size_t len, const uint8_t wrap[CRYPT_KEY_SIZE],
		 struct error *e)
{
	uint8_t again[CRYPT_KEY_SIZE] = {0};
	int rc = tpm_unseal(t, h, state, object, len, again, e);

	if (!rc && CRYPTO_memcmp(wrap, again, sizeof(again)))
		rc = error_set(
			e, -EIO, CAUSE_TPM_REFUSED,
			"the host's TPM unsealed something else than it sealed; do not "
			"use it");
	OPENSSL_cleanse(again, sizeof(again));
	return rc;
}

int kmsseal(struct tpm *t, const struct hostconf *h, const struct approval *state,
	    const struct kmskey *k, uint8_t **sealed, size_t *len, struct error *e)
{
	uint8_t policy[APPROVAL_HASH_SIZE], wrap[CRYPT_KEY_SIZE];
	uint8_t *out = malloc(TPM_OBJECT_MAX + k->key_len + KMSKEY_OVERHEAD);
	size_t object = TPM_OBJECT_MAX;
	int rc;

	if (!out || crypt_random(wrap, sizeof(wrap)) ||
	    policykey_policy(h->policy_key, APPROVAL_KMS, h->srk_name, policy) ||
	    hostpolicy_auth_value(policy)) {
		free(out);
		return error_set(
			e, -EIO, CAUSE_RANDOM,
			"there is no good randomness yet, or no memory; try again in "
			"a minute");
	}
	rc = tpm_seal(t, h, policy, wrap, out, &object, e);
	if (!rc && state)
		rc = check(t, h, state, out, object, wrap, e);
	if (!rc && kmskey_encrypt(k, wrap, out + object))
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "OpenSSL could not encrypt the KMS key");
	OPENSSL_cleanse(wrap, sizeof(wrap));
	if (rc) {
		free(out);
		return rc;
	}
	*sealed = out;
	*len = object + k->key_len + KMSKEY_OVERHEAD;
	return 0;
}
