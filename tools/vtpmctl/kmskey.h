/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This host's identity at the KMS: CA, client certificate and its private key as
 * the operator gives them in files, and the key's sealed form (include/channel.h):
 * encrypted under a random key that the caller seals into the TPM.
 */
#ifndef XVTPM_KMSKEY_H
#define XVTPM_KMSKEY_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include "lib/crypt.h"
#include "lib/error.h"

#define KMSKEY_OVERHEAD (CRYPT_IV_SIZE + 2 + CRYPT_TAG_SIZE)

struct kmskey {
	char *ca_pem, *cert_pem; /* as in the files */
	char *key_pem;		 /* PKCS#8, whatever form the file had */
	size_t key_len;
};

/* Reads the files and checks that they fit together: the CA file holds a certificate,
 * the key is the certificate's, and that is valid now.  ca may be NULL, and cert and
 * key both may: what they would fill stays NULL. */
int __must_check kmskey_load(struct kmskey *k, const char *ca, const char *cert,
			     const char *key, struct error *e);
/* Wipes and frees. */
void kmskey_free(struct kmskey *k);

/* iv | u16 n | n bytes | tag under wrap_key; out has room for
 * k->key_len + KMSKEY_OVERHEAD. */
int __must_check kmskey_encrypt(const struct kmskey *k,
				const uint8_t wrap_key[CRYPT_KEY_SIZE], uint8_t *out);
/* The reverse; plain has room for len bytes. -EBADMSG. */
int __must_check kmskey_decrypt(const uint8_t wrap_key[CRYPT_KEY_SIZE], const uint8_t *in,
				size_t len, uint8_t *plain, size_t *plain_len);

/* What `host show` says of the certificate.  *subject is malloc()ed, RFC 2253. */
int __must_check kmskey_describe(const char *cert_pem, char **subject, time_t *expires);

#endif
