/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KMS: KMIP 1.4 Encrypt and Decrypt (AES-256-GCM, 12-byte IV of our own,
 * 16-byte tag, AAD) inside TLS 1.2+ with client certificate, over any stream.
 * The KMS's key never leaves it.  Before each Encrypt, Get Attributes: it has to be an active
 * AES key of 256 bits, which may encrypt and decrypt.  Used by the manager (stream: the tunnel
 * through vtpmd) and by `vtpmctl host init` (stream: a socket).
 */
#ifndef XVTPM_KMS_H
#define XVTPM_KMS_H

#include "include/compiler.h"
#include "lib/error.h"

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

struct kms_config {
	/* host:port, or several (lib/text.h); host is what the certificate must
	 * name */
	const char *address;
	const char *ca_pem;
	const char *cert_pem;
	const char *key_pem; /* PKCS#8; the caller wipes it */
	const char *key_id;  /* KMIP Unique Identifier */
};

struct kms_wrapped {
	char key_id[128];
	uint8_t iv[KMS_IV_SIZE];
	uint8_t ct[KMS_SECRET_SIZE];
	uint8_t tag[KMS_TAG_SIZE];
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

#endif
