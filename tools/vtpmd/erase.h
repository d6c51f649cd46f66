/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the store that are to open nothing any more: zeroes over their bytes, then
 * their names.  What the disk does with the old bytes is its own affair, but nothing
 * that asks the file system finds them.
 */
#ifndef VTPMD_ERASE_H
#define VTPMD_ERASE_H

#include "compiler.h"

/* One file in a folder; not being there is success.  The folder is not synced. */
int __must_check erase_file(int dir, const char *name);
/* The generation before NAME, and what an interrupted write left beside it
 * (lib/atomic.h).  NAME itself stays, also when they are names of the same file. */
int __must_check erase_previous(int dir, const char *name);

#endif
