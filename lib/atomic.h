/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are always whole: a write is NAME.new, fsync, rename over NAME,
 * fsync of the folder.  Whatever fails, and wherever the power goes, NAME is
 * either the old or the new file; a 0 means that the new one is durable.
 */
#ifndef XVTPM_ATOMIC_H
#define XVTPM_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

/* keep: the old file stays as NAME.prev (a hard link, so no copy). -errno. */
int __must_check atomic_write(int dir, const char *name, const void *buf, size_t len,
			      bool keep);
/* malloc()ed bytes; -ENOENT, -EFBIG when it is longer than max. */
int __must_check atomic_read(int dir, const char *name, size_t max, uint8_t **buf,
			     size_t *len);

#endif
