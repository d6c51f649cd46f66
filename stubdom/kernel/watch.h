/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watches of one open /dev/xen/xenbus, and the events that wait to be read.
 * Pure, and one page: what a guest makes happen in its part of xenstore cannot cost
 * more.  When the events' room is full, an event for the watched path itself, later,
 * stands for all of its events that were dropped.
 *
 * A pair is "path\0token\0", as XS_WATCH and XS_WATCH_EVENT carry it.
 */
#ifndef STUB_WATCH_H
#define STUB_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "include/compiler.h"

#define WATCH_PAIR_MAX 512 /* of a pair that is watched, both zeroes counted */
#define WATCH_RECORDS  1536
#define WATCH_EVENTS   2552

struct watch {
	uint16_t used;		    /* bytes of records */
	uint16_t queued;	    /* bytes of events */
	char record[WATCH_RECORDS]; /* one byte "dropped", then the pair; repeated */
	char event[WATCH_EVENTS];   /* length, 2 bytes, then the pair; repeated */
};

/* Exactly two texts; *token is where the second begins. */
bool watch_is_pair(const char *pair, size_t n, size_t *token);
/* 0; -EEXIST, -ENOSPC (too many), -EINVAL (no pair, or too long). */
int __must_check watch_add(struct watch *w, const char *pair, size_t n);
void watch_remove(struct watch *w, const char *pair, size_t n);
/* The watch that starts at *at in the records, which moves on; NULL after the last. */
const char *watch_next(const struct watch *w, size_t *at, size_t *n);
/* An event has come in; one that no watch asked for is dropped. */
void watch_put(struct watch *w, const char *pair, size_t n);
/* The oldest event and its size, or NULL. */
const char *watch_first(const struct watch *w, size_t *n);
/* Forgets the oldest event. */
void watch_drop_first(struct watch *w);

#endif
