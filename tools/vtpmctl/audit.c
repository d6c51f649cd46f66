/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl audit verify | rotate.  Where the log has to end is what vtpmd says, which is what
 * it wrote itself, or what the host's TPM has (tools/vtpmd/trail.h).
 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "lib/audit.h"
#include "lib/hex.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TRIES 3 /* while entries come, or files are being renamed */

struct audit {
	const char *what, *file, *socket;

	struct audit_head end; /* as vtpmd has it */
	bool has_end, anchored;
	struct audit_result log;
	int rc;
};

static const struct args_option options[] = {
	{.name = "file",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct audit, file),
	 .value = "FILE",
	 .help = AUDIT_PATH},
	CLIENT_SOCKET_OPTION(struct audit),
};

static const struct args_command command = {
	.usage = "audit verify|rotate [OPTIONS]",
	.about =
		"verify checks that the audit log and its rotated files (FILE.1, FILE.2, ...) are\n"
		"one chain without a gap, from the oldest entry that was kept to the newest that\n"
		"vtpmd wrote and the host's TPM knows of.  Of a copy, with --file and without\n"
		"--socket, nobody knows where it has to end.\n"
		"rotate is for logrotate, after it renamed the files: an entry notes which is the\n"
		"oldest one that is left.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
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
static void print_other(const struct audit_result *r)
{
	if (r->other[0])
		fprintf(stderr,
			" (%s beside it is not read: gunzip it, or name it as "
			"the others)",
			r->other);
	fputs("; compare with a copy that was kept elsewhere\n", stderr);
}

static void print_file(const struct audit *a)
{
	fputs(a->file, stderr);
	if (a->log.file)
		fprintf(stderr, ".%u", a->log.file);
}

static void print_wrong(const struct audit *a)
{
	const struct audit_result *r = &a->log;

	fputs("vtpmctl: ", stderr);
	if (a->rc) {
		print_file(a);
		fprintf(stderr, " cannot be read: %s\n", strerror(-a->rc));
		return;
	}
	if (r->wrong == AUDIT_ALTERED) {
		print_file(a);
		fprintf(stderr,
			" was changed: line %zu does not follow from the one "
			"before it",
			r->line);
	} else if (r->wrong) {
		print_file(a);
		fprintf(stderr,
			" was changed: entries are missing before line %zu, from "
			"entry %llu on",
			r->line, LL(r->missing));
	} else if (!r->first && !a->has_end) {
		fprintf(stderr,
			"%s has no entry, as an audit log has: give one with --file "
			"FILE; what vtpmd writes is in " AUDIT_PATH "\n",
			a->file);
		return;
	} else if (!r->first) {
		fprintf(stderr, "%s has no entry, and there were %llu: it was removed",
			a->file, LL(a->end.n));
	} else if (r->first > r->kept) {
		fprintf(stderr,
			"%s was changed: it begins with entry %llu, and entries "
			"from %llu on were kept",
			a->file, LL(r->first), LL(r->kept));
	} else if (r->end.n < a->end.n) {
		fprintf(stderr,
			"%s was changed: it ends with entry %llu, and entry %llu "
			"was the last",
			a->file, LL(r->end.n), LL(a->end.n));
	} else {
		fprintf(stderr, "%s was changed: its end is not what vtpmd wrote",
			a->file);
	}
	print_other(r);
}

static int verify(struct audit *a)
{
	const struct audit_result *r = &a->log;
	char last[AUDIT_HASH_HEX];
	int status = look(a);

	if (status)
		return status;
	if (!is_whole(a) || (!r->first && !a->has_end)) {
		print_wrong(a);
		return VTPMCTL_FAILED;
	}
	hex_encode(r->end.hash, sizeof(r->end.hash), last);
	printf("%zu entries in %zu files, %zu unfinished, last %s\n", r->entries,
	       r->files, r->torn, last);
	if (r->first > 1)
		printf("entries before %llu were rotated away\n", LL(r->first));
	if (!a->has_end)
		puts("not compared with what vtpmd wrote: entries may be missing at the end");
	else if (!a->anchored)
		puts("this host has no anchor: what was taken off the end while vtpmd did not "
		     "run is not noticed");
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
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
	enum args_result parsed = args_parse(&command, argc, argv, &a);

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (!strcmp(a.what, "rotate"))
		return rotate(&a);
	if (strcmp(a.what, "verify")) {
		fprintf(stderr, "vtpmctl: usage: vtpmctl %s\n", command.usage);
		return VTPMCTL_USAGE;
	}
	if (!a.file && !a.socket)
		a.socket = CLIENT_SOCKET;
	if (!a.file)
		a.file = AUDIT_PATH;
	return verify(&a);
}
