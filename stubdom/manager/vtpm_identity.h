/* SPDX-License-Identifier: Apache-2.0 */
/* How a vTPM's life meets who it is: keys and certificates, between the host channel and
 * the engine.  Private to vtpm*.c. */
#ifndef XVTPM_VTPM_IDENTITY_H
#define XVTPM_VTPM_IDENTITY_H

#include "certnv.h"
#include "hostchan.h"
#include "vtpm_keys.h"

struct vtpm_identity {
	struct certnv certs; /* as vtpmd has them */
	unsigned int good;   /* how many of them the TPM has */
};

/* Before anybody is offered this TPM: powers it on, compares its endorsement keys with
 * the header, writes there those that it did not know, and tells vtpmd. */
int __must_check vtpm_identity_begin(struct vtpm_identity *i, struct vtpm_keys *keys,
				     struct firmware *f);
/* A power-on: the TPM is started and has its certificates. */
int __must_check vtpm_identity_power_on(struct vtpm_identity *i, struct hostchan *chan,
					struct firmware *f);
/* CHANNEL_EVENT_IDENTITY: the certificates have changed. */
void vtpm_identity_renew(struct vtpm_identity *i, struct hostchan *chan,
			 const struct firmware *f);

#endif
