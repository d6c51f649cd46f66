/* SPDX-License-Identifier: Apache-2.0 */
/* What `vtpmctl doctor` looks at.  Private to doctor*.c. */
#ifndef XVTPM_DOCTOR_H
#define XVTPM_DOCTOR_H

#include "tools/vtpmctl/unlockconf.h"

enum finding { FINE, WARN, BAD, SKIPPED };

struct doctor {
	const char *config, *tcti, *socket, *store;
	bool json;

	struct hostconf conf;
	bool configured;
	struct tpm tpm;
	bool tpm_open;
	bool tpm_pinned; /* and it is the one of the configuration */
	char text[480];	 /* what the last check found, and the next step */
};

#define DOCTOR_NO_TPM "no configuration, or not its TPM"

/* Each fills d->text. */
typedef enum finding doctor_check(struct doctor *d);

doctor_check doctor_xen, doctor_devices, doctor_clock, doctor_store, doctor_vtpmd;
doctor_check doctor_xendomains;
doctor_check doctor_config, doctor_policy_key, doctor_recovery, doctor_certificate;
doctor_check doctor_tpm, doctor_lockout, doctor_nv, doctor_keys, doctor_kms;
doctor_check doctor_attest;
doctor_check doctor_leases, doctor_anchor;

/* Fills d->text. */
enum finding doctor_say(struct doctor *d, enum finding f, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
