/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of etcd 3.4 and later: mutual TLS with one of several members at a time, and
 * another one when that does not answer.  Nothing waits: all is told from the event loop.
 *
 * A call ends in one of three ways.  It was done, or refused (rc 0, -EACCES, ...); it
 * never left (-ENOTCONN, from etcd_call() itself); or nobody knows (-ETIMEDOUT): then it may
 * have been done, or may be done yet.
 */
#ifndef VTPMD_ETCD_ETCD_H
#define VTPMD_ETCD_ETCD_H

#include "include/compiler.h"
#include "lib/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETCD_ENDPOINTS_MAX 9
#define ETCD_REQUEST_MAX   (1400 * 1024) /* etcd's --max-request-bytes is 1.5 MiB */
#define ETCD_CALL_MS	   2500		 /* then another member is asked */

struct etcd;
struct etcd_call;
struct event_base;

struct etcd_options {
	const char *endpoints;	     /* HOST:PORT,HOST:PORT,... */
	const char *ca, *cert, *key; /* PEM files */
	/* The connection is there, or is not any more. */
	void (*on_link)(void *ctx, bool up);
	void *ctx;
};

enum etcd_method {
	ETCD_RANGE,
	ETCD_TXN,
	ETCD_LEASE_GRANT,
	ETCD_LEASE_KEEPALIVE, /* one message, one answer */
	ETCD_LEASE_REVOKE,
	ETCD_WATCH,
	ETCD_STATUS,
};

/* rc 0: buf is the answer's message.  -EACCES: not allowed; -ENOSPC: etcd takes nothing (its
 * quota is used up, or it has too much to do); -ENOENT: no such lease; -ERANGE: compacted;
 * -EINVAL: refused; -ETIMEDOUT: unclear. */
typedef void etcd_done(void *ctx, int rc, const uint8_t *buf, size_t len);

/* -EINVAL: of the options, with a sentence. */
int __must_check etcd_new(struct event_base *base, const struct etcd_options *o,
			  struct etcd **out, struct error *e);
/* Ends all, and tells nothing of it.  From no callback. */
void etcd_free(struct etcd *c);
bool etcd_is_up(const struct etcd *c);
/* Why it is not: "HOST:PORT: connection refused"; "" while it is. */
const char *etcd_trouble(const struct etcd *c);
/* The member that is connected: HOST:PORT. */
const char *etcd_member(const struct etcd *c);

/* done() is called once, later.  -ENOTCONN: there is no connection; -EAGAIN: too many calls
 * run; -EMSGSIZE */
int __must_check etcd_call(struct etcd *c, enum etcd_method method, const uint8_t *buf,
			   size_t len, etcd_done *done, void *ctx,
			   struct etcd_call **out);
/* ETCD_WATCH: done() is called for each message (rc 0), and with another rc at its end. */
int __must_check etcd_watch(struct etcd *c, const uint8_t *buf, size_t len,
			    etcd_done *done, void *ctx, struct etcd_call **out);
/* Nothing more is told of it; it may be done all the same. */
void etcd_cancel(struct etcd_call *call);

#endif
