/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host's TPM signs for in a deep quote, beside its PCRs: the SHA-256 of these
 * bytes is the quote's qualifyingData.  vtpmd writes them, of what it knows itself;
 * vtpm-verify reads them.  Big-endian; B is u16 length | bytes.
 *
 *   B "xen-vtpm deep quote 2"
 *   B nonce                  the verifier's, BINDING_NONCE_MIN to _MAX bytes
 *   B user data              of anyone who asked, up to BINDING_USER_MAX bytes; empty: none
 *   uuid[16]                 of the vTPM
 *   u8 n | n * B Name        its endorsement keys, as vtpmd got to know them first
 *   B Name                   the vTPM's AK, as its manager says
 *   B SHA-256                the vTPM's quote (TPMS_ATTEST), as its manager says
 *   B SHA-256                the event log of the guest's launch; empty: none
 *   B SHA-256                the stub domain's kernel; empty: a process of domain 0
 *   B SHA-256                the manager
 *   B SHA-256                the host's event log; empty: none
 */
#ifndef XVTPM_BINDING_H
#define XVTPM_BINDING_H

#include "lib/cursor.h"

#define BINDING_LABEL	  "xen-vtpm deep quote 2"
#define BINDING_NONCE_MIN 16
#define BINDING_NONCE_MAX 64
#define BINDING_USER_MAX  64
#define BINDING_KEYS_MAX  4
#define BINDING_NAME_MAX  66 /* TPMT_HA with SHA-512 */
#define BINDING_SIZE_MAX  1024

/* Bytes inside of the caller's buffer. */
struct binding_part {
	const uint8_t *p;
	size_t n;
};

struct binding {
	struct binding_part nonce, user;
	uint8_t uuid[16];
	size_t keys;
	struct binding_part ek[BINDING_KEYS_MAX];
	struct binding_part ak, quote, guest_log;
	struct binding_part kernel, manager, host_log;
};

/* -EMSGSIZE; *len: in, room; out, bytes. */
int __must_check binding_encode(const struct binding *b, uint8_t *out, size_t *len);
/* The parts point into buf.  -EBADMSG */
int __must_check binding_decode(const uint8_t *buf, size_t len, struct binding *b);

#endif
