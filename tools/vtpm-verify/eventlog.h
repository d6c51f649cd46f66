/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCG's crypto-agile event log, and the PCRs that it leads to: TCG PC Client
 * Platform Firmware Profile 1.05, 10.  Little-endian, as nothing else of the TCG's.
 */
#ifndef VERIFY_EVENTLOG_H
#define VERIFY_EVENTLOG_H

#include "lib/cursor.h"
#include "tools/vtpm-verify/tpmalg.h"

#define EVENTLOG_PCRS	   24
#define EVENTLOG_BANKS	   8
#define EVENTLOG_EVENTS	   8192
#define EVENTLOG_NO_ACTION 3

struct eventlog {
	size_t banks;
	const struct tpmalg *alg[EVENTLOG_BANKS];
	uint32_t pcrs; /* bit n: PCR n is extended by an event */
	uint8_t value[EVENTLOG_BANKS][EVENTLOG_PCRS][TPMALG_SIZE_MAX];
	size_t first; /* where the events begin, behind the header */
};

struct eventlog_event {
	uint32_t pcr, type;
	const uint8_t *digest[EVENTLOG_BANKS]; /* by eventlog.alg */
	const uint8_t *data;
	size_t len;
};

/* All of buf.  -EBADMSG: it does not parse, or does not say a digest for each of its
 * algorithms in each event; then nothing of *log may be used. */
int __must_check eventlog_replay(const uint8_t *buf, size_t len, struct eventlog *log);
/* The next event of a log that was replayed; *at starts at log->first.  false: the end */
bool __must_check eventlog_next(const struct eventlog *log, const uint8_t *buf,
				size_t len, size_t *at, struct eventlog_event *e);
/* NULL: the log has no such bank. */
const uint8_t *eventlog_value(const struct eventlog *log, const struct tpmalg *alg,
			      unsigned int pcr);
/* What people may call it: its text, or its type; nothing in it but printable ASCII. */
void eventlog_name(const struct eventlog_event *e, char *out, size_t size);

#endif
