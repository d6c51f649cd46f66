/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: one JSON object a line, each with the SHA-256 of the line before it,
 * so that a line that was changed, taken out or put in shows.  (Lines cut off at the
 * end do not: note the last hash elsewhere now and then.)
 *
 * {"time": "2026-01-31T12:00:00Z", "event": "open", "vtpm": "web1", "uuid": "...",
 *  "detail": "...", "prev": HEX}      prev of the first line: 64 zeroes
 */
#ifndef XVTPM_AUDIT_H
#define XVTPM_AUDIT_H

#include <stddef.h>
#include "compiler.h"

#define AUDIT_PATH     "/var/log/xen-vtpm/audit.log"
#define AUDIT_HASH_HEX 65

struct audit_event {
	const char *event;
	const char *vtpm, *uuid, *detail; /* NULL: left out */
};

/* Appends a line and makes it durable; the file (0600) and its folder are made when
 * they are not there.  Several processes may write.  -errno */
int __must_check audit_append(const char *path, const struct audit_event *a);

struct audit_result {
	size_t lines;
	size_t bad;  /* number of the first line that does not fit, from 1; 0: none */
	size_t torn; /* lines that a power cut left unfinished */
	char last[AUDIT_HASH_HEX];
};

/* 0, also when a line does not fit; -ENOENT and others: it cannot be read. */
int __must_check audit_verify(const char *path, struct audit_result *r);

#endif
