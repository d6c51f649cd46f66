/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC's client side over HTTP/2 (nghttp2), on one connection: a struct bufferevent that is
 * connected already, or on its way (TLS).  Nothing waits.  A peer may send anything: a
 * message is GRPC_MESSAGE_MAX long at most, header lists GRPC_HEADERS_MAX, and calls
 * GRPC_CALLS_MAX at a time.
 */
#ifndef VTPMD_ETCD_GRPC_H
#define VTPMD_ETCD_GRPC_H

#include "include/compiler.h"

#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_MESSAGE_MAX (4 * 1024 * 1024)
#define GRPC_HEADERS_MAX 8192
#define GRPC_CALLS_MAX	 64

/* Statuses that say something to a store (grpc/status.h of gRPC); -1: the connection broke
 * or there was none in the answer, so that nobody knows. */
enum grpc_status {
	GRPC_UNKNOWN = -1,
	GRPC_OK = 0,
	GRPC_NOT_FOUND = 5,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
};

struct grpc;
struct grpc_call;

/* Of a call; the call is gone when end() is called, once. */
struct grpc_events {
	void (*message)(void *ctx, const uint8_t *buf, size_t len);
	void (*end)(void *ctx, int status);
};

/* Takes the bufferevent over; broken() is called once, from the loop, after the ends of all
 * calls: then grpc_free() is due.  NULL: no memory, and the bufferevent is the caller's. */
struct grpc *grpc_new(struct bufferevent *bev, const char *authority,
		      void (*broken)(void *ctx), void *ctx);
/* Ends are not called any more.  Not from within a callback. */
void grpc_free(struct grpc *g);
/* Sends one message; open: more may follow, by grpc_send().  -EAGAIN: too many calls. */
int __must_check grpc_call(struct grpc *g, const char *path, const uint8_t *buf,
			   size_t len, bool open, const struct grpc_events *events,
			   void *ctx, struct grpc_call **out);
int __must_check grpc_send(struct grpc_call *call, const uint8_t *buf, size_t len);
/* Nothing more is told of it. */
void grpc_cancel(struct grpc_call *call);

#endif
