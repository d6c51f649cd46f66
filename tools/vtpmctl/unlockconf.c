/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/unlockconf.h"

#include <errno.h>
#include <string.h>

static int transmit(void *ctx, const uint8_t *cmd, size_t len, uint8_t *rsp,
		    size_t *rsp_len)
{
	struct tpm *t = ctx;

	if (Tss2_Tcti_Transmit(t->tcti, len, cmd) ||
	    Tss2_Tcti_Receive(t->tcti, rsp_len, rsp, TSS2_TCTI_TIMEOUT_BLOCK))
		return -EIO;
	return 0;
}

static int fill_approvals(struct unlockconf *u, const struct hostconf *h)
{
	struct hosttpm_config *t = &u->config.tpm;
	size_t i, len;

	for (i = 0; i < h->approval_count; i++) {
		len = sizeof(u->approvals[i]);
		if (approval_encode(&h->approvals[i], u->approvals[i], &len))
			return -EINVAL;
		t->approval[i] = u->approvals[i];
		t->approval_len[i] = len;
	}
	t->approvals = h->approval_count;
	return 0;
}

int unlockconf_fill(struct unlockconf *u, const struct hostconf *h, struct tpm *tpm)
{
	memset(u, 0, sizeof(*u));
	u->config = (struct unlock_config){
		.kms_address = h->kms_address,
		.kms_ca = h->kms_ca,
		.kms_cert = h->kms_cert,
		.kms_key_id = h->kms_key_id,
		.kms_key_sealed = h->kms_key_sealed,
		.kms_key_sealed_len = h->kms_key_sealed_len,
		.recovery_key = h->recovery_key_len ? h->recovery_key : NULL,
		.recovery_key_len = h->recovery_key_len,
	};
	u->config.tpm.srk_handle = h->srk_handle;
	memcpy(u->config.tpm.srk_name, h->srk_name, sizeof(h->srk_name));
	memcpy(u->config.tpm.counter_name, h->counter_name, sizeof(h->counter_name));
	memcpy(u->config.tpm.auth, h->auth, sizeof(h->auth));
	u->config.tpm.policy_key = h->policy_key;
	u->config.tpm.policy_key_len = sizeof(h->policy_key);
	u->tpm = (struct hosttpm_transport){.ctx = tpm, .tpm = transmit};
	u->tcp.addresses = h->kms_address;
	u->kms = tcp_stream(&u->tcp);
	return fill_approvals(u, h);
}
