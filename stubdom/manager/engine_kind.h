/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between the two versions of a TPM: engine.c is the same for both. */
#ifndef XVTPM_ENGINE_KIND_H
#define XVTPM_ENGINE_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "engine.h"

#define ENGINE_KIND_MARK_SIZE 8

enum engine_clock { ENGINE_CLOCK_NONE, ENGINE_CLOCK_TELLS, ENGINE_CLOCK_SETS };

/* A command of the engine's own. */
struct engine_command {
	uint8_t bytes[40];
	size_t len;
};

struct engine_kind {
	const char *name; /* "TPM 1.2" */
	int libtpms;	  /* enum TPMLIB_TPMVersion */
	/* Stands before libtpms's permanent state, so that a state is never taken for
	 * one of the other version.  mark_len 0: states of a TPM 2.0 had none from the
	 * first day, and libtpms's own begin with other bytes. */
	uint8_t mark[ENGINE_KIND_MARK_SIZE];
	size_t mark_len;
	/* the answer of a TPM that has failed */
	uint16_t tag;
	uint32_t failure;
	/* What a machine's system sends before its power goes; NULL: nothing.  Without
	 * it a TPM 2.0 starts as after a crash, and its clock is not safe (TPM 2.0
	 * Library, Part 1, 36.3.2). */
	const uint8_t *shutdown;
	size_t shutdown_len;
	/* What its maker runs on a new TPM, to go into its first state; NULL: nothing. */
	const struct engine_command *made;
	size_t made_len;
	/* Sets the dictionary attack parameters of manufacture; NULL: there are none. */
	const struct engine_command *parameters;
	/* Commands that set them back to libtpms's own, with lockoutAuth empty. */
	bool (*clears)(const uint8_t *cmd, size_t len, const uint8_t *rsp,
		       size_t rsp_len);
	/* Commands that change no state but the clock's. */
	bool (*changes_nothing)(const uint8_t *cmd, size_t len);
	/* What a command does with the clock. */
	enum engine_clock (*clock)(const uint8_t *cmd, size_t len);
	/* The system's own: what it saved is to be found at the next start. */
	bool (*shuts_down)(const uint8_t *cmd, size_t len, const uint8_t *rsp,
			   size_t rsp_len);
};

const struct engine_kind *engine_kind_of(enum engine_version version);
/* The answer of a TPM that has failed; NULL: of any. -EMSGSIZE */
int __must_check engine_kind_refuse(const struct engine_kind *k, uint8_t *rsp,
				    size_t *rsp_len);
/* The version that a state says it is of. */
const struct engine_kind *engine_kind_find(const uint8_t *state, size_t len);

#endif
