/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vtpm-crb has open, as it expects it from descriptor 3 on.  Event channels and grants
 * are open as long as one process has these open: vtpmd, or systemd, which keeps them under
 * names with the vTPM's uuid while vtpmd is restarted.
 *
 * The grants stay with the vTPM's stub domain, and the next guest's ring is in the same two
 * pages: pages that the stub domain does not unmap are nobody's until it ends, and one that
 * its guest took over would have domain 0's grants, and its memory, end with some ten
 * thousand starts of the guest.
 */
#ifndef VTPMD_CRB_DEVICES_H
#define VTPMD_CRB_DEVICES_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stdint.h>

enum { CRB_EVENTS, CRB_GRANTS, CRB_DEVICES };

struct crb_devices {
	char uuid[37]; /* of the vTPM */
	int fd[CRB_DEVICES];
};

void crb_devices_init(struct crb_devices *v, const char *uuid);
/* Opens new ones, but for what is open; 0, or -errno and *what: the file. */
int __must_check crb_devices_open(struct crb_devices *v, const char **what);
bool crb_devices_are_open(const struct crb_devices *v);
void crb_devices_close(struct crb_devices *v);
/* vtpmd ends, and systemd keeps them. */
void crb_devices_leave(struct crb_devices *v);

/* Closes all but the grants, which the next guest gets of this vTPM from this run of its
 * manager: manager, the uuid of its domain. */
void crb_devices_keep(struct crb_devices *v, const uint8_t manager[16]);
/* Takes the grants that were kept; false: there are none. */
bool crb_devices_again(struct crb_devices *v, const uint8_t manager[16]);
/* Closes those that were kept; the vTPM's manager has ended. */
void crb_devices_drop(const char *uuid);

/* What systemd kept, until crb_devices_loaded(): before vtpmd opens anything. */
void crb_devices_load(void);
void crb_devices_take(struct crb_devices *v);
void crb_devices_loaded(void);
/* vtpmd ends. */
void crb_devices_end(void);

#endif
