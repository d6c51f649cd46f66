/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines for the journal.  Under systemd an entry has fields, for `journalctl
 * VTPM_NAME=web1`:
 *
 *   VTPM_NAME, VTPM_UUID   whose line it is
 *   VTPM_CAUSE             why something failed: the words of docs/errors.md
 *   MESSAGE_ID             which event it is, below
 *
 * Elsewhere, and when the journal does not answer, it is "<level>text" on standard
 * error.  Nothing secret goes here; what is not printable (a manager's text) becomes '?'.
 */
#ifndef VTPMD_LOG_H
#define VTPMD_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>
#include "lib/error.h"
#include "tools/vtpmd/bucket.h"

/* Fixed for ever: operators' filters name them. */
#define LOG_ID_READY	   "560d6ae3defd408788d5a07091158b01"
#define LOG_ID_FAILED	   "560d6ae3defd408788d5a07091158b02"
#define LOG_ID_DIED	   "560d6ae3defd408788d5a07091158b03"
#define LOG_ID_STOPPED	   "560d6ae3defd408788d5a07091158b04"
#define LOG_ID_DELETED	   "560d6ae3defd408788d5a07091158b05"
#define LOG_ID_STORE_WAITS "560d6ae3defd408788d5a07091158b06"
#define LOG_ID_STORE_GOOD  "560d6ae3defd408788d5a07091158b07"
#define LOG_ID_REFUSED	   "560d6ae3defd408788d5a07091158b08"
#define LOG_ID_REKEYED	   "560d6ae3defd408788d5a07091158b09"
#define LOG_ID_RELOADED	   "560d6ae3defd408788d5a07091158b0a"
#define LOG_ID_AUTOSTART   "560d6ae3defd408788d5a07091158b0b"
#define LOG_ID_NO_GUEST	   "560d6ae3defd408788d5a07091158b0c"

/* What a line is about; each member may be NULL or CAUSE_NONE. */
struct log_about {
	const char *vtpm;
	const uint8_t *uuid; /* 16 bytes */
	enum cause cause;
	const char *id;
};

/* Whether to write to the journal with fields: once, before the first line. */
void log_open(void);
/* LOG_DEBUG lines are written only when verbose. */
void log_verbose(bool verbose);
void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same with fields; "vTPM NAME: " comes before the text. */
void log_about(int level, const struct log_about *about, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* For lines that somebody else brings about, a manager: a minute's worth at once, then
 * one a second.  Starts zeroed. */
struct log_limit {
	struct bucket bucket;
	unsigned int left_out;
};

/* As log_about(), unless there were too many; a line before the next one tells how many
 * were left out.  LOG_DEBUG lines are not counted: who asks for them wants all. */
void log_limited(struct log_limit *l, int level, const struct log_about *about,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Tells now what was left out, if anything was. */
void log_left_out(struct log_limit *l, const struct log_about *about);

#endif
