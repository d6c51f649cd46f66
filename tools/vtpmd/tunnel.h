/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One manager's byte stream to the configured KMS.  The manager speaks TLS with
 * the KMS; vtpmd sees ciphertext, and the manager chooses no address.
 *
 * Every call that returns 0 has one completion, called later or before
 * it returns: rc < 0 is a negative errno; a
 * KMS that hangs gives -ETIMEDOUT.  One call at a time (-EBUSY).
 */
#ifndef VTPMD_TUNNEL_H
#define VTPMD_TUNNEL_H

#include <stddef.h>
#include <stdint.h>
#include <event2/event.h>
#include "compiler.h"

/* For RECV, the bytes (none: end of stream); else nothing. */
typedef void tunnel_done(void *ctx, int rc, const uint8_t *data, size_t len);

struct tunnel;

struct tunnel *tunnel_new(struct event_base *base, tunnel_done *done, void *ctx);
/* address: host:port or [v6]:port.  Closes a tunnel that is open. */
int __must_check tunnel_open(struct tunnel *t, const char *address);
int __must_check tunnel_send(struct tunnel *t, const uint8_t *buf, size_t len);
int __must_check tunnel_recv(struct tunnel *t, size_t max);
/* Takes effect at once and has no completion. */
void tunnel_close(struct tunnel *t);
void tunnel_free(struct tunnel *t);

/* Frees what all tunnels share; there must be none left. */
void tunnel_end(void);

/* Splits an address; -EINVAL.  Both rooms are 256 bytes. */
int __must_check tunnel_split(const char *address, char *host, char *port);

#endif
