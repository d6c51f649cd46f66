/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local CA, a folder (CA_FOLDER, 0700) that vtpmctl alone reads:
 *
 *   ca.json     {"version": 1, "key": where the key is (ca.h), "days": of certificates}
 *   ca.pem      the CA's certificate
 *   chain.pem   it, and the root's when that is another one: what verifiers need
 *   key.pem     the key, unless it is in a token
 */
#ifndef XVTPM_CA_H
#define XVTPM_CA_H

#include "include/compiler.h"
#include "lib/error.h"
#include "tools/vtpmctl/x509.h"

#include <openssl/evp.h>
#include <stdbool.h>

#define CA_FOLDER "/etc/xen-vtpm/ca"
#define CA_DAYS	  3650

#define CA_FOLDER_OPTION(type)                                                     \
	{                                                                          \
		.name = "ca", .kind = ARGS_TEXT, .offset = offsetof(type, folder), \
		.value = "DIR", .help = "the CA's folder, " CA_FOLDER              \
	}

struct ca {
	X509 *cert;
	EVP_PKEY *key; /* NULL: was not asked for */
	char *where;
	unsigned int days;
};

/* -ENOENT (CAUSE_NOT_CONFIGURED): there is no CA.  with_key: to issue, not only to look. */
int __must_check ca_open(struct ca *ca, const char *folder, const char *tcti,
			 bool with_key, struct error *e);
void ca_close(struct ca *ca);
/* Whether there is one. */
bool ca_is_there(const char *folder);

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

/* The key of a token. */
int __must_check cakey_token(const char *uri, EVP_PKEY **key, struct error *e);

#endif
