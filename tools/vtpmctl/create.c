/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/issue.h"
#include "tools/vtpmctl/tpm.h"

#include <stdio.h>

#define MEMORY_MIN 8
#define MEMORY_MAX 4096

struct create {
	const char *name;
	const char *socket;
	const char *policy;    /* NULL: vtpmd's default */
	const char *placement; /* NULL: vtpmd's default */
	unsigned int memory;   /* MiB, 0: vtpmd's default */
	const char *folder, *tcti;
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
	CA_FOLDER_OPTION(struct create),
	{.name = "tcti",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct create, tcti),
	 .value = "TCTI",
	 .help = "of a CA key in the TPM, " TPM_TCTI},
	CLIENT_SOCKET_OPTION(struct create),
};

static const struct args_command command = {
	.usage = "create NAME [OPTIONS]",
	.about =
		"Makes a new vTPM, seals it, starts it, and waits until guests may come.\n"
		"Prints its uuid, alone, on standard output; in the guest's file:\n"
		"  vtpm=[\"backend=vtpm-NAME,uuid=UUID\"]\n"
		"With a CA (`vtpmctl ca init`) it gets certificates.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct create, name),
};

static int make(const struct create *c)
{
	json_t *reply, *request = client_request("create", c->name);
	const char *uuid;
	int status;

	/* a NULL request, value or failure to add: client_call() tells */
	if (request && c->policy)
		json_object_set_new(request, "policy", json_string(c->policy));
	if (request && c->placement)
		json_object_set_new(request, "placement", json_string(c->placement));
	if (request && c->memory)
		json_object_set_new(request, "memory", json_integer(c->memory));
	status = client_call(c->socket, request, &reply);
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
			c->name);
		return VTPMCTL_FAILED;
	}
	return VTPMCTL_OK;
}

/* A CA that cannot issue is noticed before there is a vTPM without certificates. */
static int make_with(const struct create *c)
{
	struct error e = {.cause = CAUSE_NONE};
	struct ca ca;
	int status;

	if (ca_open(&ca, c->folder, c->tcti, true, &e))
		return vtpmctl_fail(&e);
	status = make(c);
	if (!status) {
		status = issue(&ca, c->socket, c->name);
		if (status)
			fprintf(stderr,
				"%s is there, but without certificates: `vtpmctl cert "
				"issue %s`\n",
				c->name, c->name);
	}
	ca_close(&ca);
	return status;
}

int create_main(int argc, char **argv)
{
	struct create c = {
		.socket = CLIENT_SOCKET, .folder = CA_FOLDER, .tcti = TPM_TCTI};
	enum args_result parsed = args_parse(&command, argc, argv, &c);

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	return ca_is_there(c.folder) ? make_with(&c) : make(&c);
}
