/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"

#include <stdio.h>

#define MEMORY_MIN 8
#define MEMORY_MAX 4096

struct create {
	const char *name;
	const char *socket;
	const char *policy;	/* NULL: vtpmd's default */
	const char *placement;	/* NULL: vtpmd's default */
	unsigned int memory;	/* MiB, 0: vtpmd's default */
	const char *tpm;	/* NULL: vtpmd's default */
	const char *localities; /* NULL: vtpmd's default */
};

static const char *const policies[] = {"host", "tpm", "kms", NULL};
static const char *const placements[] = {"stubdom", "process", NULL};

static const char *const versions[] = {"2.0", "1.2", NULL};

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
	{.name = "tpm",
	 .kind = ARGS_CHOICE,
	 .offset = offsetof(struct create, tpm),
	 .value = "2.0|1.2",
	 .help = "1.2: for guests that know no other",
	 .choices = versions},
	{.name = "localities",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct create, localities),
	 .value = "LIST",
	 .help = "for the guest: 0, or 0,2-3, or 0-4"},
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

/* "0", "0,2", "0-4": a mask that has locality 0; 0: it is none. */
static unsigned int localities_of(const char *text)
{
	unsigned int mask = 0, first, last;
	int n = 0, end = 0;

	for (;; text += end + 1) {
		end = n = 0;
		if (sscanf(text, "%1u%n-%1u%n", &first, &n, &last, &end) < 2) {
			last = first;
			end = n;
		}
		if (!n || *text < '0' || *text > '4' || last > 4 || last < first)
			return 0;
		for (; first <= last; first++)
			mask |= 1u << first;
		if (text[end] != ',')
			break;
	}
	return text[end] || !(mask & 1) ? 0 : mask;
}

/* NULL: out of memory, which client_call() tells. */
static json_t *request_of(const struct create *c, unsigned int localities)
{
	json_t *request = client_request("create", c->name);

	if (request && c->policy)
		json_object_set_new(request, "policy", json_string(c->policy));
	if (request && c->placement)
		json_object_set_new(request, "placement", json_string(c->placement));
	if (request && c->memory)
		json_object_set_new(request, "memory", json_integer(c->memory));
	if (request && c->tpm)
		json_object_set_new(request, "tpm", json_string(c->tpm));
	if (request && localities)
		json_object_set_new(request, "localities", json_integer(localities));
	return request;
}

int create_main(int argc, char **argv)
{
	struct create c = {.socket = CLIENT_SOCKET};
	json_t *reply;
	unsigned int localities = 0;
	enum args_result parsed = args_parse(&command, argc, argv, &c);
	const char *uuid;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (c.localities)
		localities = localities_of(c.localities);
	if (c.localities && !localities) {
		fprintf(stderr,
			"vtpmctl: --localities is a list of 0 to 4 that has 0, as 0,2 or "
			"0-4, not %s\n",
			c.localities);
		return VTPMCTL_USAGE;
	}
	status = client_call(c.socket, request_of(&c, localities), &reply);
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
