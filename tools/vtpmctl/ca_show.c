/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/ca.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/certprint.h"
#include "tools/vtpmctl/group.h"
#include "tools/vtpmctl/tpm.h"

#include <stdio.h>

struct show {
	const char *folder, *tcti;
};

static const struct args_option options[] = {
	{.name = "tcti",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct show, tcti),
	 .value = "TCTI",
	 .help = "of a key in the TPM, " TPM_TCTI},
	CA_FOLDER_OPTION(struct show),
};

static const struct args_command command = {
	.usage = "ca show [OPTIONS]",
	.about = "Tells about the CA, and whether its key can be used.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static const struct vtpmctl_command commands[] = {
	{"init", "make the CA that issues the vTPMs' certificates", ca_init_main},
	{"show", "the CA, and whether its key can be used", ca_show_main},
};

int ca_main(int argc, char **argv)
{
	return group_main("ca", commands, ARRAY_SIZE(commands), argc, argv);
}

int ca_show_main(int argc, char **argv)
{
	struct show s = {.folder = CA_FOLDER, .tcti = TPM_TCTI};
	enum args_result parsed = args_parse(&command, argc, argv, &s);
	struct error e = {.cause = CAUSE_NONE};
	struct ca ca;
	int rc;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (ca_open(&ca, s.folder, s.tcti, false, &e))
		return vtpmctl_fail(&e);
	certprint("CA", ca.cert);
	printf("key         %s\n", ca.where);
	printf("issues for  %u days\n", ca.days);
	ca_close(&ca);
	rc = ca_open(&ca, s.folder, s.tcti, true, &e);
	if (!rc)
		ca_close(&ca);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}
