/* SPDX-License-Identifier: Apache-2.0 */
/* What the checks of `vtpmctl doctor` share: doctor.c has their table, and those of the machine
 * and of vtpmd; doctor_tpm.c those of what opens vTPMs; doctor_pool.c those of a pool. */
#ifndef XVTPM_VTPMCTL_DOCTOR_H
#define XVTPM_VTPMCTL_DOCTOR_H

#include "include/compiler.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/tpm.h"

#include <stdbool.h>

enum finding { FINE, WARN, BAD, SKIPPED };

struct doctor {
	const char *config, *tcti, *socket, *store, *xendomains, *automatic;
	bool json;

	struct hostconf conf;
	bool configured;
	struct tpm tpm;
	bool tpm_open;
	bool tpm_pinned;     /* and it is the one of the configuration */
	char autostart[256]; /* xendomains' folder of guests; "": none */
	char silent
		[512]; /* why vtpmd does not answer; "": it does, as far as it was asked */
	char text[1024]; /* what the last check found, and the next step */
};

#define DOCTOR_NO_TPM "no configuration, or not its TPM"

/* Each fills d->text. */
typedef enum finding doctor_check(struct doctor *d);

doctor_check doctor_xen, doctor_devices, doctor_clock, doctor_store, doctor_vtpmd;
doctor_check doctor_xendomains, doctor_autostart, doctor_auto;
doctor_check doctor_config, doctor_policy_key, doctor_recovery, doctor_certificate;
doctor_check doctor_tpm, doctor_lockout, doctor_nv, doctor_keys, doctor_kms;
doctor_check doctor_attest;
doctor_check doctor_leases, doctor_anchor, doctor_moves;
doctor_check doctor_pool, doctor_pool_list, doctor_pool_cert, doctor_pool_key;
doctor_check doctor_peers, doctor_peer_cert, doctor_receive;

/* Fills d->text; returns f. */
enum finding doctor_say(struct doctor *d, enum finding f, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* As client_try(), but for a vtpmd that says nothing: it is waited for once. */
int __must_check doctor_ask(struct doctor *d, json_t *request, json_t **reply,
			    char text[CLIENT_TEXT]);

#endif
