/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The little that vtpmd reads of the sealed objects in its store: the clear head that
 * headers and blobs share, and the kinds of a header's key slots (lib/slot/envelope.h).
 */
#ifndef VTPMD_OBJECT_H
#define VTPMD_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "include/channel.h"

struct object_head {
	uint16_t second; /* a header's slot count, a blob's kind */
	uint8_t uuid[16];
	uint64_t seq, epoch;
};

/* Its file; NULL: there is no such object. */
const char *object_name(uint16_t object);
/* -EBADMSG: it is not that object. */
int __must_check object_parse(uint16_t object, const uint8_t *buf, size_t len,
			      struct object_head *h);
/* Kinds of a header's key slots, at most room; their number. */
size_t object_slots(const uint8_t *buf, size_t len, uint16_t *kinds, size_t room);
/* Whether a header belongs to a deep rekey that is not finished (lib/slot/previous_key.h). */
bool object_has_old_key(const uint8_t *header, size_t len);

#endif
