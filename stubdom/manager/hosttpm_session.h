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

#include "hosttpm_crypt.h"
#include "lib/tpm2/types.h"

#define HOSTTPM_NONCE_SIZE 32
#define HOSTTPM_AUTH_SIZE  32

/* TPMA_SESSION, Part 2, 8.4 */

struct hosttpm_session {
	uint32_t handle;
	uint8_t ours[HOSTTPM_NONCE_SIZE], theirs[HOSTTPM_NONCE_SIZE]; /* nonces */
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
int __must_check hosttpm_session_begin(struct hosttpm_session *s, uint32_t handle,
				       const uint8_t nonce[HOSTTPM_NONCE_SIZE]);
/* The session now authorizes an entity with this authValue.  in_hmac: false for a
 * policy session without PolicyAuthValue (Part 1, 19.6.5). */
void hosttpm_session_auth(struct hosttpm_session *s, const uint8_t *auth, size_t len,
			  bool in_hmac);
/* A fresh nonce for the next command. */
int __must_check hosttpm_session_next(struct hosttpm_session *s);
/* Encrypts a command's or decrypts a response's first parameter, in place. */
int __must_check hosttpm_session_crypt(const struct hosttpm_session *s, bool command,
				       uint8_t *buf, size_t len);
/* The HMAC over a cpHash (command) or rpHash. */
int __must_check hosttpm_session_hmac(const struct hosttpm_session *s, bool command,
				      const uint8_t hash[CRYPT_HASH_SIZE],
				      uint8_t attributes, uint8_t out[CRYPT_HASH_SIZE]);
/* Takes the TPM's next nonce and checks the response's HMAC: -EBADMSG. */
int __must_check hosttpm_session_answer(struct hosttpm_session *s,
					const uint8_t nonce[HOSTTPM_NONCE_SIZE],
					const uint8_t rphash[CRYPT_HASH_SIZE],
					uint8_t attributes,
					const uint8_t hmac[CRYPT_HASH_SIZE]);
void hosttpm_session_wipe(struct hosttpm_session *s);

#endif
