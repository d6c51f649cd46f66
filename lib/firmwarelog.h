/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event log that a guest's own firmware wrote, which the guest hands over, and its place
 * in the evidence of a deep quote (docs/attestation.md): "firmware_log", which no quote has
 * the hash of.
 */
#ifndef XVTPM_FIRMWARELOG_H
#define XVTPM_FIRMWARELOG_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

#define FIRMWARELOG_MAX (512 * 1024)

/* A whole file, malloc()ed.  -ENODATA: it is empty; -EFBIG; what the system says. */
int __must_check firmwarelog_read(const char *path, uint8_t **log, size_t *len);
/* *text, malloc()ed evidence of *len bytes and a zero, becomes evidence with the log in it.
 * -EEXIST: it has the log of a launch that the host measured; -ENOMEM: it is as before. */
int __must_check firmwarelog_add(char **text, size_t *len, const uint8_t *log,
				 size_t log_len);

#endif
