/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl audit verify | rotate.  Where the log has to end is what vtpmd says, which is what
 * it wrote itself, or what the host's TPM has (tools/vtpmd/trail.h).
 */
#include "lib/audit.h"
#include "lib/text.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TRIES 3 /* while entries come, or files are being renamed */

struct audit {
	const char *what, *file, *socket;

	struct audit_head end; /* as vtpmd has it */
	bool has_end, anchored;
	bool json;
	struct audit_result log;
	int rc;
};

static const struct args_option audit_options[] = {
	OPTION_FLAG("json", struct audit, json, "verify: as a JSON object"),
	OPTION_TEXT("file", struct audit, file, "FILE", AUDIT_PATH),
	CLIENT_SOCKET_OPTION(struct audit),
};

static const struct args_command audit_command = {
	.usage = "audit verify|rotate [OPTIONS]",
	.about =
		"verify checks that the audit log and its rotated files (FILE.1, FILE.2, ...) are\n"
		"one chain without a gap, from the oldest entry that was kept to the newest that\n"
		"vtpmd wrote and the host's TPM knows of.  Of a copy, with --file and without\n"
		"--socket, nobody knows where it has to end.\n"
		"rotate is for logrotate, after it renamed the files: an entry notes which is the\n"
		"oldest one that is left.\n",
	.options = audit_options,
	.option_count = ARRAY_SIZE(audit_options),
	.word = "verify",
	.word_offset = offsetof(struct audit, what),
};

static int ask_end(struct audit *a)
{
	size_t len = sizeof(a->end.hash);
	json_t *reply;
	int status = client_call(a->socket, client_request("audit-end", NULL), &reply);

	if (status)
		return status;
	a->end.n = (uint64_t)json_integer_value(json_object_get(reply, "entries"));
	a->anchored = json_is_true(json_object_get(reply, "anchor"));
	a->has_end = !hex_decode(client_text(reply, "last"), a->end.hash, &len) &&
		     len == sizeof(a->end.hash);
	json_decref(reply);
	return a->has_end ? VTPMCTL_OK : VTPMCTL_FAILED;
}

static bool is_whole(const struct audit *a)
{
	const struct audit_result *r = &a->log;

	return !a->rc && !r->wrong && (r->first ? r->first : r->end.n + 1) <= r->kept &&
	       (!a->has_end || audit_head_equal(&r->end, &a->end));
}

/* Twice, if need be: between the question and the reading entries may have come. */
static int look(struct audit *a)
{
	const struct timespec moment = {.tv_nsec = 100000000};
	int tries, status = VTPMCTL_OK;

	for (tries = 0; tries < TRIES; tries++) {
		if (tries)
			nanosleep(&moment, NULL);
		if (a->socket)
			status = ask_end(a);
		if (status)
			break;
		a->rc = audit_read(a->file, &a->end, SIZE_MAX, &a->log);
		if (is_whole(a) || !a->socket)
			break;
	}
	return status;
}

#define LL(n) ((unsigned long long)(n))

/* What it may be good for to know of a file that is not read. */
static void print_other(const struct audit_result *r, FILE *to)
{
	if (r->other[0])
		fprintf(to,
			" (%s beside it is not read: gunzip it, or name it as "
			"the others)",
			r->other);
	fputs("; compare with a copy that was kept elsewhere", to);
}

static void print_file(const struct audit *a, FILE *to)
{
	fputs(a->file, to);
	if (a->log.file)
		fprintf(to, ".%u", a->log.file);
}

/* One sentence, without its end of line. */
static void print_wrong(const struct audit *a, FILE *to)
{
	const struct audit_result *r = &a->log;

	if (a->rc) {
		print_file(a, to);
		fprintf(to, " cannot be read: %s", strerror(-a->rc));
		return;
	}
	if (r->wrong == AUDIT_ALTERED) {
		print_file(a, to);
		fprintf(to,
			" was changed: line %zu does not follow from the one "
			"before it",
			r->line);
	} else if (r->wrong) {
		print_file(a, to);
		fprintf(to,
			" was changed: entries are missing before line %zu, from "
			"entry %llu on",
			r->line, LL(r->missing));
	} else if (!r->first && !a->has_end) {
		fprintf(to,
			"%s %s: give an audit log with --file FILE; what vtpmd "
			"writes is in " AUDIT_PATH,
			a->file,
			access(a->file, F_OK) ? "is not there"
					      : "has no entry, as an audit log has");
		return;
	} else if (!r->first) {
		fprintf(to, "%s has no entry, and there were %llu: it was removed",
			a->file, LL(a->end.n));
	} else if (r->first > r->kept) {
		fprintf(to,
			"%s was changed: it begins with entry %llu, and entries "
			"from %llu on were kept",
			a->file, LL(r->first), LL(r->kept));
	} else if (r->end.n < a->end.n) {
		fprintf(to,
			"%s was changed: it ends with entry %llu, and entry %llu "
			"was the last",
			a->file, LL(r->end.n), LL(a->end.n));
	} else {
		fprintf(to, "%s was changed: its end is not what vtpmd wrote", a->file);
	}
	print_other(r, to);
}

static bool is_good(const struct audit *a)
{
	return is_whole(a) && (a->log.first || a->has_end);
}

static void print_good(const struct audit *a)
{
	const struct audit_result *r = &a->log;
	char last[AUDIT_HASH_HEX];

	hex_encode(r->end.hash, sizeof(r->end.hash), last);
	printf("%zu entr%s in %zu file%s, %zu unfinished, last %s\n", r->entries,
	       r->entries == 1 ? "y" : "ies", r->files, r->files == 1 ? "" : "s", r->torn,
	       last);
	if (r->first > 1)
		printf("entries before %llu were rotated away\n", LL(r->first));
	if (!a->has_end)
		puts("not compared with what vtpmd wrote: entries may be missing at the end");
	else if (!a->anchored)
		puts("this host has no anchor: what was taken off the end while vtpmd did not "
		     "run is not noticed");
}

/* The same for programs, whatever the verdict is. */
static int print_audit_json(const struct audit *a)
{
	const struct audit_result *r = &a->log;
	char last[AUDIT_HASH_HEX], *wrong = NULL;
	size_t len = 0;
	FILE *to = is_good(a) ? NULL : open_memstream(&wrong, &len);
	json_t *o;
	int rc;

	if (to) {
		print_wrong(a, to);
		fclose(to);
	}
	hex_encode(r->end.hash, sizeof(r->end.hash), last);
	o = json_pack("{s:b, s:s?, s:I, s:I, s:I, s:I, s:s, s:b, s:b}", "whole",
		      is_good(a), "error", wrong, "entries", (json_int_t)r->entries,
		      "files", (json_int_t)r->files, "unfinished", (json_int_t)r->torn,
		      "first", (json_int_t)r->first, "last", last, "compared", a->has_end,
		      "anchor", a->anchored);
	rc = o ? json_dumpf(o, stdout, JSON_INDENT(2)) : -1;
	putchar('\n');
	json_decref(o);
	free(wrong);
	return rc ? VTPMCTL_FAILED : VTPMCTL_OK;
}

static int verify(struct audit *a)
{
	int status = look(a);

	if (status)
		return status;
	if (a->json)
		status = print_audit_json(a);
	else if (is_good(a))
		print_good(a);
	if (!is_good(a)) {
		status = VTPMCTL_FAILED;
		fputs("vtpmctl: ", stderr);
		print_wrong(a, stderr);
		fputc('\n', stderr);
	}
	return fflush(stdout) ? VTPMCTL_FAILED : status;
}

static int rotate(const struct audit *a)
{
	json_t *reply;
	int status = client_call(a->socket ? a->socket : CLIENT_SOCKET,
				 client_request("audit-rotate", NULL), &reply);

	json_decref(reply);
	return status;
}

int audit_main(int argc, char **argv)
{
	struct audit a = {.what = NULL};

	args_parse_or_exit(&audit_command, argc, argv, &a);
	if (!strcmp(a.what, "rotate"))
		return rotate(&a);
	if (strcmp(a.what, "verify")) {
		fprintf(stderr, "vtpmctl: usage: vtpmctl %s\n", audit_command.usage);
		return VTPMCTL_USAGE;
	}
	if (!a.file && !a.socket)
		a.socket = CLIENT_SOCKET;
	if (!a.file)
		a.file = AUDIT_PATH;
	return verify(&a);
}
