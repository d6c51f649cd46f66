/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xl, run as a child.  What is open here without O_CLOEXEC it has, and so has the xl that stays
 * as the guest's monitor.  xl's own children have it, too: libxl closes nothing for QEMU.
 */
#ifndef XVTPM_VTPMCTL_XL_H
#define XVTPM_VTPMCTL_XL_H

#include "include/compiler.h"

#define XL_MISSING 127 /* as a shell has it; where out is given */

/* out: where what xl prints goes, and its complaints nowhere; then returns xl's exit status, or
 * VTPMCTL_FAILED when a signal ended it.  -1: to the terminal; then returns an exit status:
 * VTPMCTL_XL, whatever xl's own is, which says what libxl's error was, and has other meanings
 * here; VTPMCTL_NOT_CONFIGURED: there is no xl, of which a sentence was printed. */
int xl_run(char *const argv[], int out);
/*
 * The same, to the terminal, of an xl that stays as the guest's monitor, for a caller that holds a lock of flock(2)
 * by a descriptor with O_CLOEXEC.  A process remains that has it until no xl of this run is there
 * any more; a QEMU that hangs has it not.  When that process is killed the lock is gone, as when
 * xl is.
 */
int xl_run_held(char *const argv[]);
/* What that process does, in a child that has the lock: runs xl, writes its exit status (u8) to
 * told, which it closes, and stays. */
void __attribute__((noreturn)) xl_hold(char *const argv[], int told);
/* Takes the lock of a launch, which vtpmd has made a file for.  A descriptor, or -errno. */
int __must_check xl_lease(const char *path);

#endif
