/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vTPM's state on its way out and in: libtpms's blob, sealed by the envelope
 * under the data key, numbered, and handed to a place that makes it durable.
 * Nothing below this file ever sees a plaintext state.
 */
#ifndef XVTPM_STATE_H
#define XVTPM_STATE_H

#include <stdbool.h>
#include "stubdom/manager/engine.h"
#include "lib/slot/envelope.h"
#include "include/channel.h"

/* A place that keeps sealed objects: a folder (--state DIR) or vtpmd. */
struct state_place {
	void *ctx;
	/* malloc()ed bytes, or -ENOENT */
	int (*get)(void *ctx, enum channel_object object, uint8_t **buf, size_t *len);
	/* 0 means durable. seq as in CHANNEL_PUT. */
	int (*put)(void *ctx, enum channel_object object, uint64_t seq,
		   const uint8_t *buf, size_t len);
	/* Starts a put without waiting for it; the place copies what it needs.
	 * May be NULL: then clock-only writes wait for state_flush(). */
	int (*put_later)(void *ctx, enum channel_object object, uint64_t seq,
			 const uint8_t *buf, size_t len);
};

struct state {
	struct state_place place;
	uint8_t uuid[ENVELOPE_UUID_SIZE];
	uint8_t data_key[ENVELOPE_KEY_SIZE];
	bool has_old; /* the data key is being replaced: blobs may still be under */
	uint8_t old_key[ENVELOPE_KEY_SIZE]; /* ... this one */
	uint64_t epoch;			    /* of all that is sealed */
	uint64_t seq;			    /* of the last permanent state sealed */
	uint64_t writes;		    /* durable writes so far */
	struct error *error;		    /* where load and save say why they failed */
	/* a clock-only state that is not stored yet */
	uint8_t *later;
	size_t later_len;
};

/* The engine's store over *s. s->place, uuid, data_key and error are set by the
 * caller; the rest is zero. */
struct engine_store state_store(struct state *s);
/* Stores a clock-only state that waits; called when idle and before the end. */
int __must_check state_flush(struct state *s);
/* Stores an object again under the data key, as its next generation, when it is there
 * and still under the old key. */
int __must_check state_reseal(struct state *s, enum channel_object object,
			      struct error *e);
/* Another object than the permanent state, sealed beside it.  get: plain is malloc()ed. */
int __must_check state_put_object(struct state *s, enum channel_object object,
				  const uint8_t *plain, size_t len);
int __must_check state_get_object(struct state *s, enum channel_object object,
				  uint8_t **plain, size_t *len);
/* Gets the header from the place; -ENOENT (CAUSE_NO_STATE), -ESTALE (CAUSE_ROLLED_BACK) */
int __must_check state_get_header(struct state *s, uint8_t **header, size_t *len,
				  struct error *e);
int __must_check state_put_header(struct state *s, uint64_t seq, const uint8_t *header,
				  size_t len, struct error *e);
/* Wipes the key and frees; the durable state is untouched. */
void state_wipe(struct state *s);

#endif
