/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest boots that was launched, on its way to another host: no I/O.
 *
 * The guest's description, JSON of libxl's, names each image as /proc/self/fd/N, a descriptor
 * of the xl that has the guest.  On the other host its xl gets the same images at the same
 * numbers, and boots them when the guest reboots.  What was measured of the guest, the list of
 * lib/measure.h, is known to vtpmd there before: the images, and what the description boots
 * besides, have to be what that list says, so that the next boot is measured as what it is.
 *
 * An image is announced by XLBOOT_HEAD bytes: u8 enum xlboot_kind | u16 N | u64 size.
 */
#ifndef XVTPM_VTPMCTL_XLBOOT_H
#define XVTPM_VTPMCTL_XLBOOT_H

#include "include/compiler.h"
#include "tools/vtpmctl/measure.h"

#include <jansson.h>
#include <stdbool.h>

/* The numbers are in messages, and do not change. */
enum xlboot_kind {
	XLBOOT_KERNEL,
	XLBOOT_RAMDISK,
	/* of an HVM guest */
	XLBOOT_HVMLOADER,
	XLBOOT_BIOS,
	XLBOOT_ACPI,
	XLBOOT_SMBIOS,
	XLBOOT_KINDS,
};

/* A descriptor's number: more than standard error's, and what a process may have. */
#define XLBOOT_FD_MIN 3
#define XLBOOT_FD_MAX 255

/* What was measured of a guest. */
struct xlboot_list {
	const uint8_t *bytes; /* measure_check() holds */
	size_t len;
};

struct xlboot {
	int fd[XLBOOT_KINDS]; /* in xl; -1: the guest has no such image */
};

/* Whether it is what a `vtpmctl launch` measures: each image once, and of all other events the
 * digests of their texts.  What came from another host is looked at before it is used. */
bool xlboot_is_list(const struct xlboot_list *l);
/* Whether such an image was measured. */
bool xlboot_has(const struct xlboot_list *l, enum xlboot_kind kind);
/* Whether it was measured with these hashes and that size. */
bool xlboot_is_image(const struct xlboot_list *l, enum xlboot_kind kind,
		     const struct launch_image *i);
/* Whether it was measured with that size. */
bool xlboot_is_size(const struct xlboot_list *l, enum xlboot_kind kind, uint64_t size);

/* Reads libxl's description of a guest.  -EBADMSG: what it boots is not what was measured, and
 * *why says, behind the guest's name, what is not. */
int __must_check xlboot_read(const json_t *config, const struct xlboot_list *l,
			     struct xlboot *b, const char **why);

/* Whether the description names an image by a descriptor, so that a launch made the guest. */
bool xlboot_was_launched(const json_t *config);

#define XLBOOT_HEAD 11

struct xlboot_head {
	enum xlboot_kind kind;
	int fd;
	uint64_t size;
};

void xlboot_head_encode(const struct xlboot_head *h, uint8_t out[XLBOOT_HEAD]);
/* -EBADMSG: it is none, or larger than LAUNCH_IMAGE_MAX. */
int __must_check xlboot_head_decode(const uint8_t *in, size_t len, struct xlboot_head *h);

#define XLBOOT_STREAM_MAX (256 * 1024)

/* The beginning of a saved domain, collected: xl's header and the description.  Zeroes: nothing
 * has come. */
struct xlboot_stream {
	size_t have;
	uint8_t bytes[XLBOOT_STREAM_MAX];
};

/* The next bytes.  0 with *config, a new object, once that is whole; -EAGAIN: more has to come;
 * -EBADMSG: it has no description in JSON, or too long a one. */
int __must_check xlboot_stream_take(struct xlboot_stream *s, const uint8_t *p, size_t n,
				    json_t **config);

#endif
