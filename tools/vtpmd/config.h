/* SPDX-License-Identifier: Apache-2.0 */
/* host.json, which `vtpmctl host init` wrote, as the CONFIG TLVs that managers
 * get.  It is read again for every start, so that a new approval needs no restart
 * of vtpmd. */
#ifndef VTPMD_CONFIG_H
#define VTPMD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/cursor.h"
#include "lib/error.h"

#define CONFIG_TLVS_MAX (CHANNEL_PAYLOAD_MAX / 2)

#define CONFIG_APPROVALS_MAX 16

/* What `vtpmctl list` says of an approved boot state. */
struct config_approval {
	uint32_t pcrs; /* bit n: PCR n is in */
	char label[41], at[24];
};

struct config {
	uint32_t srk_handle; /* 0: no TPM configured */
	char *kms_address;   /* one or several: lib/text.h; NULL: no KMS */
	unsigned int approvals;
	struct config_approval approval[CONFIG_APPROVALS_MAX];
	char *kms_cert;		  /* PEM; NULL: no KMS */
	char *anchor;		  /* Name of the anchor's NV index; NULL: none */
	uint8_t anchor_adopt[32]; /* what it has until the store is taken as it is */
	bool anchor_take_store;	  /* which an operator asked for */
	uint8_t *tlvs;		  /* CONFIG_SRK_HANDLE and what follows it */
	size_t len;
};

/* -ENOENT: there is none; -EBADMSG; both with a sentence that says what to do. */
int __must_check config_load(const char *path, struct config *c, struct error *e);
/* Whether the host has what a policy ("host", "tpm", "kms") asks for; else
 * -ENOENT and a sentence. */
int __must_check config_covers(const struct config *c, const char *policy,
			       struct error *e);
void config_free(struct config *c);

#endif
