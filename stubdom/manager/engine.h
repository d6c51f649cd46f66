/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: libtpms as a TPM 2.0 or a TPM 1.2, as six calls.  One engine a
 * process (libtpms has global state).
 *
 * States: closed -> engine_open -> running <-> engine_power_cycle; engine_close.
 * A running engine whose store failed answers every command with TPM_RC_FAILURE
 * (TPM_FAIL) until engine_power_cycle() succeeds: what libtpms holds in
 * memory may be newer than what is durable, and must not be shown.
 */
#ifndef XVTPM_ENGINE_H
#define XVTPM_ENGINE_H

#include "include/compiler.h"
#include "lib/error.h"
#include "lib/tpm2/cmd.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_BUFFER_SIZE 4096
/* How far a TPM 2.0's clock may be ahead of the stored one. */
#define ENGINE_CLOCK_LAG_MS 8192

/* Where the permanent state is kept; bytes are libtpms's plaintext blob. */
struct engine_store {
	void *ctx;
	/* malloc()ed state that the engine frees; -ENOENT: none, and the engine
	 * then refuses to open unless create is set. */
	int (*load)(void *ctx, uint8_t **state, size_t *len);
	/* Returns 0 once the state is durable. clock_only: nothing changed that a
	 * guest was promised, the write may be coalesced and done later. */
	int (*save)(void *ctx, const uint8_t *state, size_t len, bool clock_only);
};

enum engine_version { ENGINE_TPM_20 = 0, ENGINE_TPM_12 = 1 };

struct engine_options {
	bool create;
	enum engine_version version; /* of the stored state, or of the new one */
	/* What a client saved with TPM2_Shutdown(STATE) or TPM_SaveState as the last
	 * that it did, it may find again with Startup(STATE).  Without this each end is
	 * that of a machine that is switched off: the next start is a TPM Reset. */
	bool keep_saved;
};

/* Starts libtpms on the stored state, or on a new one when create (-EEXIST if there is
 * one; -EMEDIUMTYPE if it is of the other version).  Startup is left to the client. */
int __must_check engine_open(const struct engine_store *store,
			     const struct engine_options *options, struct error *e);
/* _TPM_Init: drops volatile state, as a power cycle of the machine does. */
int __must_check engine_power_cycle(void);
/* Whether its store failed: the power cycle that follows is without a shutdown. */
bool engine_is_broken(void);
/* Runs one command; returns only when the state that it changed is durable.
 * rsp_len: in, room (ENGINE_BUFFER_SIZE); out, bytes.  A negative return means
 * that nothing may be published as success. */
int __must_check engine_execute(uint8_t locality, const uint8_t *cmd, size_t len,
				uint8_t *rsp, size_t *rsp_len);
/* The same for a guest whose firmware starts the TPM itself, also after S3: TPM2_Startup(STATE)
 * that follows upon its TPM2_Shutdown(STATE) is after an _TPM_Init, and finds what that
 * saved.  A start that fails is that of a TPM that has failed: else TPM2_Startup(CLEAR) would
 * give a guest that runs the PCRs of one that begins. */
int __must_check engine_execute_or_wake(uint8_t locality, const uint8_t *cmd, size_t len,
					uint8_t *rsp, size_t *rsp_len);
/* engine_execute() at locality 0, for the manager's own commands. */
extern const struct tpm2_transport engine_tpm;
/* Asks the command in flight to end early with TPM_RC_CANCELED. */
void engine_cancel(void);
/* Has call(ctx) run now and then while a long command does, for anyone who has no other
 * thread to hear a cancel in.  NULL: none. */
void engine_while_busy(void (*call)(void *ctx), void *ctx);
/* Flushes what was coalesced, then ends libtpms. */
int engine_close(void);

#endif
