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

/* libtpms's own blobs, as clients of swtpm carry them from one TPM to another. */
enum engine_blob {
	ENGINE_BLOB_PERMANENT,
	ENGINE_BLOB_VOLATILE, /* PCRs, sessions, objects of a TPM that runs */
	ENGINE_BLOB_SAVED,    /* TPM_SaveState's of a TPM 1.2 */
	ENGINE_BLOBS,
};

/* malloc()ed; -ENOENT: there is none, or the TPM is off.  Who takes the volatile state means
 * to go on with it: the TPM's next end is without a shutdown, unless it is used again. */
int __must_check engine_get_blob(enum engine_blob which, uint8_t **blob, size_t *len);
/* What the next engine_open() or engine_power_cycle() begins with, once; len 0: nothing.
 * A permanent state is stored when libtpms has accepted it, and not before. */
int __must_check engine_set_blob(enum engine_blob which, const uint8_t *blob, size_t len);
/* Makes durable what the TPM changed outside of a command, as engine_execute() does; for
 * engine_tis.h. */
int __must_check engine_settle(void);
/* What libtpms sees as the locality until the next command. */
void engine_at_locality(uint8_t locality);
/* TPMLIB_SetBufferSize() for this and the next engine_open(); wanted 0: only asks. */
uint32_t engine_buffer_size(enum engine_version version, uint32_t wanted, uint32_t *min,
			    uint32_t *max);
/* The answer of a TPM of that version with that response code (tpm2 or tpm12). -EMSGSIZE */
int __must_check engine_refuse(enum engine_version version, uint32_t tpm2, uint32_t tpm12,
			       uint8_t *rsp, size_t *rsp_len);
/* libtpms's, by TPMLIB_GetVersion(): major, minor and micro, a byte each. */
uint32_t engine_release(void);
/* Asks the command in flight to end early with TPM_RC_CANCELED. */
void engine_cancel(void);
/* Has call(ctx) run now and then while a long command does, for anyone who has no other
 * thread to hear a cancel in.  NULL: none. */
void engine_while_busy(void (*call)(void *ctx), void *ctx);
/* Flushes what was coalesced, then ends libtpms. */
int engine_close(void);

#endif
