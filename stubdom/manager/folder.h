/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of a TPM that is alone: header and state as vtpmd would store them, and beside
 * them, in "key", what opens them.  Anyone who reads the folder has the TPM's secrets.
 * "volatile" is there after STORE_VOLATILE of the control channel.
 */
#ifndef XVTPM_MANAGER_FOLDER_H
#define XVTPM_MANAGER_FOLDER_H

#include "include/compiler.h"
#include "lib/error.h"
#include "lib/twin.h"
#include "stubdom/manager/state.h"

#include <stdbool.h>

#define FOLDER_STATE_MAX (1024 * 1024)

struct folder {
	int dir, lock;	     /* -1: closed; lock: held */
	struct twin_own own; /* the permanent state's file */
};

/* Makes the folder (0700) when it is not there.  -EBUSY: another process has it; -EEXIST: it
 * has a state of swtpm, which is no empty folder. */
int __must_check folder_open(struct folder *f, const char *path, struct error *e);
/* Sets s->place, uuid and data_key.  In an empty folder it makes a key and a header,
 * and *create is true; anything else that is not whole is an error. */
int __must_check folder_unlock(struct folder *f, struct state *s, bool *create,
			       struct error *e);
/* Removes an object; it need not be there. */
int __must_check folder_remove(const struct folder *f, enum channel_object object);
/* The orderly end: the state's file is plain then (lib/twin.h). */
void folder_close(struct folder *f);

#endif
