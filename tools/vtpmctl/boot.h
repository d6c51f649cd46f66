/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest boots: the kernel of a PV or PVH guest, the firmware of an HVM guest.  It is
 * found by the guest's file, read once (measure.h), measured, and named to xl.
 *
 *   boot_find -> boot_read -> boot_measure -> boot_hand -> guestfile_finish
 */
#ifndef XVTPM_VTPMCTL_BOOT_H
#define XVTPM_VTPMCTL_BOOT_H

#include "lib/cursor.h"
#include "tools/vtpmctl/guestfile.h"
#include "tools/vtpmctl/refusal.h"

/* Each returns false when not all that the guest boots can be measured, and *r says why. */

/* What could be found is in *c all the same. */
bool __must_check boot_find(struct guestfile *c, const char *file, struct refusals *r);
/* Reads and hashes what was found.  What cannot be read is not there any more. */
bool __must_check boot_read(struct guestfile *c, const char *file, struct refusals *r);
/* Writes the launch's list of it (lib/measure.h). */
bool __must_check boot_measure(const struct guestfile *c, const char *file,
			       struct cursor *list, struct refusals *r);

/* Prints a line for each image that was read: what it is, its SHA-256, its path. */
void boot_print(const struct guestfile *c);
/* Names the images that were read to xl, by their descriptors. */
void boot_hand(struct guestfile *c);

#endif
