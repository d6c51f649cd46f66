/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: one JSON object a line, an entry, each with its number and the SHA-256 of
 * the line before it, so that an entry that was changed, taken out or put in shows.
 *
 * {"n": 17, "time": "2026-01-31T12:00:00Z", "event": "open", "vtpm": "web1", "uuid": "...",
 *  "detail": "...", "prev": HEX}
 *
 * Entry 1 has 64 zeroes for prev.  A line that a power cut left unfinished stays, has no
 * number, and the next entry has its hash.
 *
 * The log is PATH and, when it was rotated, PATH.1 before it, PATH.2 before that, and so on:
 * one chain.  An entry "rotate" has a member "first", the oldest entry that the log had
 * then: those before it were removed by the operator, later ones must be there.
 *
 * What the log cannot tell is where it ends.  That, struct audit_head, is kept elsewhere:
 * tools/vtpmd/trail.h.
 */
#ifndef XVTPM_AUDIT_H
#define XVTPM_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

#define AUDIT_PATH	"/var/log/xen-vtpm/audit.log"
#define AUDIT_HASH_SIZE 32
#define AUDIT_HASH_HEX	65

/* An entry's number and its line's hash.  Zeroes: before the first one. */
struct audit_head {
	uint64_t n;
	uint8_t hash[AUDIT_HASH_SIZE];
};

struct audit_event {
	const char *event;
	const char *vtpm, *uuid, *detail; /* NULL: left out */
	uint64_t first;			  /* 0: left out */
};

bool audit_head_equal(const struct audit_head *a, const struct audit_head *b);

/* Appends the entry that follows *head, makes it durable, and moves *head to it; the file
 * (0600) and its folder are made when they are not there.  One process writes.  -errno:
 * nothing was appended. */
int __must_check audit_append(const char *path, struct audit_head *head,
			      const struct audit_event *a);

/* What is wrong with a line. */
enum audit_wrong {
	AUDIT_FITS,
	AUDIT_GAP,     /* entries are missing before it: result.missing, and up to it */
	AUDIT_ALTERED, /* it, or the one before it, is not what was written */
};

struct audit_result {
	uint64_t first; /* the oldest entry that is there; 0: none */
	uint64_t kept;	/* the oldest that must be: as the newest "rotate" says, or 1 */
	size_t entries, files; /* that were read */
	size_t torn;	       /* lines that a power cut left unfinished */
	struct audit_head end;
	bool has; /* the head that was asked for is in it */
	/* the first line that does not follow from the one before it */
	enum audit_wrong wrong;
	unsigned int file; /* its file: 0 for PATH, n for PATH.n */
	size_t line;
	uint64_t missing;
	char other[256]; /* a file of the folder that may belong to it, and is not read */
};

/* Reads all files of the log that are there, and looks for want.  0, also when a line does
 * not fit: then it goes on from that.  -ENOTDIR, -ELOOP, ...: result.file cannot be read;
 * -EFBIG: there are more than limit bytes. */
int __must_check audit_read(const char *path, const struct audit_head *want, size_t limit,
			    struct audit_result *r);

#endif
