/* SPDX-License-Identifier: Apache-2.0 */
/* How a vTPM's life meets who it is: keys and certificates, between the host channel and
 * the engine.  Private to vtpm*.c. */
#ifndef XVTPM_VTPM_IDENTITY_H
#define XVTPM_VTPM_IDENTITY_H

#include "certnv.h"
#include "hostchan.h"
#include "unlock.h"

struct vtpm_identity {
	struct certnv certs; /* as vtpmd has them */
	unsigned int good;   /* how many of them the TPM has */
};

/* Before anybody is offered this TPM: powers it on, tells its keys. */
int __must_check vtpm_identity_begin(struct vtpm_identity *i, struct hostchan *chan,
				     const struct unlock_config *config,
				     struct firmware *f, struct error *e);
/* A power-on: the TPM is started and has its certificates. */
int __must_check vtpm_identity_power_on(struct vtpm_identity *i, struct hostchan *chan,
					struct firmware *f);
/* CHANNEL_EVENT_IDENTITY: the certificates have changed. */
void vtpm_identity_renew(struct vtpm_identity *i, struct hostchan *chan,
			 const struct firmware *f);

#endif
