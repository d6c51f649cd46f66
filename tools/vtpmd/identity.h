/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endorsement keys of a vTPM.  Their Names stand in its header (struct meta names);
 * the keys themselves, which the manager tells when it made them, are kept in vtpm.json, and
 * count only as far as they have these Names.  Beside them is the manager's witness of them
 * (include/ekwitness.h), which the next manager gets if vtpmd has all keys: it then makes none.
 */
#ifndef VTPMD_IDENTITY_H
#define VTPMD_IDENTITY_H

#include "lib/cursor.h"
#include "lib/slot/envelope.h"
#include "lib/tpm2/public.h"
#include "tools/vtpmd/meta.h"

#include <jansson.h>

struct vtpm;

/* The n-th key that is known, from 0; p points into m.  -ENOENT: there are no more. */
int __must_check identity_key(const struct meta *m, unsigned int n,
			      struct tpm2_public *p);
/* Takes TPM2B_PUBLICs in: 1 when m has changed, 0 when not.  -EPERM: they have not the
 * Names that m has; -EINVAL: they are not such keys.  After an error m is as it was. */
int __must_check identity_take(struct meta *m, const uint8_t *keys, size_t len);
/* Appends CONFIG_EK_WITNESS. */
void identity_put_config(const struct meta *m, struct cursor *out);
/* Forgets the keys that have not the Names that m has. */
void identity_settle(struct meta *m);
/* The array `ek` of `vtpmctl show --json`; null when none is known. */
json_t *identity_show(const struct meta *m);
/* Answers CHANNEL_IDENTITY for a vTPM (struct peer_owner). */
int identity_on_peer(void *ctx, const uint8_t *keys, size_t len, uint32_t *known,
		     const char **why);

/*
 * What a vTPM is, from its header (struct envelope_desc): vtpm.json does not say it.
 * vtpmd cannot check the header's MAC.  What makes the description trustworthy is that
 * the header's hash is anchored, which anchor_check() compares before a start, and that
 * the manager opens no other header.
 */

/* The same of a header's bytes; *e tells why not. */
int __must_check describe_header(struct meta *m, const uint8_t *header, size_t len,
				 struct error *e);
/* The same of the stored header. */
int __must_check describe_stored(struct meta *m, struct store *s, struct error *e);

#endif
