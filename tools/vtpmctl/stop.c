/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"

#include <stdbool.h>

struct stop {
	const char *name;
	const char *socket;
	bool force;
};

static const struct args_option options[] = {
	{.name = "force",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct stop, force),
	 .help = "even while a guest uses it"},
	CLIENT_SOCKET_OPTION(struct stop),
};

static const struct args_command command = {
	.usage = "stop NAME [OPTIONS]",
	.about =
		"Stops a vTPM and waits until its stub domain is gone.  Everything that it\n"
		"acknowledged is in the store already.  Refuses while a guest uses it.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct stop, name),
};

int stop_main(int argc, char **argv)
{
	struct stop s = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &s);
	json_t *request, *reply;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	request = client_request("stop", s.name);
	if (request && s.force)
		json_object_set_new(request, "force", json_true());
	status = client_call(s.socket, request, &reply);
	json_decref(reply);
	return status;
}
