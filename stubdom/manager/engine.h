/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TPM 2.0 engine: libtpms behind six calls.  One engine a process (libtpms
 * has global state).
 *
 * States: closed -> engine_open -> running <-> engine_power_cycle; engine_close.
 * A running engine whose store failed answers every command with
 * TPM_RC_FAILURE until engine_power_cycle() succeeds: what libtpms holds in
 * memory may be newer than what is durable, and must not be shown.
 */
#ifndef XVTPM_ENGINE_H
#define XVTPM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/error.h"

#define ENGINE_BUFFER_SIZE 4096

/* Where the permanent state is kept; bytes are libtpms's plaintext blob. */
struct engine_store {
	void *ctx;
	/* malloc()ed state that the engine frees; -ENOENT: none, and the engine
	 * then refuses to open unless it was told to create. */
	int (*load)(void *ctx, uint8_t **state, size_t *len);
	/* Returns 0 once the state is durable. clock_only: nothing changed that a
	 * guest was promised, the write may be coalesced and done later. */
	int (*save)(void *ctx, const uint8_t *state, size_t len, bool clock_only);
};

/* Starts libtpms on the stored state, or on a new one when create (-EEXIST if
 * there is one).  TPM2_Startup is left to the client. */
int __must_check engine_open(const struct engine_store *store, bool create,
			     struct error *e);
/* _TPM_Init: drops volatile state, as a power cycle of the machine does. */
int __must_check engine_power_cycle(void);
/* Runs one command; returns only when the state that it changed is durable.
 * rsp_len: in, room (ENGINE_BUFFER_SIZE); out, bytes.  A negative return means
 * that nothing may be published as success. */
int __must_check engine_execute(uint8_t locality, const uint8_t *cmd, size_t len,
				uint8_t *rsp, size_t *rsp_len);
/* Asks the command in flight to end early with TPM_RC_CANCELED. */
void engine_cancel(void);
/* Has call(ctx) run now and then while a long command does, for whoever has no other
 * thread to hear a cancel in.  NULL: none. */
void engine_while_busy(void (*call)(void *ctx), void *ctx);
/* Flushes what was coalesced, then ends libtpms. */
int engine_close(void);

#endif
