/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event log of a guest's launch, as the TCG has it: TCG PC Client Platform Firmware
 * Profile, "crypto agile log format", little-endian:
 *
 *   TCG_PCR_EVENT   PCR 0, EV_NO_ACTION, 20 zeroes, TCG_EfiSpecIDEvent: "Spec ID
 *                   Event03", the banks and the sizes of their digests
 *   TCG_PCR_EVENT2  for each event: PCR, type, a digest for each of these banks, data
 *
 * It belongs to one power-on of the TPM: empty -> eventlog_begin -> eventlog_add ... ->
 * eventlog_clear.  Empty means that the guest was not measured.
 */
#ifndef XVTPM_EVENTLOG_H
#define XVTPM_EVENTLOG_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/measure.h"

#define EVENTLOG_MAX 65536

struct eventlog {
	unsigned int banks; /* bit n: the TPM has a bank of tpm2_hashes[n] */
	uint8_t *bytes;	    /* NULL: empty */
	size_t len;
};

/* Writes the first event.  -EINVAL: no banks; -ENOMEM */
int __must_check eventlog_begin(struct eventlog *l, unsigned int banks);
/* -ENOSPC: it is full, and as before. */
int __must_check eventlog_add(struct eventlog *l, const struct measure_event *e);
/* Of all of its bytes; of none, when it is empty.  -EIO: OpenSSL failed. */
int __must_check eventlog_sha256(const struct eventlog *l, uint8_t out[32]);
void eventlog_clear(struct eventlog *l);

#endif
