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
/*
 * 0, or one sentence's half in *why and
 *   -EBADMSG     no certificate
 *   -EKEYREJECTED of another key, or not for an endorsement key
 *   -EKEYEXPIRED  expired, or not valid yet, at that time
 *   -ENOKEY       no CA of the store has issued it
 */
int __must_check chain_check(X509_STORE *store, time_t at, const uint8_t *der, size_t len,
			     const struct public *key, const char **why);

#endif
