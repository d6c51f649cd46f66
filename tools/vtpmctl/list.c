/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/table.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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
	.about =
		"Lists the vTPMs of this host: the domids of guest and stub domain, how long it\n"
		"is ready, TPM commands since then, the generation of its state, the kinds of\n"
		"its key slots, how many boot states open it, and which TPM it is.  Why one\n"
		"failed stands below.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static const char *const heads[] = {"NAME",	"STATE", "GUEST", "DOMID", "UPTIME",
				    "COMMANDS", "GEN",	 "SLOTS", "PCRS",  "TPM"};
#define RIGHT (1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 8)

static void join(const json_t *slots, char out[TABLE_CELL])
{
	const json_t *slot;
	size_t i, at = 0;

	out[0] = '\0';
	json_array_foreach(slots, i, slot)
	{
		const char *word = json_string_value(slot);
		int n = snprintf(out + at, TABLE_CELL - at, "%s%s", i ? "," : "",
				 word ? word : "?");

		at += n > 0 ? (size_t)n : 0;
		if (at >= TABLE_CELL)
			return;
	}
	if (!at)
		strcpy(out, "-");
}

static long long lost_guest(const json_t *v)
{
	return (long long)json_integer_value(
		json_array_get(json_object_get(v, "lost_guests"), 0));
}

/* Why it does not run, or what it waits for, below its line. */
static void fill_note(const json_t *v, char *note, size_t room)
{
	const char *error = json_string_value(json_object_get(v, "error"));
	const char *store = json_string_value(json_object_get(v, "store_error"));
	const json_t *retry = json_object_get(v, "retry_s");

	if (error && json_is_integer(retry))
		snprintf(note, room, "%s, tried again in %lld s: %s",
			 table_text(v, "cause"), (long long)json_integer_value(retry),
			 error);
	else if (error)
		snprintf(note, room, "%s: %s", table_text(v, "cause"), error);
	else if (json_is_true(json_object_get(v, "ending")))
		snprintf(note, room,
			 "asked to end (`xl shutdown`), as soon as no guest uses it: "
			 "`vtpmctl start %s` cancels that",
			 table_text(v, "name"));
	else if (json_array_size(json_object_get(v, "lost_guests")))
		snprintf(note, room,
			 "domain %lld lost its TPM until it restarts: `xl reboot %lld`",
			 lost_guest(v), lost_guest(v));
	else if (store)
		snprintf(note, room, "its guest waits for the disk: %s", store);
}

static void fill(const json_t *v, struct table_row *r)
{
	const json_t *uptime = json_object_get(v, "uptime_s");
	const json_t *commands = json_object_get(v, "commands");

	memset(r, 0, sizeof(*r));
	snprintf(r->cell[0], TABLE_CELL, "%s", table_text(v, "name"));
	snprintf(r->cell[1], TABLE_CELL, "%s", table_text(v, "state"));
	table_number(json_object_get(v, "guest_domid"), r->cell[2]);
	table_number(json_object_get(v, "domid"), r->cell[3]);
	table_time(json_is_integer(uptime) ? json_integer_value(uptime) : -1, r->cell[4]);
	table_count(json_is_integer(commands) ? (double)json_integer_value(commands) : -1,
		    r->cell[5]);
	table_number(json_object_get(v, "seq"), r->cell[6]);
	join(json_object_get(v, "slots"), r->cell[7]);
	snprintf(r->cell[8], TABLE_CELL, "%zu",
		 json_array_size(json_object_get(v, "approved")));
	snprintf(r->cell[9], TABLE_CELL, "%s", table_text(v, "tpm"));
	fill_note(v, r->note, sizeof(r->note));
}

static int print_table(const json_t *vtpms)
{
	size_t i, n = json_array_size(vtpms);
	struct table_row *rows = calloc(n, sizeof(*rows));
	const json_t *vtpm;

	if (!rows) {
		fputs("vtpmctl: out of memory\n", stderr);
		return VTPMCTL_FAILED;
	}
	json_array_foreach(vtpms, i, vtpm) fill(vtpm, &rows[i]);
	table_print(heads, ARRAY_SIZE(heads), RIGHT, rows, n);
	free(rows);
	return VTPMCTL_OK;
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
		status = print_table(vtpms);
	}
	json_decref(reply);
	return fflush(stdout) ? VTPMCTL_FAILED : status;
}
