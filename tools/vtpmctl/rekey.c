/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"

struct rekey {
	const char *name;
	const char *socket;
};

static const struct args_option options[] = {
	CLIENT_SOCKET_OPTION(struct rekey),
};

static const struct args_command command = {
	.usage = "rekey NAME [OPTIONS]",
	.about =
		"Makes a running vTPM's key slots anew, of what `vtpmctl host` says now: after a\n"
		"change of the KMS key, the policy key or the recovery key.  The guest goes on.\n"
		"The slots of before are kept as header.prev until the next change; a key that\n"
		"is to open nothing any more has to be revoked as well.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct rekey, name),
};

int rekey_main(int argc, char **argv)
{
	struct rekey r = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &r);
	json_t *reply;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	status = client_call(r.socket, client_request("rekey", r.name), &reply);
	json_decref(reply);
	return status;
}
