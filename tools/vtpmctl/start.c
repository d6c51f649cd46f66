/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"

struct start {
	const char *name;
	const char *socket;
};

static const struct args_option options[] = {
	CLIENT_SOCKET_OPTION(struct start),
};

static const struct args_command command = {
	.usage = "start NAME [OPTIONS]",
	.about =
		"Opens a vTPM's state, starts its stub domain, and waits until guests may come,\n"
		"or says in one sentence why the state does not open.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct start, name),
};

int start_main(int argc, char **argv)
{
	struct start s = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &s);
	json_t *reply;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	status = client_call(s.socket, client_request("start", s.name), &reply);
	json_decref(reply);
	return status;
}
