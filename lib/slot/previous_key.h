/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key slot that a header has while its vTPM's data key is being replaced: the OLD
 * data key, encrypted under the new one.  Anyone who opens the header by another slot has
 * the new key, and by this slot the old one too; so each stored blob may be under
 * either, until all of them are under the new one and the slot goes.
 *
 * The slot has no parts of its own (lib/slot/slot.h); its secret is the new data key.
 */
#ifndef XVTPM_SLOT_PREVIOUS_KEY_H
#define XVTPM_SLOT_PREVIOUS_KEY_H

#include "lib/slot/envelope.h"

/* Adds the slot to a header that data_key authenticates; its seq stays.  *len: in and
 * out, bytes; the buffer has room for ENVELOPE_HEADER_MAX.  -ENOSPC: no slot is free */
int __must_check previous_key_add(uint8_t *header, size_t *len,
				  const uint8_t data_key[ENVELOPE_KEY_SIZE],
				  const uint8_t old_key[ENVELOPE_KEY_SIZE],
				  struct error *e);
/* 1: the slot is there, and old_key is what it holds; 0: it is not.
 * -EBADMSG (CAUSE_HEADER_CORRUPT) */
int __must_check previous_key_find(const uint8_t *header, size_t len,
				   const uint8_t data_key[ENVELOPE_KEY_SIZE],
				   uint8_t old_key[ENVELOPE_KEY_SIZE], struct error *e);
/* 1: out (ENVELOPE_HEADER_MAX bytes) is the header that follows, without the slot, and
 * *seq its generation; 0: there is no such slot. */
int __must_check previous_key_drop(const uint8_t *header, size_t len,
				   const uint8_t data_key[ENVELOPE_KEY_SIZE],
				   uint64_t epoch, uint8_t *out, size_t *out_len,
				   uint64_t *seq, struct error *e);

#endif
