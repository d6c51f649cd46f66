/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vTPM that lives in a folder of its own, for tests and for development: header
 * and state as vtpmd would store them, and beside them, in "key", what opens them.
 * Anyone who reads the folder has the TPM's secrets.
 */
#ifndef XVTPM_FOLDER_H
#define XVTPM_FOLDER_H

#include "state.h"

struct folder {
	int dir, lock; /* -1: closed */
};

/* Makes the folder (0700) when it is not there.  -EBUSY: another process has it. */
int __must_check folder_open(struct folder *f, const char *path, struct error *e);
/* Sets s->place, uuid and data_key.  In an empty folder it makes a key and a header,
 * and *create is true; anything else that is not whole is an error. */
int __must_check folder_unlock(struct folder *f, struct state *s, bool *create,
			       struct error *e);
void folder_close(struct folder *f);

#endif
