/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One vTPM's folder of the store, ROOT/UUID/ (0700): the sealed objects that its
 * manager keeps here, and the lease on them.  vtpmd never understands what it
 * keeps; it reads only the clear head of lib/slot/envelope.h's formats, so that one
 * vTPM's object, or an older one, cannot get into another's place.
 *
 * The generation before an object is kept beside it as NAME.prev, but for one case: a
 * deep rekey.  It begins with a header that has an old-key slot (lib/slot/previous_key.h), and ends
 * with one that has none.  At its begin the header's previous generation is erased, at
 * its end all previous generations: they lead to the old data key, or are states under
 * it.  The header that it replaces goes last, by store_settle().
 */
#ifndef VTPMD_STORE_H
#define VTPMD_STORE_H

#include "include/channel.h"
#include "include/compiler.h"
#include "lib/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of an object that were checked, or stored by this vtpmd: others are not given
 * out any more, whoever puts them into the folder. */
struct store_known {
	bool set;
	uint8_t hash[32]; /* SHA-256 */
	uint64_t seq, epoch;
};

#define STORE_KNOWN 4 /* header, permall, and the same of the source of a copy */

struct store {
	int dir;
	int lease; /* file descriptor; -1: not ours */
	uint8_t uuid[16];
	uint64_t epoch; /* of the run, which all puts have to carry; 0: any */
	struct store_known known[STORE_KNOWN];
	struct store_known coming; /* of the put that runs: store_put.h */
	unsigned int puts;	   /* that run: store_put.h */
};

/* Opens ROOT/UUID/; create: makes it (-EEXIST). */
int __must_check store_open(struct store *s, const char *root, const uint8_t uuid[16],
			    bool create);
/* While there is no lease: the folder that is there now, which may be another one (a
 * copy that was put back). */
int __must_check store_reopen(struct store *s, const char *root);
/* Gives the lease back too. */
void store_close(struct store *s);

/* One owner at a time.  A lease that another machine wrote and never gave back
 * is refused (-EBUSY) with a sentence: its vTPM may still run there. */
int __must_check store_lease(struct store *s, struct error *e);
/* The vTPM is stopped; it may be started anywhere. */
void store_release(struct store *s);

/* malloc()ed; -ENOENT, -EINVAL for an unknown object; -ESTALE: it is not what is known. */
int __must_check store_get(struct store *s, uint16_t object, uint8_t **buf, size_t *len);
/* 0: durable.  -EINVAL: no such object, or bytes that are not what seq and
 * object say, or of another epoch; -EPERM: another vTPM's; -ESTALE: seq is not above the stored
 * one's, unless the bytes are the same; -EBADMSG: what is stored there is
 * damaged and is left as it is. */
int __must_check store_put(struct store *s, uint16_t object, uint64_t seq,
			   const uint8_t *buf, size_t len);
/* From now on these bytes are what is known of an object. */
int __must_check store_know(struct store *s, uint16_t object, const uint8_t *buf,
			    size_t len);
/* These may be there already, as they are being put; NULL: none are. */
void store_expect(struct store *s, const uint8_t *buf, size_t len);
void store_know_nothing(struct store *s);
/* NULL: nothing is known of it. */
const struct store_known *store_known(const struct store *s, uint16_t object);
/* Whether these bytes are known to be the object. */
bool store_knows(const struct store *s, uint16_t object, const uint8_t *buf, size_t len);
/* The header with this hash, which is the stored one or, after a crash, the one before it:
 * that is put back then (1).  -ENOENT, -ESTALE: there is none */
int __must_check store_find_header(struct store *s, const uint8_t hash[32]);
/* For a vTPM that is being made as a copy: puts what is stored of another one beside it,
 * as the CHANNEL_OBJECT_SOURCE_*, which no manager can put. */
int __must_check store_take_source(struct store *s, struct store *from);
/* Erases it again. */
int __must_check store_drop_source(struct store *s);
/* The end of a deep rekey: erases a header.prev with an old-key slot beside a header
 * without, once that is the one that counts (anchor.h). */
int __must_check store_settle(struct store *s);
/* The generation that an object's bytes say. -EBADMSG, -EINVAL */
int __must_check store_object_seq(uint16_t object, const uint8_t *buf, size_t len,
				  uint64_t *seq);
bool store_has(struct store *s, uint16_t object);
/* Generation of a stored object; 0: none, or damaged. */
uint64_t store_seq(struct store *s, uint16_t object);
/* The same of an object that says that it is this vTPM's: -ENOENT; -EBADMSG: damaged, or
 * another's, so that no manager will open it. */
int __must_check store_own_seq(struct store *s, uint16_t object, uint64_t *seq);
/* Kinds of the stored header's key slots, at most room; their number. */
size_t store_slots(struct store *s, uint16_t *kinds, size_t room);
/* Removes a header that was written before a creation was interrupted. */
int __must_check store_drop_header(struct store *s);
/* Removes the folder with all that is in it. */
int __must_check store_remove(struct store *s, const char *root);

#endif
