/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "lib/audit.h"

#include <stdio.h>
#include <string.h>

struct audit {
	const char *what;
	const char *file;
};

static const struct args_option options[] = {
	{.name = "file",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct audit, file),
	 .value = "FILE",
	 .help = AUDIT_PATH},
};

static const struct args_command command = {
	.usage = "audit verify [OPTIONS]",
	.about =
		"Checks that each line of the audit log follows from the one before it, so that\n"
		"none was changed, taken out or put in, and prints how many there are and the\n"
		"last one's hash.  Note that hash elsewhere: lines cut off at the end show by it.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "verify",
	.word_offset = offsetof(struct audit, what),
};

int audit_main(int argc, char **argv)
{
	struct audit a = {.file = AUDIT_PATH};
	enum args_result parsed = args_parse(&command, argc, argv, &a);
	struct audit_result r;
	int rc;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (strcmp(a.what, "verify")) {
		fprintf(stderr, "vtpmctl: usage: vtpmctl %s\n", command.usage);
		return VTPMCTL_USAGE;
	}
	rc = audit_verify(a.file, &r);
	if (rc) {
		fprintf(stderr, "vtpmctl: %s cannot be read: %s\n", a.file,
			strerror(-rc));
		return VTPMCTL_FAILED;
	}
	if (r.bad) {
		fprintf(stderr,
			"vtpmctl: %s was changed: line %zu does not follow from the one "
			"before it; compare with a copy that was kept elsewhere\n",
			a.file, r.bad);
		return VTPMCTL_FAILED;
	}
	printf("%zu lines, %zu unfinished, last %s\n", r.lines, r.torn, r.last);
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}
