/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vTPM is, from its header (struct envelope_desc): vtpm.json does not say it.
 * vtpmd cannot check the header's MAC.  What makes the description trustworthy is that
 * the header's hash is anchored, which anchor_check() compares before a start, and that
 * the manager opens no other header.
 */
#ifndef VTPMD_DESCRIBE_H
#define VTPMD_DESCRIBE_H

#include "lib/envelope.h"
#include "tools/vtpmd/meta.h"

/* Takes the description in; of the endorsement keys that m knows, only those stay whose
 * Names stand there. */
void describe_take(struct meta *m, const struct envelope_desc *desc);
/* The same of a header's bytes; *e tells why not. */
int __must_check describe_header(struct meta *m, const uint8_t *header, size_t len,
				 struct error *e);
/* The same of the stored header. */
int __must_check describe_stored(struct meta *m, struct store *s, struct error *e);
/* "host", ...; "unknown" */
const char *describe_policy(uint16_t policy);

#endif
