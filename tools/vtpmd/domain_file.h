/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a stub domain in vtpmd's run folder: NAME.cfg, which xl reads;
 * NAME.xl.log, what it says; NAME.domain, by which a later vtpmd finds the very domain
 * that an earlier one started, and no other, and knows what it runs.
 */
#ifndef VTPMD_DOMAIN_FILE_H
#define VTPMD_DOMAIN_FILE_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/error.h"
#include "tools/vtpmd/body.h"

#define DOMAIN_FILE_CONFIG "cfg"
#define DOMAIN_FILE_LOG	   "xl.log"
#define DOMAIN_FILE_KEPT   "domain"

#define DOMAIN_FILE_SITE_MAX 65536 /* bytes of a site's own lines */

void domain_file_path(const struct body *b, const char *suffix, char *out, size_t room);

/* uuid: of the domain, not of the vTPM; kernel, manager: copies of image_take().  With
 * what a site wants in each stub domain's file (a cpuid mask, an XSM label), when it has
 * such a file; one that cannot be read is an error. */
int __must_check domain_file_config(const struct body *b, const uint8_t uuid[16],
				    int kernel, int manager, struct error *e);

/* Of b, its image.  -errno */
int __must_check domain_file_keep(const struct body *b, const uint8_t uuid[16]);
/* -ENOENT: nothing was kept, or nothing that makes sense.  An older vtpmd kept the uuid
 * alone: then the image is not known. */
int __must_check domain_file_kept(struct body *b, uint8_t uuid[16]);
void domain_file_forget(const struct body *b);
/* Removes all of them, of a vTPM that has gone, or has another name. */
void domain_file_remove_all(const struct vtpmd *d, const char *vtpm);

/* The last line that xl wrote, which is where it says why. */
void domain_file_said(const struct body *b, char *out, size_t room);

#endif
