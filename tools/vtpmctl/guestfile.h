/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's own file, read once, by xl's parser; and the text of it that xl gets, with
 * what was measured in it.
 */
#ifndef XVTPM_VTPMCTL_GUESTFILE_H
#define XVTPM_VTPMCTL_GUESTFILE_H

#include "include/compiler.h"
#include "lib/error.h"
#include "tools/vtpmctl/firmware.h"
#include "tools/vtpmctl/measure.h"

#include <libxlutil.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct guestfile {
	XLU_Config *cfg;
	char *text; /* of the file; after guestfile_finish() the one for xl */
	size_t len;
	/* of boot_find() */
	const char *kernel, *ramdisk; /* ramdisk NULL: none */
	struct launch_image kernel_image, ramdisk_image;
	char *cmdline;		  /* "": none */
	char uuid[37];		  /* of the guest's domain */
	bool own_uuid;		  /* made here: the file has none */
	struct firmware firmware; /* of an HVM guest, which has no kernel of these */
	/* The lines that are added to the text: what was measured is what xl gets. */
	struct {
		const char *key;
		char value[40];
	} line[FIRMWARE_KINDS + 2];
	size_t lines;
};

/* Reads it; report: where xl's parser says of which lines it makes nothing.  -errno, and then
 * there is nothing to free. */
int __must_check guestfile_parse(const char *file, FILE *report, struct guestfile *c,
				 struct error *e);
/* The same for a command: an exit status; a sentence was printed when it is not 0. */
int __must_check guestfile_read(const char *file, struct guestfile *c);
/* The images that were read stay open. */
void guestfile_free(struct guestfile *c);
/* The value of a line that is a text, or NULL. */
const char *guestfile_text(const struct guestfile *c, const char *key);
/* A PV or PVH guest: the firmware of an HVM guest would read its disk. */
bool guestfile_boots_kernel(const struct guestfile *c);
bool guestfile_is_hvm(const struct guestfile *c);
void guestfile_add(struct guestfile *c, const char *key, const char *value);
/* xl opens the copy by its descriptor. */
void guestfile_add_image(struct guestfile *c, const char *key,
			 const struct launch_image *i);
/* The last of several lines counts for xl.  -EINVAL: it would not read these; -ENOMEM */
int __must_check guestfile_finish(struct guestfile *c);

#endif
