/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a manager that is a process of domain 0 gives up what it does not need, once all
 * that it works with is open, and before the first byte of a peer or guest is read.  From
 * then on
 *
 *   - it is the unprivileged user that vtpmd names, without groups, without capabilities
 *     (the bounding set is empty), and cannot get any (no_new_privs);
 *   - its root is an empty file system that cannot be written, and its network, System V
 *     IPC and host name are its own, with nothing in them;
 *   - it cannot be traced, leaves no core file, makes no process and no file, and has
 *     64 descriptors and 64 MiB of addresses at most;
 *   - the kernel kills it when vtpmd ends, however that is;
 *   - the kernel kills it (SIGSYS) for any system call that is not on depriv.c's list.
 *
 * All managers have one user: what keeps them apart is that none has a call by which a
 * process reaches another one (ptrace, process_vm_*, pidfd_*, kill of another), nor a
 * name in /proc to open, and that none can be traced.
 *
 * A stub domain has none of this to give up.
 */
#ifndef XVTPM_DEPRIV_H
#define XVTPM_DEPRIV_H

#include <stdbool.h>
#include <sys/types.h>
#include "compiler.h"
#include "lib/error.h"

struct depriv_user {
	uid_t uid; /* 0: none was named */
	gid_t gid;
};

/* Takes "UID:GID", both numbers that are not 0. */
bool __must_check depriv_parse(const char *text, struct depriv_user *user);
/* Gives it all up.  0, or -errno and *e: then it is half done, and the process has to end
 * without reading from anybody but vtpmd.  Standard input, output and error lead nowhere
 * afterwards: what a manager has to say goes over the host channel.  A program that the
 * sanitizers watch keeps all that it has, as they need it. */
int __must_check depriv(const struct depriv_user *user, struct error *e);
/* The same for vtpm-crb, which outlives vtpmd; of Xen it keeps the event channels that it
 * has, and the pages of its guest. */
int __must_check depriv_crb(const struct depriv_user *user, struct error *e);

#endif
