/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/group.h"

#include <stdio.h>
#include <string.h>

static void help(const char *group, const struct vtpmctl_command *commands, size_t count,
		 FILE *to)
{
	size_t i;

	fprintf(to, "Usage: vtpmctl %s COMMAND [OPTIONS]\n\nCommands:\n", group);
	for (i = 0; i < count; i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
	fprintf(to, "\n`vtpmctl %s COMMAND --help` lists a command's options.\n", group);
}

int group_main(const char *group, const struct vtpmctl_command *commands, size_t count,
	       int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		help(group, commands, count, stderr);
		return VTPMCTL_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		help(group, commands, count, stdout);
		return VTPMCTL_OK;
	}
	for (i = 0; i < count; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr,
		"vtpmctl: \"%s %s\" is not a command; `vtpmctl %s --help` lists them\n",
		group, argv[1], group);
	return VTPMCTL_USAGE;
}
