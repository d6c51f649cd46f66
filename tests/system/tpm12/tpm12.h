/* SPDX-License-Identifier: Apache-2.0 */
/* A client of a TPM 1.2 for tests: sources are TPM Main, Parts 2 and 3, revision 116. */
#ifndef XVTPM_TPM12_H
#define XVTPM_TPM12_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/cursor.h"

#define DIGEST	    20
#define KH_SRK	    0x40000000u
#define KH_OWNER    0x40000001u
#define KH_EK	    0x40000006u
#define ET_SRK	    4
#define ET_OWNER    2
#define PACKET_SIZE 4096

/* One command: tpm12_begin(), parameters to in, tpm12_run() or tpm12_run_auth(), the
 * response's parameters from out. */
struct tpm12 {
	int fd;
	struct cursor in, out;
	size_t handles; /* bytes of in that no authorization covers */
	uint32_t rc;
	uint8_t cmd[PACKET_SIZE], rsp[PACKET_SIZE];
};

/* An authorization session: OIAP, or OSAP of an entity. */
struct session {
	uint32_t handle;
	uint8_t key[DIGEST]; /* of the HMAC: the entity's auth, or the shared secret */
	uint8_t even[DIGEST];
};

int tpm12_open(struct tpm12 *t, const char *path);
void tpm12_begin(struct tpm12 *t, uint32_t ordinal);
/* What was put so far is handles. */
void tpm12_end_handles(struct tpm12 *t);
/* 0, or -1 with a line on stderr. */
int tpm12_run(struct tpm12 *t);
/* With one or two sessions (the second may be NULL), which end with it. */
int tpm12_run_auth(struct tpm12 *t, struct session *one, struct session *two);
int tpm12_oiap(struct tpm12 *t, struct session *s, const uint8_t auth[DIGEST]);
int tpm12_osap(struct tpm12 *t, struct session *s, uint16_t type, uint32_t entity,
	       const uint8_t auth[DIGEST]);
/* auth, encrypted for an OSAP session: ADIP. */
void tpm12_adip(const struct session *s, const uint8_t auth[DIGEST], uint8_t out[DIGEST]);

#endif
