/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/group.h"
#include "compiler.h"

static const struct vtpmctl_command commands[] = {
	{"init", "pin this host's TPM, approve its boot state, seal the KMS key",
	 host_init_main},
	{"renew", "replace the KMS's credentials, CA or addresses", host_renew_main},
	{"approve", "sign another boot state: after an update, or before it",
	 host_approve_main},
	{"anchor", "against rollback of the store: make it, accept an older state",
	 host_anchor_main},
	{"quote", "the host's attestation key, and quotes with it", host_quote_main},
	{"show", "what was set up, and whether the boot state is approved",
	 host_show_main},
};

int host_main(int argc, char **argv)
{
	return group_main("host", commands, ARRAY_SIZE(commands), argc, argv);
}
