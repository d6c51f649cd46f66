/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guests that xendomains starts with the host: by `xl create`, each file of a folder.
 */
#ifndef XVTPM_VTPMCTL_AUTOSTART_H
#define XVTPM_VTPMCTL_AUTOSTART_H

#include <jansson.h>
#include <stdio.h>

#define AUTOSTART_DEFAULTS "/etc/default/xendomains"

struct autostart {
	unsigned int files;   /* that are guests' files, as xl reads them */
	unsigned int refused; /* of these: a vTPM serves measured guests only */
	char first[64];	      /* one that is refused, without .cfg: an instance's name */
	char names[256];      /* all of them, with commas, as far as there is room */
};

/* Gives what /etc/default/xendomains, read from f, sets key to last, without quotes; "":
 * it does not. */
void autostart_setting(FILE *f, const char *key, char out[256]);
/* Reads the folder's files; vtpms: what vtpmd lists.  A folder that is not there has none. */
void autostart_read(const char *folder, const json_t *vtpms, struct autostart *a);

#define AUTOSTART_UNITS "/etc/xen-vtpm/auto"

/* The guests that systemd starts with the host: the generator tools/vtpmctl/xen-vtpm-auto makes
 * an instance of xen-vtpm-guest@ for each file whose name can be one's. */
struct autostart_units {
	unsigned int files; /* that have an instance */
	unsigned int bad;   /* that have none, for their names */
	char first[64];	    /* one of these */
};

/* Reads the folder's names, as the generator does.  A folder that is not there has none. */
void autostart_units(const char *folder, struct autostart_units *u);

#endif
