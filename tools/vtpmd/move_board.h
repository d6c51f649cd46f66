/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of an HVM guest's TPM is in domain 0, and moves with it: the registers that its
 * vtpm-crb has (frontend/crb/crb.h), the page of the buffer, which that writes without
 * Xen's knowledge, so that the copy of the guest's memory may lack what was written last, and
 * the request of physical presence.  No secret of the TPM, and nothing that its guest could
 * not have written there.
 *
 *   B "xen-vtpm board 1" | u8 active | u8 pending | u8 seized | u8 ready | u8 failed
 *   | u8 cancel | u8 locality | u8 executing | u32 INT_ENABLE | u32 request
 *   | B response that the guest has not read | buffer[4096]
 */
#ifndef VTPMD_MOVE_BOARD_H
#define VTPMD_MOVE_BOARD_H

#include "frontend/crb/crb.h"
#include "include/compiler.h"

#define MOVE_BOARD_LABEL "xen-vtpm board 1"

struct move_board {
	struct crb_state crb;
	uint32_t request;
	uint8_t buffer[CRB_BUFFER_MAX];
};

/* *len: room, then bytes.  -EBADMSG: no vtpm-crb has such registers; -EMSGSIZE */
int __must_check move_board_encode(const struct move_board *b, uint8_t *out, size_t *len);
/* -EBADMSG */
int __must_check move_board_decode(const uint8_t *buf, size_t len, struct move_board *b);

#endif
