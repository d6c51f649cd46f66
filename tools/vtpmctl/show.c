/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct show {
	const char *name;
	const char *socket;
	bool json;
};

static const struct args_option options[] = {
	{.name = "json",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct show, json),
	 .help = "as a JSON object"},
	CLIENT_SOCKET_OPTION(struct show),
};

static const struct args_command command = {
	.usage = "show NAME [OPTIONS]",
	.about = "Tells all about one vTPM; when it failed, why.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct show, name),
};

/* In the order of printing; a field that is null, false or absent is left out. */
static const struct {
	const char *key, *label;
} fields[] = {
	{"name", "name"},
	{"uuid", "uuid"},
	{"state", "state"},
	{"error", "why"},
	{"cause", "cause"},
	{"retry_s", "tried again in (s)"},
	{"last_error", "last error"},
	{"last_error_at", "at"},
	{"restarts", "restarts"},
	{"ending", "asked to end"},
	{"store_error", "waits for the disk"},
	{"tpm", "TPM"},
	{"localities", "localities"},
	{"pcr_banks", "PCR banks"},
	{"policy", "policy"},
	{"guests", "serves guests"},
	{"refused_guest", "refused guest"},
	{"lost_guests", "without their TPM"},
	{"copy_of", "copy of"},
	{"slots", "key slots"},
	{"approved", "approved PCRs"},
	{"ek", "EK"},
	{"certificates", "certificates"},
	{"sealed", "slots made"},
	{"keyed", "data key made"},
	{"placement", "placement"},
	{"domain", "stub domain"},
	{"domid", "its domid"},
	{"guest_domid", "guest's domid"},
	{"memory_mib", "memory (MiB)"},
	{"free_kib", "of it free (KiB)"},
	{"resident_kib", "resident (KiB)"},
	{"seq", "state generation"},
	{"anchored", "known to be at least"},
	{"state_writes", "state writes"},
	{"commands", "TPM commands"},
	{"refused", "refused requests"},
	{"hypercalls", "hypercalls"},
	{"notifications", "notifications"},
	{"uptime_s", "uptime (s)"},
	{"ready_ns", "ready after (ns)"},
	{"unlock_ns", "of it TPM, KMS (ns)"},
	{"store", "store"},
};

static void print_value(const json_t *value)
{
	const json_t *item;
	size_t i;

	switch (json_typeof(value)) {
	case JSON_STRING:
		printf("%s", json_string_value(value));
		break;
	case JSON_INTEGER:
		printf("%lld", (long long)json_integer_value(value));
		break;
	case JSON_ARRAY:
		json_array_foreach(value, i, item)
		{
			fputs(i ? ", " : "", stdout);
			print_value(item);
		}
		break;
	default:
		json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	}
}

static void print_lost(const json_t *domids)
{
	print_value(domids);
	printf(": each lost its TPM until it restarts (`xl reboot DOMID`)");
}

static void print_ending(const json_t *vtpm)
{
	printf("by `xl shutdown`, as soon as no guest uses it; `vtpmctl start %s` "
	       "cancels that",
	       json_string_value(json_object_get(vtpm, "name")));
}

/* "0,2,4,7 (before the update); 0,2,4,7": one a boot state. */
static void print_approved(const json_t *approved)
{
	const json_t *state, *pcr;
	size_t i, j;

	json_array_foreach(approved, i, state)
	{
		const char *label = json_string_value(json_object_get(state, "label"));

		fputs(i ? "; " : "", stdout);
		json_array_foreach(json_object_get(state, "pcrs"), j, pcr)
		{
			fputs(j ? "," : "", stdout);
			print_value(pcr);
		}
		if (label && label[0])
			printf(" (%s)", label);
	}
}

/* "rsa2048 SHA-256 of its public key; ecc-p256 ...". */
static void print_eks(const json_t *eks)
{
	const json_t *ek;
	size_t i;

	json_array_foreach(eks, i, ek)
	{
		if (i)
			printf("\n%-20s ", "");
		printf("%s sha256:%s", json_string_value(json_object_get(ek, "alg")),
		       json_string_value(json_object_get(ek, "sha256")));
	}
}

static void print_fields(const json_t *vtpm)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		const json_t *value = json_object_get(vtpm, fields[i].key);

		if (!value || json_is_null(value) || json_is_false(value) ||
		    (json_is_array(value) && !json_array_size(value)))
			continue;
		printf("%-20s ", fields[i].label);
		if (!strcmp(fields[i].key, "ending"))
			print_ending(vtpm);
		else if (!strcmp(fields[i].key, "lost_guests"))
			print_lost(value);
		else if (!strcmp(fields[i].key, "approved"))
			print_approved(value);
		else if (!strcmp(fields[i].key, "ek"))
			print_eks(value);
		else
			print_value(value);
		putchar('\n');
	}
}

int show_main(int argc, char **argv)
{
	struct show s = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &s);
	json_t *reply, *vtpm;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	status = client_call(s.socket, client_request("show", s.name), &reply);
	if (status)
		return status;
	vtpm = json_object_get(reply, "vtpm");
	if (s.json) {
		json_dumpf(vtpm, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_fields(vtpm);
	}
	json_decref(reply);
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}
