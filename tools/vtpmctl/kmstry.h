/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries the KMS: a secret is encrypted and decrypted at each address by itself, so
 * that a mistake in the second one is found now, and not on the day when the first
 * one is away.  An address that cannot be reached is passed over as long as another one
 * works; one that answers and refuses is an error.
 */
#ifndef XVTPM_KMSTRY_H
#define XVTPM_KMSTRY_H

#include "lib/text.h"
#include "lib/kms.h"
#include "stubdom/manager/unlock.h"
#include "lib/hostconf.h"
#include "tools/vtpmctl/kmskey.h"
#include "tools/vtpmctl/kmsurl.h"
#include "tools/vtpmctl/tpm.h"

/* With a key that lies in memory.  Warns on stderr of an address that is passed over. */
int __must_check kmstry_key(const char *addresses, const struct kmskey *k,
			    const char *key_id, struct error *e);
/* With h's sealed key, as a vTPM's manager would: the boot state must be approved.
 * away: the addresses that were passed over, with commas between; NULL: warns of them on
 * stderr. */
int __must_check kmstry_sealed(const struct hostconf *h, struct tpm *t,
			       char away[ADDRESS_LIST], struct error *e);

/* A plain TCP connection as the byte stream of lib/kms.h, with time limits: what
 * vtpmd's tunnel is to a manager, this is to `vtpmctl host init`. */

struct tcp {
	const char *addresses; /* lib/text.h */
	int fd;
};

/* host.json in the form that the manager's key slots ask for, and the host's TPM and
 * KMS as its transports: vtpmctl does with them what a manager does. */

struct unlockconf {
	struct unlock_config config; /* pointers into the hostconf and this struct */
	uint8_t approvals[HOSTCONF_APPROVALS_MAX][APPROVAL_SIZE_MAX];
	struct tcp tcp;
	struct unlock unlock;
};

/* h, tpm (which is open) and e have to outlive *u.  -EINVAL: host.json makes no sense */
int __must_check unlockconf_fill(struct unlockconf *u, const struct hostconf *h,
				 struct tpm *tpm, struct error *e);

#endif
