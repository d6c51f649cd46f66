/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that a guest boots from, read once: a private copy that cannot change
 * (memfd, sealed), and the hashes of that copy.  xl inherits the descriptor and opens
 * /proc/self/fd/N, never the file's name; also when the guest reboots.
 */
#ifndef XVTPM_VTPMCTL_MEASURE_H
#define XVTPM_VTPMCTL_MEASURE_H

#include "include/compiler.h"
#include "lib/cursor.h"
#include "lib/measure.h"

#include <libxlutil.h>
#include <stddef.h>
#include <stdint.h>

struct launch_image {
	int fd; /* not closed on exec */
	uint64_t size;
	uint8_t digests[MEASURE_DIGESTS];
};

#define LAUNCH_IMAGE_MAX \
	(1ull << 30) /* it takes domain 0's memory while the guest lives */

/* -errno, EIO when OpenSSL failed, EFBIG: it is larger than LAUNCH_IMAGE_MAX. */
int __must_check launch_image_read(const char *path, struct launch_image *i);
/* The same of bytes in memory. */
int __must_check launch_image_make(const char *name, const void *bytes, size_t len,
				   struct launch_image *i);
/* Opens one that another process has, by /proc/PID/fd/N, and hashes it; it is closed on exec.
 * -EPERM: what is there is none, or its bytes can still change. */
int __must_check launch_image_open(const char *path, struct launch_image *i);
/* The same as launch_image_read(), of bytes that come one after the other. */
int __must_check launch_image_begin(struct launch_image *i);
int __must_check launch_image_add(struct launch_image *i, const uint8_t *bytes,
				  size_t len);
/* On failure it is closed. */
int __must_check launch_image_end(struct launch_image *i);

#define LAUNCH_IMAGE_SHA256 65 /* in hexadecimal, and its zero */
void launch_image_sha256(const struct launch_image *i, char hex[LAUNCH_IMAGE_SHA256]);

/*
 * What a launch measures, and into which PCR: docs/launch.md says why.
 *
 *   PCR 1   each line of the config that says what the guest's machine is
 *   0 to 7  a separator: the machine is complete, what follows is what it boots
 *   PCR 4   the kernel
 *   PCR 9   the initial RAM disk, or its absence
 *   PCR 12  the kernel's command line
 */

struct launch_measured {
	XLU_Config *cfg;
	const char *kernel; /* the file's name */
	const struct launch_image *kernel_image;
	const char *ramdisk; /* NULL: none */
	const struct launch_image *ramdisk_image;
	const char *cmdline; /* "": none */
};

/* Whether its digests are those of its data: it is not an image's. */
bool launch_measure_is_text(const struct measure_event *e);
/* Prints a list as it is to be measured or recorded, a line an event. */
void launch_measure_print(const uint8_t *bytes, size_t len);
/* Writes the list.  -EIO: OpenSSL failed; -E2BIG: something is too long; -EBADMSG: a line of
 * xl's has lists in lists of a list. */
int __must_check launch_measure(const struct launch_measured *m, struct cursor *list);

#endif
