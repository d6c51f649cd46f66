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
/* Atomically, mode 0600.  -EAGAIN when h was read from a file, and path has another text
 * now: another command's, which is not undone. */
int __must_check hostfile_write(const char *path, struct hostconf *h, struct error *e);
/* Keeps the file that is about to be replaced as PATH.prev, and says so: it is the way
 * back.  One that is there becomes PATH.prev.1, or the next number. */
int __must_check hostfile_keep(const char *path, struct error *e);
#define HOSTFILE_KEPT_MAX 20
/* Takes the public key of a PEM file for h's recovery key; path NULL: leaves h as it is. */
int __must_check hostfile_recovery_key(const char *path, struct hostconf *h,
				       struct error *e);

#endif
