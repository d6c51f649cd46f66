/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests that `vtpmctl launch` has measured.
 *
 * vtpmctl sends what it measured; it becomes the file launch-UUID (of the guest's
 * domain) in vtpmd's run folder.  vtpmctl locks that file (flock, shared) and runs xl,
 * which builds the guest of the descriptors that were measured, again after a reboot.
 * A vtpmctl stays, with the lock, as long as that xl is the guest's monitor.  So the file
 * counts while a process holds the lock: without it, the measured bytes are gone, too.
 * And it does so whether vtpmd was restarted meanwhile or not.
 *
 *   kept by launch_keep -> locked by vtpmctl -> launch_held, found by launch_find
 *   -> the lock ends with xl -> removed by launch_sweep
 *
 * The file: "XVLAUNCH" | u8 count | count * 16 bytes, the vTPMs' uuids | the list of
 * lib/measure.h.
 */
#ifndef VTPMD_LAUNCH_H
#define VTPMD_LAUNCH_H

#include <stdbool.h>
#include "compiler.h"
#include "lib/cursor.h"

#define LAUNCH_VTPMS_MAX 8
#define LAUNCH_NAME_SIZE 64

struct launch {
	uint8_t domain[16]; /* the guest's uuid */
	unsigned int vtpms;
	uint8_t vtpm[LAUNCH_VTPMS_MAX][16];
	const uint8_t *list;
	size_t len;
};

/* The file's name in the run folder. */
void launch_name(const uint8_t domain[16], char name[static LAUNCH_NAME_SIZE]);
/* -EBADMSG: the list is none, or too many vTPMs; what the disk says. */
int __must_check launch_keep(int run_dir, const struct launch *l);
/* Whether somebody holds the lock on it. */
bool __must_check launch_held(int run_dir, const uint8_t domain[16]);
/* Writes the list of a held launch to out.  domain NULL: of any that names the vTPM, for
 * tests without Xen.  -ENOENT: no launch, or it does not name the vTPM. */
int __must_check launch_find(int run_dir, const uint8_t *domain, const uint8_t vtpm[16],
			     struct cursor *out);
/* The same; found: the guest's uuid. */
int __must_check launch_find_of(int run_dir, const uint8_t *domain,
				const uint8_t vtpm[16], struct cursor *out,
				uint8_t found[16]);
/* Removes launches that are a minute old and not locked. */
void launch_sweep(int run_dir);

#endif
