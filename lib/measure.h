/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is measured before a guest runs, on its way from `vtpmctl launch` over vtpmd to
 * the manager: a list of events, big-endian,
 *   u32 PCR | u32 event type | MEASURE_DIGESTS bytes | u32 size | size bytes of data
 * The digests are those of all TPM2_BANKS hashes, one after the other, in the order of
 * tpm2_hashes (lib/tpm2/marshal.h).  The manager extends the banks that its TPM has.
 *
 * A list of an HVM guest, whose firmware measures by itself, is a record: all its events
 * are of EV_NO_ACTION and extend nothing, with zeroes for digests (PFP 1.05, 10.4.1).  Its
 * data are, for each image that libxl gives to the domain,
 *   "firmware " KIND " sha256=" 64 lower-case digits " size=" N " name=" NAME
 * with "hvmloader" and "bios" for KIND, each once, and "acpi", "smbios" if there are such.
 */
#ifndef XVTPM_MEASURE_H
#define XVTPM_MEASURE_H

#include <stdbool.h>
#include "lib/cursor.h"

#define MEASURE_DIGESTS (20 + 32 + 48 + 64)
#define MEASURE_PCRS	16    /* the static ones: 0 to 15 */
#define MEASURE_DATA	8192  /* at most, of one event */
#define MEASURE_MAX	32768 /* bytes of a whole list */

/* Event types: TCG PC Client Platform Firmware Profile, "Event Types" */
#define MEASURE_EV_NO_ACTION		 3
#define MEASURE_EV_SEPARATOR		 4
#define MEASURE_EV_PLATFORM_CONFIG_FLAGS 0x0a
#define MEASURE_EV_IPL			 0x0d

#define MEASURE_FIRMWARE "firmware "

struct measure_event {
	uint32_t pcr, type;
	const uint8_t *digests; /* MEASURE_DIGESTS */
	const uint8_t *data;
	size_t data_len;
};

/* The next event of a list, which it points into; false: malformed. */
bool __must_check measure_next(struct cursor *list, struct measure_event *e);
/* The whole list is well-formed, has something in it, and is a record or has no event of one. */
bool __must_check measure_check(const uint8_t *list, size_t len);
/* Of a list that was checked. */
bool measure_is_record(const uint8_t *list, size_t len);
void measure_put(struct cursor *list, const struct measure_event *e);

#endif
