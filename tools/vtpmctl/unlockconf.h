/* SPDX-License-Identifier: Apache-2.0 */
/* host.json in the form that the manager's key slots ask for, and the host's TPM and
 * KMS as its transports: vtpmctl does with them what a manager does. */
#ifndef XVTPM_UNLOCKCONF_H
#define XVTPM_UNLOCKCONF_H

#include "stubdom/manager/unlock.h"
#include "tools/vtpmctl/hostconf.h"
#include "tools/vtpmctl/tcp.h"
#include "tools/vtpmctl/tpm.h"

struct unlockconf {
	struct unlock_config config; /* pointers into the hostconf and this struct */
	uint8_t approvals[HOSTCONF_APPROVALS_MAX][APPROVAL_SIZE_MAX];
	struct tcp tcp;
	struct hosttpm_transport tpm;
	struct kms_stream kms;
};

/* h and tpm (which is open) have to outlive *u.  -EINVAL: host.json makes no sense */
int __must_check unlockconf_fill(struct unlockconf *u, const struct hostconf *h,
				 struct tpm *tpm);

#endif
