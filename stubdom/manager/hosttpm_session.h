/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One authorization session with the host's TPM: the secrets on our side of it.
 * No I/O here.  Source: TPM 2.0 Library, Part 1, clauses 19.6 (authorization)
 * and 21 (session-based encryption).
 *
 * hosttpm_session_salt -> (StartAuthSession) -> hosttpm_session_begin -> for each
 * command hosttpm_session_next, _crypt (command), _hmac; for its response _answer
 * and _crypt (response).  hosttpm_session_wipe ends it.
 */
#ifndef XVTPM_HOSTTPM_SESSION_H
#define XVTPM_HOSTTPM_SESSION_H

#include "lib/crypt.h"
#include "include/compiler.h"
#include "lib/cursor.h"
#include "lib/error.h"
#include "lib/tpm2/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hosttpm_transport {
	void *ctx;
	/* rsp_len: in, room; out, bytes.  0 or -errno. */
	int (*tpm)(void *ctx, const uint8_t *cmd, size_t len, uint8_t *rsp,
		   size_t *rsp_len);
};

/*
 * The TPM's own derivations for its sessions, all with SHA-256 and P-256.
 * Source: TPM 2.0 Library, Part 1, clauses 11.4.10.2 (KDFa), 11.4.10.3 (KDFe),
 * C.6.1 (ECDH), 21.3 (AES-CFB).  0 or -EIO.
 */

#define HOSTTPM_ECC_SIZE 32

struct hosttpm_point {
	uint8_t x[HOSTTPM_ECC_SIZE], y[HOSTTPM_ECC_SIZE];
};

#define HOSTTPM_NONCE_SIZE 32
#define HOSTTPM_AUTH_SIZE  32

struct hosttpm_session {
	uint32_t handle;
	uint8_t nonce_caller[HOSTTPM_NONCE_SIZE],
		nonce_tpm[HOSTTPM_NONCE_SIZE]; /* nonces */
	/* sessionKey || authValue: what HMACs and encryption are keyed with */
	uint8_t value[CRYPT_HASH_SIZE + HOSTTPM_AUTH_SIZE];
	size_t value_len;
	size_t hmac_len; /* how much of value keys the HMAC */
};

/* Makes our nonce and the salt, for the storage key srk; *point goes to the TPM.
 * The salt waits in s->value. */
int __must_check hosttpm_session_salt(struct hosttpm_session *s,
				      const struct hosttpm_point *srk,
				      struct hosttpm_point *point);
/* The TPM's first nonce has come: derives the session key. */
int __must_check hosttpm_session_derive_key(struct hosttpm_session *s, uint32_t handle,
					    const uint8_t nonce[HOSTTPM_NONCE_SIZE]);
/* The session now authorizes an entity with this authValue.  in_hmac: false for a
 * policy session without PolicyAuthValue (Part 1, 19.6.5). */
void hosttpm_session_auth(struct hosttpm_session *s, const uint8_t *auth, size_t len,
			  bool in_hmac);

void hosttpm_session_wipe(struct hosttpm_session *s);

/*
 * One command to the host's TPM and its response: framing, authorization area,
 * parameter encryption, verification.  Source: TPM 2.0 Library, Part 1, 18.
 *
 * hosttpm_call_begin -> write the parameters to call->in -> hosttpm_call_run ->
 * read them from call->out -> hosttpm_call_wipe (always).
 */

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
