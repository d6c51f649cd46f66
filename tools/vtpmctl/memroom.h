/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether domain 0 has memory for what another host sends it to hold, before it is accepted, and
 * while it comes: others take of it, too, and what is held cannot be swapped out on most hosts.
 */
#ifndef XVTPM_VTPMCTL_MEMROOM_H
#define XVTPM_VTPMCTL_MEMROOM_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMROOM_FILE  "/proc/meminfo"
#define MEMROOM_SPARE 256 /* MiB that stay available, unless an operator says */
#define MEMROOM_STEP \
	(8u * 1024 * 1024) /* so many bytes come before it is looked at again */

struct memroom {
	const char *file;
	uint64_t spare;	    /* bytes that have to stay available */
	uint64_t left;	    /* that are to come */
	uint64_t look;	    /* how many of them before it is looked at again */
	uint64_t available; /* when that was looked at last; 0: not known */
};

/* MemAvailable, in bytes.  -errno, -EBADMSG: the file does not say so */
int __must_check memroom_read(const char *file, uint64_t *bytes);
/* So many bytes are to come.  -ENOMEM: there is not so much memory, or that is not known. */
int __must_check memroom_begin(struct memroom *r, const char *file,
			       unsigned int spare_mib, uint64_t bytes);
/* The next n of them come.  -ENOMEM: too little would stay. */
int __must_check memroom_take(struct memroom *r, size_t n);

#endif
