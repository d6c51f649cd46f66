/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of a connected manager, one function each.  Private to peer*.c. */
#ifndef VTPMD_PEER_SERVE_H
#define VTPMD_PEER_SERVE_H

#include <stdbool.h>
#include <time.h>
#include "lib/address.h"
#include "lib/channel.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/peer.h"
#include "tools/vtpmd/relay.h"
#include "tools/vtpmd/store_put.h"
#include "tools/vtpmd/tpm_filter.h"
#include "tools/vtpmd/tunnel.h"

struct peer {
	struct peer_env env;
	struct wire *wire;
	const struct peer_owner *owner;
	void *ctx;
	struct channel_reader in;
	struct evbuffer *out;
	struct event *turn;	   /* in the next poll, or when its next request is due */
	struct channel_frame held; /* the request that is served in the next turn ... */
	bool holds;		   /* ... if there is one */
	uint64_t due_ms;	   /* ... and it is due: stamp_ms() */
	struct relay *relay;
	struct tunnel *tunnel;
	bool said_hello, said_fail;
	bool greeted;	    /* its HELLO was accepted */
	bool ready;	    /* its state is open */
	bool ended;	    /* the wire */
	const char *broken; /* why it must be dropped */
	struct {
		struct event *shut; /* pending: its manager may use the TPM */
		struct tpm_filter filter;
		struct tpm_filter_verdict asked;
		uint32_t id; /* of the request that waits for the TPM */
	} tpm;
	/* A state that is being stored, or that the disk does not take yet: then its
	 * manager, and the manager's guest, wait.  No request is taken meanwhile. */
	struct {
		struct store_put *put; /* NULL: none */
		uint32_t id;
		uint16_t object;
		uint64_t seq;
		int rc; /* what the disk said; 0: nothing yet */
		struct timespec since;
		struct event *again;
	} put;
	uint16_t kms_type; /* and for the tunnel; 0: none */
	uint32_t kms_id;
	char kms_address[ADDRESS_MAX]; /* that the tunnel leads to */
};

/* For log_about(); more members may follow. */
#define PEER_ABOUT(p, ...)    \
	(&(struct log_about){ \
		.vtpm = (p)->env.name, .uuid = (p)->env.store->uuid, ##__VA_ARGS__})

void peer_serve(struct peer *p, const struct channel_frame *f);

/* Queue a reply to request (type, id). */
void peer_reply(struct peer *p, uint16_t type, uint32_t id, const void *data, size_t len);
/* error: a positive errno */
void peer_refuse(struct peer *p, uint16_t type, uint32_t id, int error, const char *why);
/* Writes a line about this manager, or of it, unless there were too many. */
#define peer_log(p, level, about, ...) \
	log_limited(&(p)->env.limits->lines, level, about, __VA_ARGS__)
/* Milliseconds of vtpmd that a request of this type is counted as; never 0. */
unsigned int peer_cost(uint16_t type);

#endif
