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
#include "tools/vtpmctl/refusal.h"

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
	const char *bios;	/* "seabios" or "ovmf"; NULL: one that has no TPM */
	char loader[512];	/* hvmloader's path */
	const char *loader_key; /* the line that names it; NULL: none, and it is Xen's */
	struct {
		const char *path; /* NULL: the guest has none */
		struct launch_image image;
	} one[FIRMWARE_KINDS];
};

/* The line of xl's file that names an image of that kind, and the kind's name. */
extern const char *const firmware_key[FIRMWARE_KINDS];
extern const char *const firmware_kind[FIRMWARE_KINDS];

/* Finds the images of the guest with this file, which outlives *f.  false: a line of it
 * names something that no hash would cover, or an image is not there; *r says so, and those
 * of the others that are there are found all the same. */
bool __must_check firmware_find(struct firmware *f, const XLU_Config *cfg,
				const char *file, struct refusals *r);
/* Reads and hashes all that were found.  One that cannot be read is then none. */
bool __must_check firmware_read(struct firmware *f, const char *file, struct refusals *r);
/* Whether its BIOS or UEFI, which was found, is the one that libxl takes by itself. */
bool firmware_is_stock(const struct firmware *f);
/* "seabios" or "ovmf", as which these bytes are firmware of this release that measures, of the
 * packages xen-vtpm-seabios and xen-vtpm-ovmf, whose SHA-256 is the same on all hosts; or NULL. */
const char *firmware_measures(const struct launch_image *image);
/* "ovmf" of bytes that are a UEFI, else "seabios". */
const char *firmware_kind_of(const struct launch_image *image);
/* Writes the launch's record of them (lib/measure.h).  -E2BIG: it has no room */
int __must_check firmware_record(const struct firmware *f, struct cursor *list);

#endif
