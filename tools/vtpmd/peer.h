/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connected manager: takes its requests off the wire and answers them.  Who
 * it is follows from the wire, which vtpmd opened itself, never from what it
 * says; it reaches its own vTPM's store, an allow-list of the host's TPM and the
 * configured KMS.  A manager that breaks the protocol, or does not read its
 * answers, is dropped.
 */
#ifndef VTPMD_PEER_H
#define VTPMD_PEER_H

#include "include/channel.h"
#include "lib/text.h"
#include "lib/channel.h"
#include "tools/vtpmd/bucket.h"
#include "tools/vtpmd/config.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/relay.h"
#include "tools/vtpmd/store.h"
#include "tools/vtpmd/tpm_filter.h"
#include "tools/vtpmd/tunnel.h"
#include "tools/vtpmd/wire.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* CHANNEL_GUEST */
struct peer_guest {
	uint32_t domid;
	uint64_t on;	       /* the TPM's power-on */
	const uint8_t *device; /* 16 bytes; NULL: the vTPM's uuid */
};

/* What a peer tells the vTPM that it belongs to; texts are printable (lib/text.h).
 * peer_free() may be called in none of them but gone(). */
struct peer_owner {
	/* The TLVs for the reply are written to out.  0, or a negative errno
	 * and one sentence in *why. */
	int (*hello)(void *ctx, uint8_t mode, const uint8_t uuid[16], uint64_t seq,
		     struct cursor *out, const char **why);
	void (*ready)(void *ctx, uint64_t seq);
	/* Whether its guest may be answered, when the store's lease holds; NULL: it may. */
	bool (*may_answer)(void *ctx);
	/* Whether an object may be stored now: 0, -EBUSY. */
	int (*put)(void *ctx, const struct store_put *put);
	/* It is stored.  true: it does not count yet, and peer_put_counts() is called when
	 * it does, or already was. */
	bool (*stored)(void *ctx, uint16_t object);
	/* As hello(): the TLVs, read again. */
	int (*config)(void *ctx, struct cursor *out, const char **why);
	/* CHANNEL_GUEST, whose reply goes to out; as hello(). */
	int (*guest)(void *ctx, const struct peer_guest *g, struct cursor *out,
		     const char **why);
	/* CHANNEL_REFUSED */
	void (*refused)(void *ctx, uint32_t domid, const char *why);
	/* CHANNEL_CLEARED.  As hello(). */
	int (*cleared)(void *ctx, uint32_t response, const char **why);
	/* cause 0: its header is new. false: vtpmd did not ask for it. */
	bool (*rekeyed)(void *ctx, uint32_t cause, const char *text);
	/* TPM2B_PUBLICs; *known: the reply.  As hello(). */
	int (*identity)(void *ctx, const uint8_t *keys, size_t len, uint32_t *known,
			const char **why);
	/* CHANNEL_QUOTE: 0, and the answer comes later, by peer_reply() or _refuse(). */
	int (*quote)(void *ctx, uint32_t id, const uint8_t *request, size_t len,
		     const char **why);
	/* The answer to EVENT_ATTEST.  cause 0: text is the evidence. */
	void (*attested)(void *ctx, uint32_t cause, const char *text);
	/* The answer to EVENT_MOVE; with a cause, bytes are its text. */
	void (*moved)(void *ctx, uint8_t step, uint32_t cause, const uint8_t *bytes,
		      size_t len);
	/* Once in a connection. */
	void (*fail)(void *ctx, uint32_t cause, const char *text);
	/* TLVs as in enum channel_status */
	void (*status)(void *ctx, const uint8_t *tlvs, size_t len);
	/* The connection is over: free the peer. */
	void (*gone)(void *ctx);
};

/* What the managers of one vTPM may use of vtpmd, over all connections: a new one brings
 * nothing back.  Starts zeroed. */
struct peer_limits {
	struct bucket requests;
	struct bucket tpm; /* filled by what an operator asks for: peer_tpm_fill() */
	struct log_limit lines;
};

struct peer_env {
	struct event_base *base;
	const char *name; /* of the vTPM, for the log */
	const char *tpm;  /* target of the relay */
	struct store *store;
	struct config *const *config; /* NULL: none */
	struct peer_limits *limits;
	const uint8_t
		*copy_of; /* uuid of the vTPM that this one is made of; NULL: none */
};

struct peer;

/* Takes the wire over, also on failure. */
int __must_check peer_new(const struct peer_env *env, struct wire *wire,
			  const struct peer_owner *owner, void *ctx, struct peer **out);
void peer_free(struct peer *p);
/* Whether its HELLO was accepted; p may be NULL. */
bool peer_is_greeted(const struct peer *p);
/* What the disk says about a state that waits to be stored (-ENOSPC, ...); 0: none. */
int peer_store_error(const struct peer *p);
/* Lets it use the host's TPM, until it answers EVENT_REKEY or for 180 s. */
void peer_tpm_open(struct peer *p);
/* Fills the bucket of commands for the host's TPM.  For a start or new keys that an operator
 * asked for, and for nothing that a peer brings about: not for starts after its end or its
 * FAIL, nor for a new connection. */
void peer_tpm_fill(struct peer_limits *limits);
/* Whether a request of it is held, since it asked for too much: later ones wait, too. */
bool peer_is_held(const struct peer *p);
/* Answers the put that waits: rc 0, or why it does not count. */
void peer_put_counts(struct peer *p, int rc);
/* Sends a CHANNEL_EVENT_*. */
void peer_event(struct peer *p, uint16_t type);
void peer_event_with(struct peer *p, uint16_t type, const void *payload, size_t len);

/* The requests of a connected manager, one function each.  Private to peer*.c. */

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

/* Queue a reply to request (type, id). */
void peer_reply(struct peer *p, uint16_t type, uint32_t id, const void *data, size_t len);
/* error: a positive errno */
void peer_refuse(struct peer *p, uint16_t type, uint32_t id, int error, const char *why);
/* Writes a line about this manager, or of it, unless there were too many. */
#define peer_log(p, level, about, ...) \
	log_limited(&(p)->env.limits->lines, level, about, __VA_ARGS__)

#endif
