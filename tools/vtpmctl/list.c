/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/table.h"
#include "tools/vtpmctl/vtpmline.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct list {
	const char *socket;
	bool json;
};

static const struct args_option list_options[] = {
	OPTION_FLAG("json", struct list, json,
		    "as a JSON array of what `show --json` prints"),
	CLIENT_SOCKET_OPTION(struct list),
};

static const struct args_command list_command = {
	.usage = "list [OPTIONS]",
	.about =
		"Lists the vTPMs of this host: the domids of guest and stub domain, how long it\n"
		"is ready, TPM commands since then, the generation of its state, the kinds of\n"
		"its key slots, how many boot states open it, and which TPM it is.  Why one\n"
		"failed stands below.\n",
	.options = list_options,
	.option_count = ARRAY_SIZE(list_options),
};

static const char *const list_heads[] = {"NAME",     "STATE", "GUEST", "DOMID", "UPTIME",
					 "COMMANDS", "GEN",   "SLOTS", "PCRS",	"TPM"};
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

/* Which way it moves, and how far that is; "": it does not. */
static void write_move(const json_t *v, char *out, size_t room)
{
	const json_t *handover = json_object_get(v, "handover");
	const char *way = client_text(handover, "way");

	if (!json_is_object(handover))
		out[0] = '\0';
	else if (!way[0])
		snprintf(out, room, "nowhere: %s", client_text(handover, "step"));
	else
		snprintf(out, room, "%s %s: %s",
			 !strcmp(way, "in")	? "from"
			 : !strcmp(way, "back") ? "back to"
						: "to",
			 client_text(handover, "peer"), client_text(handover, "step"));
}

/* Which guests run without their TPM; behind what the note says already. */
static void add_lost(const json_t *v, char *note, size_t room)
{
	const json_t *domids = json_object_get(v, "lost_guests"), *domid;
	const json_t *names = json_object_get(v, "lost_names");
	size_t i;

	json_array_foreach(domids, i, domid)
	{
		const char *name = json_string_value(json_array_get(names, i));
		long long number = (long long)json_integer_value(domid);
		size_t at = strlen(note);

		snprintf(note + at, room - at,
			 "%s%s lost its TPM until it restarts: `xl reboot %lld`",
			 at ? "; " : "", name ? name : "a domain", number);
	}
}

/* Why it does not run, or what it waits for, and who has lost it, below its line. */
static void fill_note(const json_t *v, char *note, size_t room)
{
	const char *error = json_string_value(json_object_get(v, "error"));
	const char *store = json_string_value(json_object_get(v, "store_error"));
	const char *host = json_string_value(json_object_get(v, "in_use_on"));
	const json_t *retry = json_object_get(v, "retry_s");
	char move[160];

	write_move(v, move, sizeof(move));
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
	else if (store)
		snprintf(note, room, "its guest waits for the disk: %s", store);
	else if (host)
		snprintf(note, room, "in use on the host %s", host);
	else if (move[0])
		snprintf(note, room, "moves %s; see `vtpmctl show %s`", move,
			 table_text(v, "name"));
	add_lost(v, note, room);
}

/* What runs, but executes nothing, as it is being given to another host, or is not this one's
 * yet. */
static const char *shown_state(const json_t *v)
{
	static const char *const serves[] = {"", "offered", "judging", "proved", "owned"};
	const char *state = table_text(v, "state");
	const char *step = client_text(json_object_get(v, "handover"), "step");

	if (strcmp(state, "running") != 0)
		return state;
	for (size_t i = 0; i < ARRAY_SIZE(serves); i++)
		if (!strcmp(step, serves[i]))
			return state;
	return "moving";
}

static void list_fill(const json_t *v, struct table_row *r)
{
	const json_t *uptime = json_object_get(v, "uptime_s");
	const json_t *commands = json_object_get(v, "commands");

	memset(r, 0, sizeof(*r));
	snprintf(r->cell[0], TABLE_CELL, "%s", table_text(v, "name"));
	snprintf(r->cell[1], TABLE_CELL, "%s", shown_state(v));
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
	json_array_foreach(vtpms, i, vtpm) list_fill(vtpm, &rows[i]);
	table_print(list_heads, ARRAY_SIZE(list_heads), RIGHT, rows, n);
	free(rows);
	return VTPMCTL_OK;
}

/* vTPMs that vtpmd found and cannot name. */
static void warn_damaged(const json_t *damaged)
{
	const json_t *one;
	size_t i;

	json_array_foreach(damaged, i, one)
	{
		fprintf(stderr,
			"Warning: the vTPM in the store's folder %s is left alone: its "
			"vtpm.json cannot be used (%s); put it back from a copy of the "
			"folder, and restart vtpmd\n",
			table_text(one, "folder"), table_text(one, "error"));
	}
}

/* What vtpmctl itself has to tell of each. */
static void add_vtpm_line(json_t *vtpm)
{
	char *text = vtpmline_text(vtpm);

	if (text)
		json_object_set_new(vtpm, "vtpm_line", json_string(text));
	free(text);
}

int list_main(int argc, char **argv)
{
	struct list l = {.socket = CLIENT_SOCKET};
	json_t *reply, *vtpms, *vtpm;
	size_t i;
	int status;

	args_parse_or_exit(&list_command, argc, argv, &l);
	status = client_call(l.socket, client_request("list", NULL), &reply);
	if (status)
		return status;
	vtpms = json_object_get(reply, "vtpms");
	warn_damaged(json_object_get(reply, "damaged"));
	if (l.json) {
		json_array_foreach(vtpms, i, vtpm) add_vtpm_line(vtpm);
		json_dumpf(vtpms, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (json_array_size(vtpms)) {
		status = print_table(vtpms);
	} else if (!json_array_size(json_object_get(reply, "damaged"))) {
		/* not on stdout: a program counts its lines */
		fputs("There are no vTPMs on this host: `vtpmctl create NAME` makes one\n",
		      stderr);
	}
	json_decref(reply);
	return fflush(stdout) ? VTPMCTL_FAILED : status;
}

struct show {
	const char *name;
	const char *socket;
	bool json;
};

static const struct args_option show_options[] = {
	OPTION_FLAG("json", struct show, json, "as a JSON object"),
	CLIENT_SOCKET_OPTION(struct show),
};

static const struct args_command show_command = {
	.usage = "show NAME [OPTIONS]",
	.about = "Tells all about one vTPM; when it failed, why.\n",
	.options = show_options,
	.option_count = ARRAY_SIZE(show_options),
	.word = "NAME",
	.word_offset = offsetof(struct show, name),
};

/* In the order of printing; a field that is null, false or absent is left out. */
static const struct {
	const char *key, *label;
} fields[] = {
	{"name", "name"},
	{"uuid", "uuid"},
	{"vtpm_line", "for the guest's file"},
	{"state", "state"},
	{"in_use_on", "in use on the host"},
	{"error", "why"},
	{"cause", "cause"},
	{"retry_s", "tried again in (s)"},
	{"last_error", "last error"},
	{"last_error_at", "at"},
	{"restarts", "restarts"},
	{"ending", "asked to end"},
	{"handover", "moves"},
	{"store_error", "waits for the disk"},
	{"tpm", "TPM"},
	{"localities", "localities"},
	{"pcr_banks", "PCR banks"},
	{"bind", "bound to its"},
	{"ppi", "physical presence"},
	{"ppi_request", "PPI request pending"},
	{"policy", "policy"},
	{"guests", "serves guests"},
	{"refused_guest", "refused guest"},
	{"lost_guests", "without their TPM"},
	{"copy_of", "copy of"},
	{"imported", "imported from"},
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
	{"ready_ns", "ready after (s)"},
	{"unlock_ns", "of it TPM, KMS (s)"},
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

static void print_lost(const json_t *vtpm)
{
	print_value(json_object_get(vtpm, "lost_names"));
	printf(": each lost its TPM until it restarts (`xl reboot DOMID`)");
}

static void print_ending(const json_t *vtpm)
{
	printf("by `xl shutdown`, as soon as no guest uses it; `vtpmctl start %s` "
	       "cancels that",
	       json_string_value(json_object_get(vtpm, "name")));
}

static void print_handover(const json_t *vtpm, const json_t *handover)
{
	const char *step = client_text(handover, "step");
	const char *peer = client_text(handover, "peer");
	const char *name = client_text(vtpm, "name");
	bool out = !strcmp(client_text(handover, "way"), "out");
	char move[160];

	write_move(vtpm, move, sizeof(move));
	printf("%s; ", move);
	if (!client_text(handover, "way")[0])
		printf("see whether another host has it (`vtpmctl list` there), and "
		       "docs/migration.md");
	else if (!strcmp(step, "doubt") || !strcmp(step, "unsure"))
		printf("`vtpmctl migrate --continue %s` asks %s", name, peer);
	else
		printf("wait: only when no `vtpmctl migrate` of it runs any more, `vtpmctl "
		       "migrate --continue %s`%s%s goes on with it",
		       name, out ? "" : " on ", out ? "" : peer);
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
	const char *hash;
	size_t i;

	json_array_foreach(eks, i, ek)
	{
		/* of one that is moving here the Name alone is known */
		hash = json_string_value(json_object_get(ek, "sha256"));
		if (i)
			printf("\n%-20s ", "");
		printf("%s %s%s", client_text(ek, "alg"), hash ? "sha256:" : "",
		       hash ? hash : client_text(ek, "name"));
	}
}

/* The member's unit stays nanoseconds for programs. */
static void print_seconds(const json_t *ns)
{
	printf("%.3f", (double)json_integer_value(ns) / 1e9);
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
		else if (!strcmp(fields[i].key, "state"))
			fputs(shown_state(vtpm), stdout);
		else if (!strcmp(fields[i].key, "handover"))
			print_handover(vtpm, value);
		else if (!strcmp(fields[i].key, "lost_guests"))
			print_lost(vtpm);
		else if (!strcmp(fields[i].key, "approved"))
			print_approved(value);
		else if (!strcmp(fields[i].key, "ek"))
			print_eks(value);
		else if (!strcmp(fields[i].key, "ready_ns") ||
			 !strcmp(fields[i].key, "unlock_ns"))
			print_seconds(value);
		else
			print_value(value);
		putchar('\n');
	}
}

int show_main(int argc, char **argv)
{
	struct show s = {.socket = CLIENT_SOCKET};
	json_t *reply, *vtpm;
	int status;

	args_parse_or_exit(&show_command, argc, argv, &s);
	status = client_call(s.socket, client_request("show", s.name), &reply);
	if (status)
		return status;
	vtpm = json_object_get(reply, "vtpm");
	add_vtpm_line(vtpm);
	if (s.json) {
		json_dumpf(vtpm, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_fields(vtpm);
	}
	json_decref(reply);
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}

/*
 * vtpmctl top: what each vTPM did between two samples of what managers tell of
 * themselves.  A manager that was restarted in between has counted from zero again
 * and is shown with what it did since.
 */

struct top {
	const char *socket;
	bool json, once;
	unsigned int times, seconds;
};

static const struct args_option top_options[] = {
	{.name = "delay",
	 .letter = 'd',
	 .kind = ARGS_NUMBER,
	 .offset = offsetof(struct top, seconds),
	 .value = "SECONDS",
	 .help = "between two samples, 2",
	 .min = 1,
	 .max = 3600},
	{.name = "count",
	 .letter = 'n',
	 .kind = ARGS_NUMBER,
	 .offset = offsetof(struct top, times),
	 .value = "N",
	 .help = "end after N tables",
	 .min = 1,
	 .max = 1000000},
	OPTION_FLAG("once", struct top, once, "end after one table"),
	OPTION_FLAG("json", struct top, json, "a JSON array a line, for programs"),
	CLIENT_SOCKET_OPTION(struct top),
};

static const struct args_command top_command = {
	.usage = "top [OPTIONS]",
	.about =
		"Shows what the vTPMs do: TPM commands a second, how long half of them and 99 of\n"
		"100 took at most (from the packet to the answer, the state on the disk), writes\n"
		"of the state a second and in all, and memory.  Ctrl-C ends it.\n",
	.options = top_options,
	.option_count = ARRAY_SIZE(top_options),
};

/* What one vTPM did in an interval; below 0: not known. */
struct done {
	const char *name, *state;
	const json_t *vtpm;
	double commands_s, p50_ms, p99_ms, writes_s, writes, memory_kib;
};

static double list_number(const json_t *v, const char *key)
{
	const json_t *value = json_object_get(v, key);

	return json_is_integer(value) ? (double)json_integer_value(value) : -1;
}

static const json_t *find_list(const json_t *vtpms, const char *name)
{
	const json_t *v;
	size_t i;

	json_array_foreach(vtpms, i, v)
	{
		if (!strcmp(table_text(v, "name"), name))
			return v;
	}
	return NULL;
}

/* Returns the rate a second; a counter below the last sample's was reset. */
static double rate(const json_t *old, const json_t *new, const char *key, bool anew,
		   double seconds)
{
	double before = anew ? 0 : list_number(old, key), now = list_number(new, key);

	return before < 0 || now < 0 || now < before ? -1 : (now - before) / seconds;
}

static void set_latency(struct done *d, const json_t *old, const json_t *new, bool anew)
{
	const json_t *before = json_object_get(json_object_get(old, "latency"), "counts");
	const json_t *l = json_object_get(new, "latency");
	const json_t *now = json_object_get(l, "counts");
	uint64_t counts[LATENCY_BUCKETS];
	double first = list_number(l, "first_ns") / 1e6;
	size_t i;

	if (json_array_size(now) != LATENCY_BUCKETS ||
	    (!anew && json_array_size(before) != LATENCY_BUCKETS))
		return;
	for (i = 0; i < LATENCY_BUCKETS; i++) {
		json_int_t a = anew ? 0 : json_integer_value(json_array_get(before, i));
		json_int_t b = json_integer_value(json_array_get(now, i));

		counts[i] = b > a ? (uint64_t)(b - a) : 0;
	}
	d->p50_ms = quantile(counts, first, 0.5);
	d->p99_ms = quantile(counts, first, 0.99);
}

static struct done compare(const json_t *old, const json_t *new, double seconds)
{
	/* "-1" of an older sample that knows nothing is no restart */
	bool anew = old && list_number(new, "uptime_s") < list_number(old, "uptime_s");
	double mib = list_number(new, "memory_mib"),
	       free_kib = list_number(new, "free_kib");
	struct done d = {
		.name = table_text(new, "name"),
		.state = table_text(new, "state"),
		.vtpm = new,
		.commands_s = rate(old, new, "commands", anew, seconds),
		.p50_ms = -1,
		.p99_ms = -1,
		.writes_s = rate(old, new, "state_writes", anew, seconds),
		.writes = list_number(new, "state_writes"),
		.memory_kib = list_number(new, "resident_kib"),
	};

	if (free_kib >= 0)
		d.memory_kib = mib * 1024 - free_kib;
	set_latency(&d, old, new, anew);
	return d;
}

static void print_ms(double ms, char out[TABLE_CELL])
{
	if (ms < 0)
		strcpy(out, "-");
	else
		snprintf(out, TABLE_CELL, ms < 10 ? "%.2f" : "%.0f", ms);
}

static void top_fill(const struct done *d, struct table_row *r)
{
	memset(r, 0, sizeof(*r));
	snprintf(r->cell[0], TABLE_CELL, "%s", d->name);
	snprintf(r->cell[1], TABLE_CELL, "%s", shown_state(d->vtpm));
	table_count(d->commands_s, r->cell[2]);
	print_ms(d->p50_ms, r->cell[3]);
	print_ms(d->p99_ms, r->cell[4]);
	table_count(d->writes_s, r->cell[5]);
	table_count(d->writes, r->cell[6]);
	if (d->memory_kib < 0)
		strcpy(r->cell[7], "-");
	else
		snprintf(r->cell[7], TABLE_CELL, "%.1f", d->memory_kib / 1024);
	add_lost(d->vtpm, r->note, sizeof(r->note));
}

static json_t *real(double value)
{
	return value < 0 ? json_null() : json_real(value);
}

static json_t *list_to_json(const struct done *d)
{
	return json_pack("{s:s, s:s, s:O?, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
			 d->name, "state", d->state, "lost_guests",
			 json_object_get(d->vtpm, "lost_guests"), "commands_per_s",
			 real(d->commands_s), "latency_p50_ms", real(d->p50_ms),
			 "latency_p99_ms", real(d->p99_ms), "state_writes_per_s",
			 real(d->writes_s), "state_writes", real(d->writes), "memory_kib",
			 real(d->memory_kib));
}

static int print_top(const struct top *t, const json_t *old, const json_t *new,
		     double seconds)
{
	static const char *const top_heads[] = {"NAME",	  "STATE",  "CMDS/S",
						"P50 MS", "P99 MS", "WRITES/S",
						"WRITES", "MEM MIB"};
	size_t i, n = json_array_size(new);
	struct table_row *rows = calloc(n + 1, sizeof(*rows));
	json_t *all = json_array();
	const json_t *v;

	if (!rows) {
		fputs("vtpmctl: out of memory\n", stderr);
		json_decref(all);
		return VTPMCTL_FAILED;
	}
	json_array_foreach(new, i, v)
	{
		struct done d =
			compare(find_list(old, table_text(v, "name")), v, seconds);

		top_fill(&d, &rows[i]);
		json_array_append_new(all, list_to_json(&d));
	}
	if (!t->json && isatty(STDOUT_FILENO))
		fputs("\033[H\033[J", stdout);
	if (t->json) {
		json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
		putchar('\n');
	} else {
		table_print(top_heads, ARRAY_SIZE(top_heads), 0xfc, rows, n);
	}
	json_decref(all);
	free(rows);
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}

static int sample(const struct top *t, json_t **reply, struct timespec *at)
{
	int status = client_call(t->socket, client_request("list", NULL), reply);

	clock_gettime(CLOCK_MONOTONIC, at);
	return status;
}

static int run_list(const struct top *t)
{
	json_t *old, *new;
	struct timespec then, now;
	int status = sample(t, &old, &then);
	unsigned int i;

	for (i = 0; !status && (!t->times || i < t->times); i++) {
		sleep(t->seconds);
		status = sample(t, &new, &now);
		if (status)
			break;
		status = print_top(t, json_object_get(old, "vtpms"),
				   json_object_get(new, "vtpms"),
				   (double)(now.tv_sec - then.tv_sec) +
					   (double)(now.tv_nsec - then.tv_nsec) / 1e9);
		json_decref(old);
		old = new;
		then = now;
	}
	json_decref(old);
	return status;
}

int top_main(int argc, char **argv)
{
	struct top t = {.socket = CLIENT_SOCKET, .seconds = 2};

	args_parse_or_exit(&top_command, argc, argv, &t);
	if (t.once)
		t.times = 1;
	return run_list(&t);
}
