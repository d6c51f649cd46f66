/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KMS: KMIP 1.4 Encrypt and Decrypt (AES-256-GCM, 12-byte IV of our own,
 * 16-byte tag, AAD) inside TLS 1.2+ with client certificate, over any stream.
 * The KMS's key never leaves it; unless the KMS is one that encrypts nothing, and only gives
 * keys out (KMIP Get): kms_derive(), and then whoever runs it has had that key.  Before each Encrypt, Get Attributes: it has to be an active
 * AES key of 256 bits, which may encrypt and decrypt.  Used by the manager (stream: the tunnel
 * through vtpmd) and by `vtpmctl host init` (stream: a socket).
 */
#ifndef XVTPM_KMS_H
#define XVTPM_KMS_H

#include "include/compiler.h"
#include "lib/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KMS_SECRET_SIZE 32
#define KMS_IV_SIZE	12
#define KMS_TAG_SIZE	16

/* A byte stream to the KMS; every call blocks. */
struct kms_stream {
	void *ctx;
	/* Connects to the nth address; 0 or -errno (-ECONNREFUSED, ...) */
	int (*open)(void *ctx, unsigned int nth);
	int (*send)(void *ctx, const uint8_t *buf, size_t len);
	int (*recv)(void *ctx, uint8_t *buf, size_t room); /* bytes, 0: end */
	void (*close)(void *ctx);
};

/* How long a token of Vault's lasts. */
struct kms_token {
	int64_t left_s;	 /* when it was used; 0: it has no end, or that is not known */
	int64_t used_ms; /* when that was, by CLOCK_MONOTONIC */
};

struct kms_config {
	/* host:port, or several (lib/text.h); host is what the certificate must
	 * name */
	const char *address;
	const char *ca_pem;
	const char *cert_pem; /* NULL: none, and key_pem is a token of Vault's */
	const char *key_pem;  /* PKCS#8; the caller wipes it */
	const char *key_id;   /* KMIP Unique Identifier; or of Vault, lib/vault.h */
	/* NULL; or is set when a token of Vault's was used that it tells the end of */
	struct kms_token *token;
};

struct kms_wrapped {
	char key_id[128];
	uint8_t iv[KMS_IV_SIZE];
	uint8_t ct[KMS_SECRET_SIZE];
	uint8_t tag[KMS_TAG_SIZE];
};

/* What leads to a secret that is derived of the KMS's key:
 *   secret = HKDF-SHA256(key, salt nonce, info KMS_DERIVE_LABEL | context)
 *   check = the first bytes of HKDF-SHA256(key, salt nonce, info KMS_CHECK_LABEL | context)
 * It tells, before the secret is used, that the KMS gave the same key. */
#define KMS_NONCE_SIZE	 32
#define KMS_CHECK_SIZE	 16
#define KMS_CONTEXT_MAX	 64
#define KMS_DERIVE_LABEL "xen-vtpm kms get"
#define KMS_CHECK_LABEL	 "xen-vtpm kms get check"

struct kms_derived {
	char key_id[128];
	uint8_t nonce[KMS_NONCE_SIZE];
	uint8_t check[KMS_CHECK_SIZE];
};

/* Each call connects, does its one exchange, and closes.  On failure *e says
 * which of CAUSE_KMS_* it is and what the KMS answered.
 *
 * The addresses are tried in order.  The next one's turn comes when one cannot be
 * reached or gives no answer, and never when it answered: a server that shows a
 * wrong certificate may be an attacker's, and one that refuses the key may be the
 * only one that knows yet that it was revoked.  Both exchanges leave no object
 * at the KMS and may be repeated. */
int __must_check kms_wrap(const struct kms_config *c, const struct kms_stream *s,
			  const uint8_t *aad, size_t aad_len,
			  const uint8_t secret[KMS_SECRET_SIZE], struct kms_wrapped *out,
			  struct error *e);
int __must_check kms_unwrap(const struct kms_config *c, const struct kms_stream *s,
			    const uint8_t *aad, size_t aad_len,
			    const struct kms_wrapped *in, uint8_t secret[KMS_SECRET_SIZE],
			    struct error *e);
/* Has the key given out, derives the secret of it, and forgets the key.  is_new: d is made,
 * of the configured key; else what it says is followed. */
int __must_check kms_derive(const struct kms_config *c, const struct kms_stream *s,
			    const uint8_t *context, size_t context_len, bool is_new,
			    struct kms_derived *d, uint8_t secret[KMS_SECRET_SIZE],
			    struct error *e);
/* Whether the KMS answers, and has the key, for kms_derive(): it is asked what the key is,
 * and not for the key. */
int __must_check kms_probe(const struct kms_config *c, const struct kms_stream *s,
			   struct error *e);

#endif
