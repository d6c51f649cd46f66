/* SPDX-License-Identifier: Apache-2.0 */
/* A TPM's state that swtpm wrote, on its way to the manager, which opens it
 * (CHANNEL_OBJECT_SOURCE_SWTPM). */
#ifndef XVTPM_VTPMCTL_IMPORT_H
#define XVTPM_VTPMCTL_IMPORT_H

#include "include/compiler.h"
#include "lib/error.h"

#include <jansson.h>

struct import {
	const char *file;		 /* swtpm's tpm2-00.permall; NULL: none */
	const char *key, *migration_key; /* as swtpm's options; NULL: none */
};

/* Adds the file and its keys to a request to create.  -EBUSY: swtpm runs on it; *e says why. */
int __must_check import_add(json_t *request, const struct import *i, struct error *e);

#endif
