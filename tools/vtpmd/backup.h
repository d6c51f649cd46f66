/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vTPM on its way into a file and back: what vtpm.json says, and the sealed objects
 * as they lie in the store, in hex.  Nothing in it is secret; it opens only where the
 * header's key slots open.
 */
#ifndef VTPMD_BACKUP_H
#define VTPMD_BACKUP_H

#include <jansson.h>
#include "tools/vtpmd/registry.h"

/* What was handed to vtpmctl for a file, until it has told what became of that: the audit log
 * has a backup as made only when it is.  Starts zeroed. */
struct backup_given {
	bool waits;
	char name[META_NAME_MAX + 1];
	uint8_t uuid[16];
	uint64_t seq;
};

/* Writes what became of it into the audit log and the journal, once.  why: NULL: it was
 * made; else why it was not. */
void backup_told(struct vtpmd *d, struct backup_given *g, const char *why);

/* Consistent at a command boundary, also while a guest uses the vTPM: the store
 * changes in whole states, and by this process alone.  NULL: *e tells why. */
json_t *backup_make(struct vtpm *v, struct error *e);
/* The same backup, given to vtpmctl: backup_told() is to follow. */
void backup_give(struct vtpm *v, struct backup_given *g);
/* The vTPM that it is of, whatever its name is here; NULL: that is not here. */
struct vtpm *backup_find(struct vtpmd *d, const json_t *backup);
/* -EBADMSG, and the sentence that says so. */
int backup_not_whole(struct error *e);
/* Makes a stopped vTPM of a backup; name "": its own; lost: also when it has moved away, to a host
 * that never comes back.
 * -EEXIST: the name or the vTPM itself is here already, or on another host; -EBADMSG: it is
 * no whole backup. */
int __must_check backup_restore(struct vtpmd *d, const json_t *backup, const char *name,
				bool lost, struct vtpm **out, struct error *e);

/* Puts a backup, which has opened (trial.h), in the place of the stopped vTPM that it is of:
 * until all of it is on the disk the old one stays, and then goes.  name: as above, but "" is
 * the name that the vTPM has here. */
int __must_check backup_replace(struct vtpm *v, const json_t *backup, const char *name,
				struct error *e);
/* -EBUSY, and a sentence: it runs, or somebody waits for it. */
int __must_check backup_may_replace(const struct vtpm *v, struct error *e);

/* An operator's act puts the vTPM's folder, as it is, in the place of what was anchored:
 * a line in the audit log, and the anchor. */
void backup_take(struct vtpm *v, const char *event);
/* It is older than it should be, or unknown here, and meant.  -EBUSY: it runs. */
int __must_check backup_accept(struct vtpm *v, struct error *e);

/* Stores a header (hex) for a vTPM that is stopped or failed. */
int __must_check backup_reseal(struct vtpm *v, const json_t *header, struct error *e);

#endif
