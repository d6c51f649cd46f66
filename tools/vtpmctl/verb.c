/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/verb.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/vtpmctl.h"

struct words {
	const char *name;
	const char *socket;
};

int verb_main(const struct verb *v, int argc, char **argv)
{
	static const struct args_option options[] = {
		CLIENT_SOCKET_OPTION(struct words),
	};
	const struct args_command command = {
		.usage = v->usage,
		.about = v->about,
		.options = options,
		.option_count = ARRAY_SIZE(options),
		.word = "NAME",
		.word_offset = offsetof(struct words, name),
	};
	struct words w = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &w);
	json_t *reply;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	status = client_call(w.socket, client_request(v->op, w.name), &reply);
	json_decref(reply);
	return status;
}
