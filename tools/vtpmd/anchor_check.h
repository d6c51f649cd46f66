/* SPDX-License-Identifier: Apache-2.0 */
/* A vTPM's folder against what is known of it.  Private to anchor*.c. */
#ifndef VTPMD_ANCHOR_CHECK_H
#define VTPMD_ANCHOR_CHECK_H

#include "tools/vtpmd/anchor_table.h"
#include "tools/vtpmd/vtpm.h"

/* Whether the entry is of a vTPM that is being made. */
bool anchor_check_unmade(const struct anchor_entry *e);
/* Reads header and state once, checks them against the entry, NULL: nothing is known, and
 * makes them what the store gives out (store_know()); what is damaged or not there is left
 * to the manager to tell.  -ESTALE, -ENOENT: *e tells */
int __must_check anchor_check_folder(const struct anchor_entry *known, struct vtpm *v,
				     struct error *e);
/* The same without an anchor: what is there counts. */
int __must_check anchor_check_nothing(struct vtpm *v, struct error *e);
/* The sentence for a table that was not found or does not fit (anchor_file_load()). */
void anchor_check_say(int rc, const char *dir, struct error *e);

#endif
