/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a store and of a configuration, when no vtpmd runs, and they are to go. */
#ifndef XVTPM_VTPMCTL_STOREFILES_H
#define XVTPM_VTPMCTL_STOREFILES_H

#include "include/compiler.h"
#include "lib/error.h"

#include <stdbool.h>

#define STOREFILES_NAME 64

/* How many vTPMs' folders there are. */
unsigned int storefiles_count(const char *store);
/* Whether xl lists the stub domain of one of them: its vTPM's name.  -EIO: this is a Xen, and xl
 * does not tell. */
int __must_check storefiles_runs(const char *store, char name[STOREFILES_NAME],
				 bool *is_running);

/* Has the store for this process, until *claim, if it is not -1, is closed: no vtpmd runs on it,
 * and none of another machine, or at another socket, has a vTPM in it.  -EBUSY */
int __must_check storefiles_claim(const char *store, int *claim, struct error *e);

/* Each writes zeroes over a file before it goes, as vtpmd does. */

/* A file that is not there is no failure. */
int __must_check storefiles_wipe(const char *path, struct error *e);
int __must_check storefiles_remove_vtpms(const char *store, struct error *e);
/* The anchor's table, and the folder when nothing else is in it. */
int __must_check storefiles_remove_tables(const char *store, struct error *e);

#endif
