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

/* Consistent at a command boundary, also while a guest uses the vTPM: the store
 * changes in whole states, and by this process alone.  NULL: *e tells why. */
json_t *backup_make(struct vtpm *v, struct error *e);
/* Makes a stopped vTPM of a backup; name NULL: its own.  -EEXIST: the name or the vTPM
 * itself is here already; -EBADMSG: it is no whole backup. */
int __must_check backup_restore(struct vtpmd *d, const json_t *backup, const char *name,
				struct vtpm **out, struct error *e);

/* An operator's act puts the vTPM's folder, as it is, in the place of what was anchored:
 * a line in the audit log, and the anchor. */
void backup_take(struct vtpm *v, const char *event);
/* It is older than it should be, or unknown here, and meant.  -EBUSY: it runs. */
int __must_check backup_accept(struct vtpm *v, struct error *e);

/* Stores a header (hex) for a vTPM that is stopped or failed. */
int __must_check backup_reseal(struct vtpm *v, const json_t *header, struct error *e);

#endif
