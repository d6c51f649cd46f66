/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command to a TPM and its response: framing, authorization, parameter encryption,
 * verification; and the session that authorizes it.  Source: TPM 2.0 Library, Part 1,
 * clauses 11.4.10 (KDFa, KDFe), 18 (framing), 19.6 (authorization), 21 (session-based
 * encryption) and C.6.1 (ECDH); all with SHA-256, P-256 and AES-128-CFB.
 *
 * tpm2_begin -> tpm2_handle for each handle -> tpm2_authorize for each that wants it ->
 * parameters to c->in -> tpm2_run -> read c->out -> tpm2_wipe, if there is something
 * secret in it.  What does not fit makes the cursor bad, and tpm2_run fail.
 */
#ifndef XVTPM_LIB_TPM2_CMD_H
#define XVTPM_LIB_TPM2_CMD_H

#include "lib/crypt.h"
#include "include/compiler.h"
#include "lib/cursor.h"
#include "lib/tpm2/marshal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TPM2_BUFFER_SIZE 4096
#define TPM2_HANDLES_MAX 3
#define TPM2_NONCE_SIZE	 32
#define TPM2_AUTH_SIZE	 32 /* the longest authValue of a session's entity */
#define TPM2_ECC_SIZE	 32

struct tpm2_transport {
	void *ctx;
	/* rsp_len: in, room; out, bytes.  0 or -errno. */
	int (*exchange)(void *ctx, const uint8_t *cmd, size_t len, uint8_t *rsp,
			size_t *rsp_len);
};

struct tpm2_point {
	uint8_t x[TPM2_ECC_SIZE], y[TPM2_ECC_SIZE];
};

/* An authorization session: the secrets on our side of it. */
struct tpm2_session {
	uint32_t handle;
	uint8_t nonce_caller[TPM2_NONCE_SIZE], nonce_tpm[TPM2_NONCE_SIZE];
	/* sessionKey || authValue: what HMACs and encryption are keyed with */
	uint8_t value[CRYPT_HASH_SIZE + TPM2_AUTH_SIZE];
	size_t value_len;
	size_t hmac_len; /* how much of value keys the HMAC */
};

/* What authorizes the use of a handle: a session, or else a password, perhaps empty. */
struct tpm2_auth {
	struct tpm2_session *session;
	const uint8_t *password;
	size_t len;
};

/* How far a command came: what a failure of tpm2_run() is about. */
enum tpm2_stage { TPM2_NOT_SENT, TPM2_NOT_ANSWERED, TPM2_ANSWERED };

struct tpm2_cmd {
	/* For all commands that are made in this struct: */
	const struct tpm2_transport *transport;
	bool waits; /* submits it again while the TPM is busy (below) */
	/* The caller holds sessions or objects: does not wait long when the TPM has no memory
	 * for more, since who has it may wait for what this one holds. */
	bool yields;
	bool yielded; /* that was so: the caller flushes all that it holds, and begins anew */

	TPM2_CC code;
	bool gives_handle; /* set it between begin and run */
	struct cursor in;  /* after the header */
	struct cursor out; /* the response's parameters, verified and decrypted */
	enum tpm2_stage stage;
	uint32_t rc;	 /* TPM_RC, valid when run returned 0 or -EREMOTEIO */
	uint32_t handle; /* of the response */

	/* private */
	struct tpm2_session *session;
	uint8_t attributes; /* of the session */
	bool authorizes;
	size_t handles, auth_mark, session_at, params_at;
	const uint8_t *name[TPM2_HANDLES_MAX];
	uint8_t cmd[TPM2_BUFFER_SIZE], rsp[TPM2_BUFFER_SIZE];
};

/* code: TPM_CC */
void tpm2_begin(struct tpm2_cmd *c, TPM2_CC code);
/* The next handle.  name: TPM2_NAME_SIZE bytes; NULL: of a session or a hierarchy, whose
 * Name is its handle, or of a command without a session. */
void tpm2_handle(struct tpm2_cmd *c, uint32_t handle, const uint8_t *name);
/* auth NULL: the empty password.  A session has to be the first authorization; attributes
 * are its own, and continueSession is added. */
void tpm2_authorize(struct tpm2_cmd *c, const struct tpm2_auth *auth,
		    TPMA_SESSION attributes);
/* 0; -EREMOTEIO: c->rc tells why the TPM refused it; -EMSGSIZE: it does not fit; -EBADMSG:
 * the response does not parse or verify; -EIO: OpenSSL; else what the transport returned. */
int __must_check tpm2_run(struct tpm2_cmd *c);
void tpm2_wipe(struct tpm2_cmd *c);

/* Makes our nonce and the salt, for the storage key srk; *point goes to the TPM.  The salt
 * waits in s->value.  -EIO: no random numbers, or srk is no point of P-256. */
int __must_check tpm2_session_salt(struct tpm2_session *s, const struct tpm2_point *srk,
				   struct tpm2_point *point);
/* The TPM's first nonce has come: derives the session key.  -EIO */
int __must_check tpm2_session_derive_key(struct tpm2_session *s, uint32_t handle,
					 const uint8_t nonce[TPM2_NONCE_SIZE]);
/* The session now authorizes an entity with this authValue.  in_hmac: false for a policy
 * session without PolicyAuthValue (Part 1, 19.6.5). */
void tpm2_session_auth(struct tpm2_session *s, const uint8_t *auth, size_t len,
		       bool in_hmac);
void tpm2_session_wipe(struct tpm2_session *s);

/* Makes a secret that the holder of the key peer alone finds from the point *own, by ECDH and
 * KDFe with this label (Part 1, C.6.1).  -EIO, also when peer is no point of P-256. */
int __must_check tpm2_make_secret(const struct tpm2_point *peer, const char *label,
				  struct tpm2_point *own,
				  uint8_t secret[CRYPT_HASH_SIZE]);
/* AES-128-CFB in place; keys: the key's 16 bytes, then the IV's 16.  -EIO */
int __must_check tpm2_crypt_cfb(const uint8_t keys[32], bool encrypt, uint8_t *buf,
				size_t len);

/*
 * What a TPM answers when it did nothing, and the same command, byte for byte, may
 * succeed a moment later: warnings, not refusals.  Every client of the host's TPM
 * submits such a command again, after a pause, and gives up after TPM2_BUSY_S.
 * Source: TPM 2.0 Library, Part 2, clause 6.6.3.
 */
#define TPM2_BUSY_S   20  /* of pauses, for one command */
#define TPM2_YIELD_MS 500 /* of one that yields, for memory */

/* Of one command, or of what is begun anew; starts zeroed. */
struct tpm2_busy {
	unsigned int waited_ms;
};

bool tpm2_busy_is_code(uint32_t code);
/* Of those: there is no memory for one more object or session. */
bool tpm2_busy_is_memory(uint32_t code);
/* TPM_RC of a whole response; 0 also of what is too short for one. */
uint32_t tpm2_response_code(const uint8_t *rsp, size_t len);
/* tpm2_busy_is_code() of it. */
bool tpm2_busy_is_response(const uint8_t *rsp, size_t len);
/* Sleeps, longer each time, up to a second; false, at once: it has been TPM2_BUSY_S. */
bool __must_check tpm2_busy_pause(struct tpm2_busy *b);

#endif
