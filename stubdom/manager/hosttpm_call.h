/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command to the host's TPM and its response: framing, authorization area,
 * parameter encryption, verification.  Source: TPM 2.0 Library, Part 1, 18.
 *
 * hosttpm_call_begin -> write the parameters to call->in -> hosttpm_call_run ->
 * read them from call->out -> hosttpm_call_wipe (always).
 */
#ifndef XVTPM_HOSTTPM_CALL_H
#define XVTPM_HOSTTPM_CALL_H

#include "hosttpm.h"
#include "hosttpm_session.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

#define HOSTTPM_NAME_SIZE   34 /* nameAlg and a SHA-256 digest */
#define HOSTTPM_HANDLES_MAX 3

struct hosttpm_call {
	TPM2_CC code;
	bool gives_handle;
	/* With a session: it authorizes the first handle, and all handles' Names enter
	 * cpHash.  Without: handles are written to in, ahead of the parameters. */
	struct hosttpm_session *session;
	uint8_t attributes;
	size_t handles;
	struct {
		uint32_t handle;
		const uint8_t *name; /* NULL: a session, whose Name is its handle */
	} handle[HOSTTPM_HANDLES_MAX];
	struct cursor in, out;
	uint32_t code_returned; /* TPM_RC, 0 success; valid after run */
	uint32_t handle_returned;
	uint8_t params[1536], wire[2048];
};

void hosttpm_call_begin(struct hosttpm_call *call, TPM2_CC code);
/* Adds the next handle of a command with a session. */
void hosttpm_call_handle(struct hosttpm_call *call, uint32_t handle, const uint8_t *name);
/* 0; -EREMOTEIO with CAUSE_TPM_REFUSED (code_returned tells); -EBADMSG for a
 * response that does not parse or verify; what the transport returned. */
int __must_check hosttpm_call_run(struct hosttpm_call *call,
				  const struct hosttpm_transport *t, struct error *e);
/* Says that a response's parameters make no sense. -EBADMSG */
int hosttpm_call_nonsense(const struct hosttpm_call *call, struct error *e);
void hosttpm_call_wipe(struct hosttpm_call *call);

#endif
