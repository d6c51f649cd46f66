/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries the KMS: a secret is encrypted and decrypted at each address by itself, so
 * that a mistake in the second one is found now, and not on the day when the first
 * one is away.  An address that cannot be reached is told on stderr and passed over
 * as long as another one works; one that answers and refuses is an error.
 */
#ifndef XVTPM_KMSTRY_H
#define XVTPM_KMSTRY_H

#include "tools/vtpmctl/hostconf.h"
#include "tools/vtpmctl/kmskey.h"
#include "tools/vtpmctl/tpm.h"

/* With a key that lies in memory. */
int __must_check kmstry_key(const char *addresses, const struct kmskey *k,
			    const char *key_id, struct error *e);
/* With h's sealed key, as a vTPM's manager would: the boot state must be approved.
 * *away: how many addresses could not be reached. */
int __must_check kmstry_sealed(const struct hostconf *h, struct tpm *t,
			       unsigned int *away, struct error *e);

#endif
