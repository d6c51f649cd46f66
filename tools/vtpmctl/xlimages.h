/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The images that a launched guest boots (xlboot.h) go to the other host before the guest does:
 * the xl that has it here ends with it, or, of Xen 4.17, when it is suspended.  For each
 *
 *	source					destination
 *	IMAGE, its head as a piece of data --->	it was measured, with that size
 *			    <------------------	TAKEN 0, or REFUSED
 *	its bytes, in pieces ---------------->	a sealed memfd, with the hash that was measured
 *			    <------------------	TAKEN 1, or REFUSED
 *
 * and then START (xlmigrate.h).  xl there gets them at the numbers that the guest's description
 * has, and a process beside it the lock of the launch (tools/vtpmd/launch.h), as in a launch.
 */
#ifndef XVTPM_VTPMCTL_XLIMAGES_H
#define XVTPM_VTPMCTL_XLIMAGES_H

#include "tools/vtpmctl/migrate.h"
#include "tools/vtpmctl/xlboot.h"

struct xlimages {
	uint8_t *bytes;		 /* of the list */
	struct xlboot_list list; /* len 0: the guest was not launched */
	char uuid[40], lease[512];
	struct xlboot at; /* fd -1: it has not come */
	struct launch_image image[XLBOOT_KINDS];
	int lock; /* -1: none */
};

/* Sends all that the guest boots, if it was launched.  config: its description.  An exit status,
 * and *e or text. */
int __must_check xlimages_send(struct migrate *m, const json_t *config,
			       char text[CLIENT_TEXT], struct error *e);

/* Takes one, behind its IMAGE; item is to read into.  An exit status, and *e or text. */
int __must_check xlimages_receive(struct migrate *m, struct peerlink_item *item,
				  char text[CLIENT_TEXT], struct error *e);
/* The guest comes: all have come that it boots, and the launch is locked. */
int __must_check xlimages_lock(struct migrate *m, char text[CLIENT_TEXT],
			       struct error *e);
/* Whether a guest that comes was launched; m's images are known. */
bool xlimages_expected(const struct migrate *m);
/* The guest's description has come: whether it boots these images, and nothing else. */
int __must_check xlimages_check(const struct xlimages *x, const json_t *config,
				struct error *e);
/* In a child that becomes xl's parent: the images are where xl looks for them, and but for these,
 * the lock, *told and the end where what xl says is read, nothing is open any more.  -errno */
int __must_check xlimages_place(const struct xlimages *x, int reader, int *told);
/* x may be NULL. */
void xlimages_free(struct xlimages *x);

#endif
