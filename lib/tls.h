/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.2 or later to the KMS, with this host's client certificate if it has one, over any
 * stream
 * (lib/kms.h).  Each failure's sentence names the KMS, and says whose certificate is what.
 */
#ifndef XVTPM_LIB_TLS_H
#define XVTPM_LIB_TLS_H

#include "lib/kms.h"

struct tls;

/* Connects to the nth address, which is the one of c->address; verifies that the
 * server is its host under c->ca_pem, and shows c->cert_pem.  -ECONNREFUSED etc.,
 * -EACCES, -EKEYREJECTED, -EINVAL. */
int __must_check tls_open(struct tls **out, const struct kms_config *c,
			  const struct kms_stream *s, unsigned int nth, struct error *e);
int __must_check tls_send(struct tls *t, const uint8_t *buf, size_t len, struct error *e);
/* *n: from 1 to room bytes, those that there are. */
int __must_check tls_read(struct tls *t, uint8_t *buf, size_t room, size_t *n,
			  struct error *e);
/* Exactly len bytes. */
int __must_check tls_recv(struct tls *t, uint8_t *buf, size_t len, struct error *e);
/* t may be NULL. */
void tls_close(struct tls *t);

#endif
