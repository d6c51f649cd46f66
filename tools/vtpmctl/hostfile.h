/* SPDX-License-Identifier: Apache-2.0 */
/* host.json (lib/hostconf.h) as a file that vtpmctl reads and writes. */
#ifndef XVTPM_VTPMCTL_HOSTFILE_H
#define XVTPM_VTPMCTL_HOSTFILE_H

#include "include/compiler.h"
#include "lib/error.h"
#include "lib/hostconf.h"

/* -ENOENT with CAUSE_NOT_CONFIGURED: no file; -EBADMSG with the same
 * cause when it is not what hostfile_write() writes. */
int __must_check hostfile_load(const char *path, struct hostconf *h, struct error *e);
/* Atomically, mode 0600. */
int __must_check hostfile_write(const char *path, const struct hostconf *h,
				struct error *e);
/* Keeps the file that is about to be replaced as PATH.prev, and says so: it is the way
 * back. */
void hostfile_keep(const char *path);

#endif
