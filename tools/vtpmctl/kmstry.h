/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries the KMS: a secret is encrypted and decrypted at each address by itself, so
 * that a mistake in the second one is found now, and not on the day when the first
 * one is away.  An address that cannot be reached is passed over as long as another one
 * works; one that answers and refuses is an error.
 */
#ifndef XVTPM_KMSTRY_H
#define XVTPM_KMSTRY_H

#include "lib/address.h"
#include "tools/vtpmctl/hostconf.h"
#include "tools/vtpmctl/kmskey.h"
#include "tools/vtpmctl/tpm.h"

/* With a key that lies in memory.  Warns on stderr of an address that is passed over. */
int __must_check kmstry_key(const char *addresses, const struct kmskey *k,
			    const char *key_id, struct error *e);
/* With h's sealed key, as a vTPM's manager would: the boot state must be approved.
 * away: the addresses that were passed over, with commas between; NULL: warns of them on
 * stderr. */
int __must_check kmstry_sealed(const struct hostconf *h, struct tpm *t,
			       char away[ADDRESS_LIST], struct error *e);

#endif
