/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manager is started from: private copies of the kernel and the manager's program,
 * made and hashed in one reading, which cannot change any more (sealed memfds).  What
 * runs is what was hashed, whatever happens to the files meanwhile.
 */
#ifndef VTPMD_IMAGE_H
#define VTPMD_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/error.h"

#define IMAGE_HASH_SIZE 32
#define IMAGE_MAX	(64 * 1024 * 1024)

/* What is known of a manager that runs. */
struct image {
	bool known; /* false: an older vtpmd started it */
	bool has_kernel;
	uint8_t kernel[IMAGE_HASH_SIZE], manager[IMAGE_HASH_SIZE];
};

/* *fd: the copy; the caller closes it. */
int __must_check image_take(const char *path, int *fd, uint8_t hash[IMAGE_HASH_SIZE],
			    struct error *e);
/* The name by which this process and its children open the copy. */
void image_path(int fd, char out[64]);

#endif
