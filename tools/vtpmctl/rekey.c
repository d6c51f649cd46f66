/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl rekey, of one vTPM or of all.  Each is a request of its own, which vtpmd and
 * the vTPM's manager finish whatever becomes of this program; what was done is told from
 * when the keys were made, so that a run which was interrupted goes on.
 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "lib/stamp.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct rekey {
	const char *name, *since, *socket;
	bool deep, all;
	unsigned int done, before, not_running, failed;
};

static const struct args_option options[] = {
	{.name = "deep",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct rekey, deep),
	 .help = "a new data key too: all is encrypted anew"},
	{.name = "all",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct rekey, all),
	 .help = "every vTPM that runs, one after the other"},
	{.name = "since",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct rekey, since),
	 .value = "TIME",
	 .help = "with --all: not those with keys made later"},
	CLIENT_SOCKET_OPTION(struct rekey),
};

static const struct args_command command = {
	.usage = "rekey {NAME | --all} [OPTIONS]",
	.about =
		"Makes a running vTPM's key slots anew, of what `vtpmctl host` says now: after a\n"
		"change of the KMS key, the policy key or the recovery key.  The guest goes on.\n"
		"The slots of before are kept as header.prev until the next change; a key that\n"
		"is to open nothing any more has to be revoked as well.  With --deep they are\n"
		"erased, and open nothing here any more; old backups open as before.\n"
		"A run with --all that was interrupted goes on with the --since TIME that it\n"
		"printed.  Its status is 0 when every vTPM of this host has its new keys.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct rekey, name),
	.word_or = "all",
	.word_or_offset = offsetof(struct rekey, all),
};

static int rekey_one(const struct rekey *r, const char *name)
{
	json_t *request = client_request("rekey", name), *reply;
	char text[CLIENT_TEXT];
	int status;

	if (request && r->deep)
		json_object_set_new(request, "deep", json_true());
	status = client_try(r->socket, request, &reply, text);
	json_decref(reply);
	if (status)
		fprintf(stderr, "vtpmctl: %s%s%s\n", r->all ? name : "",
			r->all ? ": " : "", text);
	return status;
}

static int rekey_next(void *context, const json_t *vtpm)
{
	struct rekey *r = context;
	const char *name = client_text(vtpm, "name"), *state = client_text(vtpm, "state");
	const char *made = client_text(vtpm, r->deep ? "keyed" : "sealed");
	char now[STAMP_SIZE];
	int status = VTPMCTL_OK;

	stamp_now(now);
	if (r->since && stamp_since(made, r->since, now)) {
		printf("%s: done before, at %s\n", name, made);
		r->before++;
	} else if (strcmp(state, "running")) {
		printf("%s: not done, it is %s: `vtpmctl start %s`, then go on\n", name,
		       state, name);
		r->not_running++;
		status = VTPMCTL_FAILED;
	} else {
		status = rekey_one(r, name);
		printf("%s: %s\n", name, status ? "failed" : "done");
		r->done += !status;
		r->failed += status != 0;
	}
	return status;
}

static int rekey_all(struct rekey *r)
{
	char now[STAMP_SIZE];
	const char *since = r->since ? r->since : now;
	int status;

	stamp_now(now);
	fprintf(stderr,
		"when interrupted, go on with: vtpmctl rekey --all%s --since %s\n",
		r->deep ? " --deep" : "", since);
	status = client_each(r->socket, rekey_next, r);
	printf("%u done, %u done before, %u not running, %u failed\n", r->done, r->before,
	       r->not_running, r->failed);
	return fflush(stdout) && !status ? VTPMCTL_FAILED : status;
}

/* A sentence for a line that makes no sense; NULL: it does. */
static const char *wrong(const struct rekey *r)
{
	if (r->since && !r->all)
		return "--since goes with --all";
	if (r->since && !stamp_ok(r->since))
		return "--since takes a time as 2026-01-31T12:00:00Z";
	return NULL;
}

int rekey_main(int argc, char **argv)
{
	struct rekey r = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &r);
	const char *why;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	why = wrong(&r);
	if (why) {
		fprintf(stderr, "vtpmctl: %s; usage: vtpmctl %s (--help says more)\n",
			why, command.usage);
		return VTPMCTL_USAGE;
	}
	return r.all ? rekey_all(&r) : rekey_one(&r, r.name);
}
