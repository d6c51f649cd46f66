/* SPDX-License-Identifier: Apache-2.0 */
/* What does not fit the anchor, and the sentence for it.  Private to anchor*.c. */
#ifndef VTPMD_ANCHOR_CHECK_H
#define VTPMD_ANCHOR_CHECK_H

#include "tools/vtpmd/anchor_table.h"
#include "tools/vtpmd/vtpm.h"

/* Whether the vTPM's folder is as new as what is known of it (NULL: nothing).
 * -ESTALE: older, or unknown. */
int __must_check anchor_check_folder(const struct anchor_entry *known, struct vtpm *v,
				     struct error *e);
/* Fills *e for an error of anchor_file_load(). */
void anchor_check_say(int rc, const char *dir, struct error *e);

#endif
