/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that a guest boots of, read once: a private copy that nobody can change
 * (memfd, sealed), and the hashes of that copy.  xl inherits the descriptor and opens
 * /proc/self/fd/N, never the file's name; also when the guest reboots.
 */
#ifndef XVTPM_LAUNCH_IMAGE_H
#define XVTPM_LAUNCH_IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/measure.h"

struct launch_image {
	int fd; /* not closed on exec */
	uint64_t size;
	uint8_t digests[MEASURE_DIGESTS];
};

/* -errno, EIO when OpenSSL failed. */
int __must_check launch_image_read(const char *path, struct launch_image *i);
/* The same of bytes in memory. */
int __must_check launch_image_make(const char *name, const void *bytes, size_t len,
				   struct launch_image *i);
/* All four hashes of bytes.  -EIO */
int __must_check launch_image_hash(const void *bytes, size_t len,
				   uint8_t digests[MEASURE_DIGESTS]);

#endif
