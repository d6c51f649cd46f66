/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCG's crypto-agile event log, and the PCRs that it leads to: TCG PC Client
 * Platform Firmware Profile 1.05, 10.  Little-endian, as nothing else of the TCG's.
 */
#ifndef VERIFY_EVENTLOG_H
#define VERIFY_EVENTLOG_H

#include "lib/cursor.h"
#include "lib/tpm2/quote.h"

#define EVENTLOG_PCRS	24
#define EVENTLOG_BANKS	8
#define EVENTLOG_EVENTS 8192

/* Event types: PFP 1.05, 10.4.1 */
enum eventlog_type {
	EVENTLOG_NO_ACTION = 0x3,
	EVENTLOG_SEPARATOR = 0x4,
	EVENTLOG_ACTION = 0x5,
	EVENTLOG_S_CRTM_VERSION = 0x8,
	EVENTLOG_VARIABLE_CONFIG = 0x80000001, /* EV_EFI_VARIABLE_DRIVER_CONFIG */
	EVENTLOG_GPT = 0x80000006,
	EVENTLOG_EFI_ACTION = 0x80000007,
	EVENTLOG_VARIABLE_AUTHORITY = 0x800000e0,
};

struct eventlog {
	size_t banks;
	const struct tpm2_hash *alg[EVENTLOG_BANKS];
	uint32_t pcrs; /* bit n: PCR n is extended by an event */
	uint8_t value[EVENTLOG_BANKS][EVENTLOG_PCRS][TPM2_HASH_MAX];
	size_t first;	 /* where the events begin, after the header */
	size_t count;	 /* of events; of a log that is refused, the number of that one */
	const char *why; /* it is refused, as half a sentence */
};

struct eventlog_event {
	uint32_t pcr, type;
	const uint8_t *digest[EVENTLOG_BANKS]; /* by eventlog.alg */
	const uint8_t *data;
	size_t len;
};

#define EVENTLOG_GUID 16

/* UEFI_VARIABLE_DATA of an event, inside of the log. */
struct eventlog_variable {
	const uint8_t *guid;
	char name[64]; /* printable ASCII */
	const uint8_t *data;
	size_t len;
};

/* All of buf.  -EBADMSG: it does not parse, or does not say a digest for each of its
 * algorithms in each event; then nothing of *log but count and why may be used. */
int __must_check eventlog_replay(const uint8_t *buf, size_t len, struct eventlog *log);
/* The next event of a log that was replayed; *at starts at log->first.  false: the end */
bool __must_check eventlog_next(const struct eventlog *log, const uint8_t *buf,
				size_t len, size_t *at, struct eventlog_event *e);
/* Whether the event says something: no separator of the specification's own bytes, and
 * nothing that extends no PCR.  digest is its SHA-256 one. */
bool eventlog_is_telling(const struct eventlog_event *e, const uint8_t *digest);
/* Whether each digest is the hash of the data, as the specification has it for this event's
 * type (PFP 1.05, 10.4.1); of other types nothing is known, and it says so by true. */
bool eventlog_is_consistent(const struct eventlog *log, const struct eventlog_event *e);
/* Whether an event of the type is decided by its data: they are what its digest is of. */
bool eventlog_is_covered(uint32_t type);
/* false: the event's data are no variable, or its name is not printable ASCII. */
bool __must_check eventlog_variable(const struct eventlog_event *e,
				    struct eventlog_variable *v);
/* NULL: the log has no such bank. */
const uint8_t *eventlog_value(const struct eventlog *log, const struct tpm2_hash *alg,
			      unsigned int pcr);
/* What people may call it, in printable ASCII: the name of its variable, its text, or its
 * type.  Of most types no digest is of these data: nothing may be decided by them. */
void eventlog_name(const struct eventlog_event *e, char *out, size_t size);

#endif
