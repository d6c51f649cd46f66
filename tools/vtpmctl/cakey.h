/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private key of the local CA, in one of three places, by a word:
 *
 *   file          key.pem in the CA's folder, mode 0600; P-384
 *   tpm           the host's TPM: key.pem is a TSS2 PRIVATE KEY, which that TPM alone can
 *                 use, under its owner's storage key (OpenSSL's provider "tpm2", package
 *                 tpm2-openssl); P-256
 *   pkcs11:URI    a key that is in the token already (RFC 7512; OpenSSL's engine "pkcs11",
 *                 package libengine-pkcs11-openssl)
 */
#ifndef XVTPM_CAKEY_H
#define XVTPM_CAKEY_H

#include <openssl/evp.h>
#include "compiler.h"
#include "lib/error.h"

/* Makes the key, or, of a token, takes it.  tcti: the host's TPM, as tpm2-tss names it. */
int __must_check cakey_make(const char *where, const char *folder, const char *tcti,
			    EVP_PKEY **key, struct error *e);
int __must_check cakey_load(const char *where, const char *folder, const char *tcti,
			    EVP_PKEY **key, struct error *e);
/* The key of a token. */
int __must_check cakey_token(const char *uri, EVP_PKEY **key, struct error *e);
/* A private key into a new file of mode 0600. */
int __must_check cakey_save(EVP_PKEY *key, const char *path, struct error *e);

#endif
