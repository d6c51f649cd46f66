/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl top: what each vTPM did between two samples of what managers tell of
 * themselves.  A manager that was restarted in between has counted from zero again
 * and is shown with what it did since.
 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/quantile.h"
#include "tools/vtpmctl/table.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct top {
	const char *socket;
	bool json, once;
	unsigned int times, seconds;
};

static const struct args_option options[] = {
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
	{.name = "once",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct top, once),
	 .help = "end after one table"},
	{.name = "json",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct top, json),
	 .help = "a JSON array a line, for programs"},
	CLIENT_SOCKET_OPTION(struct top),
};

static const struct args_command command = {
	.usage = "top [OPTIONS]",
	.about =
		"Shows what the vTPMs do: TPM commands a second, how long half of them and 99 of\n"
		"100 took at most (from the packet to the answer, the state on the disk), writes\n"
		"of the state a second and in all, and memory.  Ctrl-C ends it.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

/* What one vTPM did in an interval; below 0: not known. */
struct done {
	const char *name, *state;
	double commands_s, p50_ms, p99_ms, writes_s, writes, memory_kib;
};

static double number(const json_t *v, const char *key)
{
	const json_t *value = json_object_get(v, key);

	return json_is_integer(value) ? (double)json_integer_value(value) : -1;
}

static const json_t *find(const json_t *vtpms, const char *name)
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

/* Of a counter that may have begun anew. */
static double rate(const json_t *old, const json_t *new, const char *key, bool anew,
		   double seconds)
{
	double before = anew ? 0 : number(old, key), now = number(new, key);

	return before < 0 || now < 0 || now < before ? -1 : (now - before) / seconds;
}

static void set_latency(struct done *d, const json_t *old, const json_t *new, bool anew)
{
	const json_t *before = json_object_get(json_object_get(old, "latency"), "counts");
	const json_t *l = json_object_get(new, "latency");
	const json_t *now = json_object_get(l, "counts");
	uint64_t counts[LATENCY_BUCKETS];
	double first = number(l, "first_ns") / 1e6;
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
	bool anew = old && number(new, "uptime_s") < number(old, "uptime_s");
	double mib = number(new, "memory_mib"), free_kib = number(new, "free_kib");
	struct done d = {
		.name = table_text(new, "name"),
		.state = table_text(new, "state"),
		.commands_s = rate(old, new, "commands", anew, seconds),
		.p50_ms = -1,
		.p99_ms = -1,
		.writes_s = rate(old, new, "state_writes", anew, seconds),
		.writes = number(new, "state_writes"),
		.memory_kib = number(new, "resident_kib"),
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

static void fill(const struct done *d, struct table_row *r)
{
	memset(r, 0, sizeof(*r));
	snprintf(r->cell[0], TABLE_CELL, "%s", d->name);
	snprintf(r->cell[1], TABLE_CELL, "%s", d->state);
	table_count(d->commands_s, r->cell[2]);
	print_ms(d->p50_ms, r->cell[3]);
	print_ms(d->p99_ms, r->cell[4]);
	table_count(d->writes_s, r->cell[5]);
	table_count(d->writes, r->cell[6]);
	if (d->memory_kib < 0)
		strcpy(r->cell[7], "-");
	else
		snprintf(r->cell[7], TABLE_CELL, "%.1f", d->memory_kib / 1024);
}

static json_t *real(double value)
{
	return value < 0 ? json_null() : json_real(value);
}

static json_t *to_json(const struct done *d)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name", d->name,
			 "state", d->state, "commands_per_s", real(d->commands_s),
			 "latency_p50_ms", real(d->p50_ms), "latency_p99_ms",
			 real(d->p99_ms), "state_writes_per_s", real(d->writes_s),
			 "state_writes", real(d->writes), "memory_kib",
			 real(d->memory_kib));
}

static int print(const struct top *t, const json_t *old, const json_t *new,
		 double seconds)
{
	static const char *const heads[] = {"NAME",   "STATE",	  "CMDS/S", "P50 MS",
					    "P99 MS", "WRITES/S", "WRITES", "MEM MIB"};
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
		struct done d = compare(find(old, table_text(v, "name")), v, seconds);

		fill(&d, &rows[i]);
		json_array_append_new(all, to_json(&d));
	}
	if (!t->json && isatty(STDOUT_FILENO))
		fputs("\033[H\033[J", stdout);
	if (t->json) {
		json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
		putchar('\n');
	} else {
		table_print(heads, ARRAY_SIZE(heads), 0xfc, rows, n);
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

static int run(const struct top *t)
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
		status = print(t, json_object_get(old, "vtpms"),
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
	enum args_result parsed = args_parse(&command, argc, argv, &t);

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (t.once)
		t.times = 1;
	return run(&t);
}
