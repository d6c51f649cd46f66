/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command of the manager to its own TPM, and its response.  Source: TPM 2.0
 * Library, Part 1, 18.
 *
 * command_begin -> handles to c->in -> command_auth, once for each handle that wants
 * it -> parameters to c->in -> command_run -> read c->out -> command_wipe, if there is
 * something secret in it.  What does not fit makes the cursor bad, and run fail.
 */
#ifndef XVTPM_COMMAND_H
#define XVTPM_COMMAND_H

#include "stubdom/manager/engine.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

struct command {
	bool gives_handle; /* set it between begin and run */
	struct cursor in;  /* behind the header */
	struct cursor out; /* the response's parameters */
	uint32_t rc;	   /* TPM_RC, valid when run returned 0 or -EREMOTEIO */
	uint32_t handle;   /* of the response */
	size_t auth_mark;  /* private */
	bool authorizes;   /* private */
	uint8_t cmd[ENGINE_BUFFER_SIZE], rsp[ENGINE_BUFFER_SIZE];
};

/* code: TPM_CC */
void command_begin(struct command *c, uint32_t code);
/* A password authorization; len 0: the empty one. */
void command_auth(struct command *c, const uint8_t *auth, size_t len);
/* A policy session, without an HMAC, which ends with the command if that succeeds. */
void command_session(struct command *c, uint32_t session);
/* 0; -EREMOTEIO: c->rc tells why the TPM refused it; -EMSGSIZE: it does not fit;
 * -EBADMSG: the response does not parse; else what the engine said. */
int __must_check command_run(struct command *c);
void command_wipe(struct command *c);

#endif
