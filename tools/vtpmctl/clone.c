/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"

#include <stdio.h>
#include <string.h>

struct clone {
	const char *name, *to, *identity, *socket;
};

static const char *const identities[] = {"new", "copy", NULL};

static const struct args_option options[] = {
	{.name = "identity",
	 .kind = ARGS_CHOICE,
	 .offset = offsetof(struct clone, identity),
	 .value = "new|copy",
	 .help = "whose TPM it is; has to be said",
	 .choices = identities},
	CLIENT_SOCKET_OPTION(struct clone),
};

static const struct args_command command = {
	.usage = "clone NAME NEW --identity new|copy [OPTIONS]",
	.about =
		"Makes a vTPM NEW as NAME is: policy, memory, placement, localities.  Starts it\n"
		"and prints its uuid, alone, on standard output.  NAME may be in use.\n"
		"--identity new: a TPM of its own, with new seeds and endorsement key, empty NV.\n"
		"--identity copy: a second TPM with the seeds, endorsement key, keys and NV of\n"
		"NAME, as stored last.  What is sealed to the one opens in the other, and nobody\n"
		"can tell the two apart.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct clone, name),
	.second = "NEW",
	.second_offset = offsetof(struct clone, to),
};

int clone_main(int argc, char **argv)
{
	struct clone c = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &c);
	json_t *request, *reply;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (!c.identity) {
		fprintf(stderr,
			"vtpmctl: --identity is missing: \"new\" makes a TPM of its own, "
			"\"copy\" a second one with %s's identity, keys and secrets\n",
			c.name);
		return VTPMCTL_USAGE;
	}
	if (!strcmp(c.identity, "copy"))
		fprintf(stderr,
			"%s becomes a second TPM with the identity of %s: what is sealed "
			"to the one opens in the other\n",
			c.to, c.name);
	request = json_pack("{s:s, s:s, s:s, s:s}", "op", "clone", "name", c.name, "to",
			    c.to, "identity", c.identity);
	status = client_call(c.socket, request, &reply);
	if (status)
		return status;
	printf("%s\n", json_string_value(json_object_get(reply, "uuid")));
	json_decref(reply);
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}
