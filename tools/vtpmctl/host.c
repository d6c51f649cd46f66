/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "compiler.h"

#include <stdio.h>
#include <string.h>

static const struct vtpmctl_command commands[] = {
	{"init", "pin this host's TPM, approve its boot state, seal the KMS key",
	 host_init_main},
	{"renew", "replace the KMS's credentials, CA or addresses", host_renew_main},
	{"approve", "sign another boot state: after an update, or before it",
	 host_approve_main},
	{"anchor", "against rollback of the store: make it, accept an older state",
	 host_anchor_main},
	{"show", "what was set up, and whether the boot state is approved",
	 host_show_main},
};

static void help(FILE *to)
{
	size_t i;

	fputs("Usage: vtpmctl host COMMAND [OPTIONS]\n\nCommands:\n", to);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("\n`vtpmctl host COMMAND --help` lists a command's options.\n", to);
}

int host_main(int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		help(stderr);
		return VTPMCTL_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		help(stdout);
		return VTPMCTL_OK;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr,
		"vtpmctl: \"host %s\" is not a command; `vtpmctl host --help` lists them\n",
		argv[1]);
	return VTPMCTL_USAGE;
}
