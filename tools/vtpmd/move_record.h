/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The durable records of handovers: STORE/handovers/UUID, one for each vTPM that is moving or
 * has moved.  They are beside the vTPMs' folders, so that erasing a folder leaves them.
 *
 *   B "xen-vtpm handover 3" | u8 enum handover_state | txid[16] | gone[16] | uuid[16]
 *   | B name of the vTPM | B name of the other host
 *   | B Name of the attestation key that the list of hosts had of it when the move began
 *   | u64 generation of the state with which it came, not 0
 * With the label "xen-vtpm handover 2" the last one is not there, as of a vTPM that has not come, or
 * that an older release took; and with "xen-vtpm handover 1" neither is the Name: both are not known.
 * A plain file; while a guest may stand still it is a twin file (lib/twin.h), of which an older side
 * has an older record: that is made plain again a while later, or when vtpmd begins anew.
 */
#ifndef VTPMD_MOVE_RECORD_H
#define VTPMD_MOVE_RECORD_H

#include "include/compiler.h"
#include "lib/pool.h"
#include "lib/twin.h"
#include "tools/vtpmd/handover.h"
#include "tools/vtpmd/meta.h"

#define MOVE_RECORD_MAX 512
#define MOVE_AK_MAX	66 /* a TPM2B_NAME of SHA-512 */

struct move_ak {
	uint16_t n; /* 0: not known */
	uint8_t bytes[MOVE_AK_MAX];
};

struct move_record {
	struct handover h;
	uint8_t uuid[16];
	char name[META_NAME_MAX + 1];
	char peer[POOL_NAME_MAX + 1]; /* "": none yet */
	struct move_ak ak;	      /* the peer's */
	/* OWNED: the generation of the state that was imported; 0: not known, or another state */
	uint64_t came;
};

/* *len: room, then bytes.  -EMSGSIZE */
int __must_check move_record_encode(const struct move_record *r, uint8_t *out,
				    size_t *len);
/* -EBADMSG: it is none, or its state is not one that is recorded. */
int __must_check move_record_decode(const uint8_t *buf, size_t len,
				    struct move_record *r);
/* Writes it, durably: also one of ABSENT, whose folder is still to be erased.  *untouched, of a
 * failure: what there was is there, and nothing of r; else nobody knows which of both a power cut
 * leaves.  untouched may be NULL.  room, NULL or what move_record_make_room() made: then it is one
 * write of blocks that are on the disk already, and one sync. */
int __must_check move_record_write(const char *store, const struct move_record *r,
				   struct twin_own *room, bool *untouched);
/* Makes room for the records that are written while a guest stands still: the one that there is, or
 * else r, becomes a twin file (lib/twin.h), with the same content.  *room: zeroes, or as an earlier
 * call left it.  Returns 1 when r was written, 0 when there was one. */
int __must_check move_record_make_room(const char *store, const struct move_record *r,
				       struct twin_own *room);
/* Makes a plain file of it: what is damaged then is no older record. */
int __must_check move_record_settle(const char *store, const uint8_t uuid[16]);
/* Removes it: there is no record. */
int __must_check move_record_remove(const char *store, const uint8_t uuid[16]);
/* Calls each with all that are there; one that cannot be read, or does not parse, is logged, and
 * left, and lost is called.  -errno: there may be others; -ENOTDIR, -ELOOP: there is no folder. */
int __must_check move_record_each(const char *store, void *ctx,
				  void (*each)(void *ctx, const struct move_record *r),
				  void (*lost)(void *ctx, const uint8_t uuid[16],
					       int rc));

#endif
