/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KMIP 1.4 messages that a client of one AES key needs: Encrypt and Decrypt
 * with AES-GCM, a 12-byte IV of the client's, a 16-byte tag, and AAD.
 * Source: KMIP Specification 1.4, clauses 4.29, 4.30, 7 and 9.1.3.
 */
#ifndef XVTPM_KMIP_H
#define XVTPM_KMIP_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/error.h"

#define KMIP_MESSAGE_MAX 65536 /* the largest response that is read */
#define KMIP_REQUEST_MAX 1024  /* room that any request of ours fits in */
#define KMIP_KEY_ID_MAX	 127
#define KMIP_TAG_SIZE	 16

enum kmip_operation { KMIP_ENCRYPT = 0x1f, KMIP_DECRYPT = 0x20 };

struct kmip_request {
	enum kmip_operation operation;
	const char *key_id;
	const uint8_t *data, *iv, *aad;
	size_t data_len, iv_len, aad_len;
	const uint8_t *tag; /* KMIP_TAG_SIZE bytes; KMIP_DECRYPT only */
};

/* Pointers point into the message that was parsed. */
struct kmip_response {
	uint32_t operation; /* 0: the server did not say */
	uint32_t status;    /* 0: success */
	uint32_t reason;    /* Result Reason; 0 with success */
	char message[128];  /* the server's words, printable ASCII only */
	const uint8_t *key_id, *data, *tag;
	size_t key_id_len, data_len, tag_len;
};

/* len: room in, bytes out.  -ENOSPC. */
int __must_check kmip_encode(const struct kmip_request *rq, uint8_t *out, size_t *len);
/* -EBADMSG when it is no KMIP response with one batch item. A failure that the
 * server reports parses well: see status. */
int __must_check kmip_parse(const uint8_t *buf, size_t len, struct kmip_response *rsp);
/* Which of CAUSE_KMS_* a failed response is. */
enum cause kmip_cause(const struct kmip_response *rsp);

#endif
