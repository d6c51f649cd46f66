/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of endorsement keys, against the CAs of a policy. */
#ifndef VERIFY_CHAIN_H
#define VERIFY_CHAIN_H

#include <time.h>
#include <openssl/x509.h>
#include "tools/vtpm-verify/public.h"

/* All certificates of a PEM text: each is trusted.  NULL: there is none, or one does not
 * parse. */
X509_STORE *chain_store(const char *pem);
/* Takes in the revocation lists (RFC 5280, 5) of a file, PEM, any number, or DER.  From then
 * on a certificate is good only with one of its CA, and of each CA above it.  -EBADMSG:
 * there is none, or one does not parse. */
int __must_check chain_add_crls(X509_STORE *store, const uint8_t *bytes, size_t len);
/*
 * 0, or one sentence's half in *why and
 *   -EBADMSG     no certificate
 *   -EKEYREJECTED of another key, or not for an endorsement key
 *   -EKEYEXPIRED  expired, or not valid yet, at that time
 *   -ENOKEY       no CA of the store has issued it
 *   -EKEYREVOKED  it, or a CA above it, is on a revocation list
 *   -ENODATA      there are revocation lists, and none of that CA that is good at that time
 */
int __must_check chain_check(X509_STORE *store, time_t at, const uint8_t *der, size_t len,
			     const struct public *key, const char **why);

#endif
