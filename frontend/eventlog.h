/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The event log of this guest's measured launch, where Linux has a firmware's:
 * /sys/kernel/security/tpmN/binary_bios_measurements.  The vTPM's backend keeps it and
 * hands it out by a command of its own (include/vendor.h of xen-vtpm); a guest that was
 * not measured, or that has another vTPM, has no such file.
 *
 * The backend may be hostile: it can make the log contradict the PCRs, and
 * nothing else.  The log has at most EVENTLOG_MAX bytes, is read within some seconds,
 * and is handed out as it was read.
 */
#ifndef XEN_TPMFRONT_EVENTLOG_H
#define XEN_TPMFRONT_EVENTLOG_H

#include <linux/dcache.h>
#include <linux/tpm.h>
#include "ring.h"

#define EVENTLOG_MAX 65536

struct eventlog_bytes;

struct eventlog {
	struct eventlog_bytes *bytes; /* NULL: none */
	struct dentry *dir, *file;    /* NULL: not there */
};

/* Takes the file away if there is one, and reads the log again.  No other command gets
 * to the ring. */
void xtpm_eventlog_read(struct eventlog *log, struct ring *ring);
/* Makes the file, if there is a log, and the kernel made no such folder itself. */
void xtpm_eventlog_publish(struct eventlog *log, struct tpm_chip *chip);
/* Takes the file away, and forgets the log.  A file that is open reads on. */
void xtpm_eventlog_remove(struct eventlog *log);

#endif
