/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct list {
	const char *socket;
	bool json;
};

static const struct args_option options[] = {
	{.name = "json",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct list, json),
	 .help = "as a JSON array of what `show --json` prints"},
	CLIENT_SOCKET_OPTION(struct list),
};

static const struct args_command command = {
	.usage = "list [OPTIONS]",
	.about = "Lists the vTPMs of this host.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static const char *text(const json_t *vtpm, const char *key)
{
	const char *value = json_string_value(json_object_get(vtpm, key));

	return value ? value : "-";
}

static void print_table(const json_t *vtpms)
{
	const json_t *vtpm;
	int width = 4;
	size_t i;

	json_array_foreach(vtpms, i, vtpm) if ((int)strlen(text(vtpm, "name")) > width)
		width = (int)strlen(text(vtpm, "name"));
	printf("%-*s  %-36s  %-8s  %-6s  %s\n", width, "NAME", "UUID", "STATE", "POLICY",
	       "GUEST");
	json_array_foreach(vtpms, i, vtpm)
	{
		const json_t *guest = json_object_get(vtpm, "guest_domid");
		const json_t *retry = json_object_get(vtpm, "retry_s");

		printf("%-*s  %-36s  %-8s  %-6s  ", width, text(vtpm, "name"),
		       text(vtpm, "uuid"), text(vtpm, "state"), text(vtpm, "policy"));
		if (json_is_integer(guest))
			printf("domain %lld\n", (long long)json_integer_value(guest));
		else if (json_is_integer(retry))
			printf("-  (%s, tried again in %lld s)\n", text(vtpm, "cause"),
			       (long long)json_integer_value(retry));
		else
			printf("-\n");
	}
}

int list_main(int argc, char **argv)
{
	struct list l = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &l);
	json_t *reply, *vtpms;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	status = client_call(l.socket, client_request("list", NULL), &reply);
	if (status)
		return status;
	vtpms = json_object_get(reply, "vtpms");
	if (l.json) {
		json_dumpf(vtpms, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (json_array_size(vtpms)) {
		print_table(vtpms);
	}
	json_decref(reply);
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}
