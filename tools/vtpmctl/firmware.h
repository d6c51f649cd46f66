/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware that libxl gives to an HVM guest: hvmloader, the BIOS or UEFI image that it
 * starts, and what the guest's file adds to the tables that it makes.  Each image is read
 * once (measure.h), and xl gets all of them by descriptors, also those that libxl would
 * have found by itself, so that what was hashed is what the domain gets.
 */
#ifndef XVTPM_VTPMCTL_FIRMWARE_H
#define XVTPM_VTPMCTL_FIRMWARE_H

#include "include/compiler.h"
#include "tools/vtpmctl/measure.h"

#include <libxlutil.h>
#include <stdbool.h>

enum firmware_kind {
	FIRMWARE_HVMLOADER,
	FIRMWARE_BIOS,
	FIRMWARE_ACPI,
	FIRMWARE_SMBIOS,
	FIRMWARE_KINDS,
};

struct firmware {
	const char *bios; /* "seabios" or "ovmf" */
	char loader[512]; /* hvmloader's path */
	struct {
		const char *path; /* NULL: the guest has none */
		struct launch_image image;
	} one[FIRMWARE_KINDS];
};

/* The line of xl's file that names an image of that kind. */
extern const char *const firmware_key[FIRMWARE_KINDS];

/* The images of the guest with this file, which outlives *f.  false: a line of it names
 * something that no hash would cover, or an image is not there; a sentence was printed. */
bool __must_check firmware_find(struct firmware *f, const XLU_Config *cfg,
				const char *file);
/* Reads and hashes them all.  -errno, with *path the one that failed. */
int __must_check firmware_read(struct firmware *f, const char **path);
/* Writes the launch's record of them (lib/measure.h).  -E2BIG: it has no room */
int __must_check firmware_record(const struct firmware *f, struct cursor *list);

#endif
