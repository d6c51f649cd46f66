/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/issue.h"
#include "tools/vtpmctl/tpm.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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
	const char *banks;	/* NULL: vtpmd's default */
	unsigned int locality_mask, bank_mask;
	bool measured;
	const char *folder, *tcti;
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
	CA_FOLDER_OPTION(struct create),
	{.name = "tcti",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct create, tcti),
	 .value = "TCTI",
	 .help = "of a CA key in the TPM, " TPM_TCTI},
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
	{.name = "pcr-banks",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct create, banks),
	 .value = "LIST",
	 .help = "some of sha1,sha256,sha384,sha512"},
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
		"  vtpm=[\"backend=vtpm-NAME,uuid=UUID\"]\n"
		"With a CA (`vtpmctl ca init`) it gets certificates.\n",
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

/* "sha256,sha384": a mask; 0: it is none. */
static unsigned int banks_of(const char *text)
{
	static const char *const names[] = {"sha1", "sha256", "sha384", "sha512"};
	unsigned int mask = 0;

	for (;; text++) {
		size_t i = 0, len = strcspn(text, ",");

		while (i < ARRAY_SIZE(names) &&
		       (strlen(names[i]) != len || strncmp(text, names[i], len)))
			i++;
		if (i == ARRAY_SIZE(names))
			return 0;
		mask |= 1u << i;
		text += len;
		if (!*text)
			return mask;
	}
}

/* The lists, as masks; false: one is none. */
static bool take_lists(struct create *c)
{
	if (c->localities)
		c->locality_mask = localities_of(c->localities);
	if (c->banks)
		c->bank_mask = banks_of(c->banks);
	if (c->localities && !c->locality_mask)
		fprintf(stderr,
			"vtpmctl: --localities is a list of 0 to 4 that has 0, as 0,2 or "
			"0-4, not %s; usage: vtpmctl %s (--help says more)\n",
			c->localities, command.usage);
	else if (c->banks && !c->bank_mask)
		fprintf(stderr,
			"vtpmctl: --pcr-banks is a list of sha1, sha256, sha384 and "
			"sha512, as sha256,sha384, not %s; usage: vtpmctl %s (--help says "
			"more)\n",
			c->banks, command.usage);
	else
		return true;
	return false;
}

/* NULL: out of memory, which client_call() tells. */
static json_t *request_of(const struct create *c)
{
	const struct {
		const char *key;
		json_t *value;
	} members[] = {
		{"policy", c->policy ? json_string(c->policy) : NULL},
		{"placement", c->placement ? json_string(c->placement) : NULL},
		{"memory", c->memory ? json_integer(c->memory) : NULL},
		{"tpm", c->tpm ? json_string(c->tpm) : NULL},
		{"localities", c->locality_mask ? json_integer(c->locality_mask) : NULL},
		{"pcr_banks", c->bank_mask ? json_integer(c->bank_mask) : NULL},
		{"measured", c->measured ? json_true() : NULL},
	};
	json_t *request = client_request("create", c->name);

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (members[i].value)
			json_object_set_new(request, members[i].key, members[i].value);
	return request;
}

static int make(const struct create *c)
{
	json_t *reply;
	const char *uuid;
	int status = client_call(c->socket, request_of(c), &reply);

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

static bool is_12(const struct create *c)
{
	return c->tpm && !strcmp(c->tpm, "1.2");
}

int create_main(int argc, char **argv)
{
	struct create c = {
		.socket = CLIENT_SOCKET, .folder = CA_FOLDER, .tcti = TPM_TCTI};
	enum args_result parsed = args_parse(&command, argc, argv, &c);
	bool certified;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (!take_lists(&c))
		return VTPMCTL_USAGE;
	if (c.measured && is_12(&c)) {
		fprintf(stderr, "vtpmctl: nothing is measured into a TPM 1.2: leave out "
				"--measured or --tpm 1.2\n");
		return VTPMCTL_USAGE;
	}
	/* the certificates are a TPM 2.0's */
	certified = ca_is_there(c.folder) && !is_12(&c);
	return certified ? make_with(&c) : make(&c);
}
