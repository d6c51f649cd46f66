/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <stdbool.h>

struct resume {
	const char *name;
	const char *socket;
	bool revoke;
};

static const struct args_option options[] = {
	{.name = "revoke",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct resume, revoke),
	 .help = "xl restore failed: the next guest gets fresh PCRs"},
	CLIENT_SOCKET_OPTION(struct resume),
};

static const struct args_command command = {
	.usage = "resume NAME [OPTIONS]",
	.about =
		"Between `xl save` and `xl restore` of a guest: its TPM goes on with the PCRs,\n"
		"sessions and objects that the guest left, instead of being restarted.  Holds\n"
		"for the guest with the saved one's uuid, if it is the next one of the vTPM and\n"
		"comes within 10 minutes.\n"
		"  xl save web1 FILE; vtpmctl resume web1 && xl restore FILE ||\n"
		"    vtpmctl resume --revoke web1\n"
		"Give it for a guest that boots, and that guest has another boot's PCRs.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct resume, name),
};

int resume_main(int argc, char **argv)
{
	struct resume r = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &r);
	json_t *request, *reply;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	request = client_request("resume", r.name);
	if (request && r.revoke)
		json_object_set_new(request, "revoke", json_true());
	status = client_call(r.socket, request, &reply);
	json_decref(reply);
	return status;
}
