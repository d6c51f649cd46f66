/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS with a client certificate to the KMS, over any byte stream.  Everything
 * comes from memory (no files, no default certificate store), TLS 1.3 when the
 * server offers it, else TLS 1.2 with ECDHE and an AEAD.
 *
 * tls_open -> tls_send / tls_recv -> tls_close.  Each call says in *e which of
 * CAUSE_KMS_* a failure is; after one only tls_close() is allowed.
 */
#ifndef XVTPM_TLS_H
#define XVTPM_TLS_H

#include "lib/kms.h"

struct tls;

/* Connects to the nth address, which is the one of c->address; verifies that the
 * server is its host under c->ca_pem, and shows c->cert_pem.  -ECONNREFUSED etc.,
 * -EACCES, -EKEYREJECTED, -EINVAL. */
int __must_check tls_open(struct tls **t, const struct kms_config *c,
			  const struct kms_stream *s, unsigned int nth, struct error *e);
int __must_check tls_send(struct tls *t, const uint8_t *buf, size_t len, struct error *e);
/* Exactly len bytes. */
int __must_check tls_recv(struct tls *t, uint8_t *buf, size_t len, struct error *e);
/* NULL is allowed. */
void tls_close(struct tls *t);

#endif
