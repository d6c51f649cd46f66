/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Transit engine of HashiCorp Vault and OpenBao, as a KMS: encrypt and decrypt over
 * HTTPS, by their published API.  The key never leaves it.
 *
 * Key id, in host.json: "vault:MOUNT/NAME"; in a slot: "vault:vN:MOUNT/NAME", N the version
 * of the key.  A ciphertext of 32 bytes by a key of type aes256-gcm96 is
 *   "vault:vN:" | base64(nonce[12] | 32 bytes | tag[16])
 * which is what struct kms_wrapped has room for.  AAD ("associated_data") is the vTPM's uuid.
 *
 * The client is known by a token, which it renews each time, or by its certificate (auth method
 * "cert", at its usual path): then it logs in, and revokes the token that it got when it is done.
 * Whoever wants to know how long the host's token lasts has it looked up (struct kms_token).
 */
#ifndef XVTPM_LIB_VAULT_H
#define XVTPM_LIB_VAULT_H

#include "lib/kms.h"

#include <string.h>

#define VAULT_PREFIX	     "vault:"
#define VAULT_KEY_MAX	     100 /* of MOUNT/NAME, with its zero */
#define VAULT_TOKEN_MAX	     512
#define VAULT_CIPHERTEXT_MAX 128

/* Whether a key id, of host.json or of a slot, is one of Vault's. */
static inline bool vault_is_key_id(const char *key_id)
{
	return !strncmp(key_id, VAULT_PREFIX, sizeof(VAULT_PREFIX) - 1);
}
/* Whether this can be MOUNT/NAME: parts of letters, digits, "_", "-" and ".", none of dots
 * alone. */
bool vault_key_ok(const char *key);

/* key: MOUNT/NAME.  -EBADMSG: it is no ciphertext of 32 bytes */
int __must_check vault_ciphertext_parse(const char *text, const char *key,
					struct kms_wrapped *w);
/* -EBADMSG: w is not of that key */
int __must_check vault_ciphertext_print(const struct kms_wrapped *w, const char *key,
					char out[VAULT_CIPHERTEXT_MAX]);

/* What is to be done at one address: lib/kms.h has what each promises. */
struct vault_exchange {
	const uint8_t *aad;
	size_t aad_len;
	struct kms_wrapped *wrapped;
	const uint8_t *plain; /* to encrypt */
	uint8_t *secret;      /* that was decrypted */
	bool encrypts;
};

/* At c's only address, the nth one that the stream knows. */
int __must_check vault_exchange_at(const struct kms_config *c, const struct kms_stream *s,
				   unsigned int nth, const struct vault_exchange *x,
				   struct error *e);

#endif
