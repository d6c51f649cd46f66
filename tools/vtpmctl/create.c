/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"

#include <stdbool.h>
#include <stdio.h>

#define MEMORY_MIN 8
#define MEMORY_MAX 4096

struct create {
	const char *name;
	const char *socket;
	const char *policy;    /* NULL: vtpmd's default */
	const char *placement; /* NULL: vtpmd's default */
	bool measured;
	unsigned int memory; /* MiB, 0: vtpmd's default */
};

static const char *const policies[] = {"host", "tpm", "kms", NULL};
static const char *const placements[] = {"stubdom", "process", NULL};

static const struct args_option options[] = {
	{.name = "policy",
	 .kind = ARGS_CHOICE,
	 .offset = offsetof(struct create, policy),
	 .value = "host|tpm|kms",
	 .help = "what opens the state: TPM and KMS, or one",
	 .choices = policies},
	{.name = "memory",
	 .kind = ARGS_NUMBER,
	 .offset = offsetof(struct create, memory),
	 .value = "MIB",
	 .help = "of the stub domain, 8 unless said otherwise",
	 .min = MEMORY_MIN,
	 .max = MEMORY_MAX},
	{.name = "placement",
	 .kind = ARGS_CHOICE,
	 .offset = offsetof(struct create, placement),
	 .value = "stubdom|process",
	 .help = "its own stub domain, or a process of dom0",
	 .choices = placements},
	{.name = "measured",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct create, measured),
	 .help = "only for guests that `vtpmctl launch` started"},
	CLIENT_SOCKET_OPTION(struct create),
};

static const struct args_command command = {
	.usage = "create NAME [OPTIONS]",
	.about =
		"Makes a new vTPM, seals it, starts it, and waits until guests may come.\n"
		"Prints its uuid, alone, on standard output; in the guest's file:\n"
		"  vtpm=[\"backend=vtpm-NAME,uuid=UUID\"]\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct create, name),
};

int create_main(int argc, char **argv)
{
	struct create c = {.socket = CLIENT_SOCKET};
	json_t *request, *reply;
	enum args_result parsed = args_parse(&command, argc, argv, &c);
	const char *uuid;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	request = client_request("create", c.name);
	/* a NULL request, value or failure to add: client_call() tells */
	if (request && c.policy)
		json_object_set_new(request, "policy", json_string(c.policy));
	if (request && c.placement)
		json_object_set_new(request, "placement", json_string(c.placement));
	if (request && c.measured)
		json_object_set_new(request, "measured", json_true());
	if (request && c.memory)
		json_object_set_new(request, "memory", json_integer(c.memory));
	status = client_call(c.socket, request, &reply);
	if (status)
		return status;
	uuid = json_string_value(json_object_get(reply, "uuid"));
	if (uuid)
		printf("%s\n", uuid);
	json_decref(reply);
	if (!uuid || fflush(stdout)) {
		fprintf(stderr,
			"vtpmctl: %s was made but its uuid could not be printed; "
			"`vtpmctl show` has it\n",
			c.name);
		return VTPMCTL_FAILED;
	}
	return VTPMCTL_OK;
}
