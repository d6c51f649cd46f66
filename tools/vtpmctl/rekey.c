/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/rekey.h"
#include "lib/text.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/reseal.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * vtpmctl rekey, of one vTPM or of all.  Each is a request of its own, which vtpmd and
 * the vTPM's manager finish whatever becomes of this program; what was done is known from
 * when the keys were made, so that a run which was interrupted goes on.
 */

struct rekey {
	const char *name, *since, *old, *tcti, *config, *socket;
	bool deep, all;
	unsigned int done, before, elsewhere, not_running, failed;
	struct reseal with; /* --old */
};

static const struct args_option rekey_options[] = {
	OPTION_FLAG("deep", struct rekey, deep,
		    "a new data key too: all is encrypted anew"),
	OPTION_FLAG("all", struct rekey, all,
		    "every vTPM that runs, one after the other"),
	OPTION_TEXT("since", struct rekey, since, "TIME",
		    "with --all: not those with keys made later"),
	OPTION_TEXT("old", struct rekey, old, "FILE",
		    "host.json of before: also those that do not run"),
	OPTION_TEXT("tcti", struct rekey, tcti, "TCTI", "with --old: the TPM, " TPM_TCTI),
	OPTION_TEXT("config", struct rekey, config, "FILE", "with --old: " HOSTCONF_PATH),
	CLIENT_SOCKET_OPTION(struct rekey),
};

static const struct args_command rekey_command = {
	.usage = "rekey {NAME | --all} [OPTIONS]",
	.about =
		"Makes a running vTPM's key slots anew, of what `vtpmctl host` says now: after a\n"
		"change of the KMS key, the policy key or the recovery key.  The guest goes on.\n"
		"The slots of before are kept as header.prev until the next change; a key that\n"
		"is to open nothing any more has to be revoked as well.  With --deep they are\n"
		"erased, and open nothing here any more; old backups open as before.\n"
		"With --old, a vTPM that does not run is opened in this process, with what is\n"
		"configured now or was in FILE, and sealed anew: FILE has to be of this TPM, and\n"
		"the boot state one that was approved in it.\n"
		"A run with --all that was interrupted goes on with the --since TIME that it\n"
		"printed.  Its status is 0 when every vTPM of this host has its new keys.\n",
	.options = rekey_options,
	.option_count = ARRAY_SIZE(rekey_options),
	.word = "NAME",
	.word_offset = offsetof(struct rekey, name),
	.word_or = "all",
	.word_or_offset = offsetof(struct rekey, all),
};

static int rekey_running(const struct rekey *r, const char *name, char text[CLIENT_TEXT])
{
	json_t *request = client_request("rekey", name), *reply;
	int status;

	if (request && r->deep)
		json_object_set_new(request, "deep", json_true());
	status = client_try(r->socket, request, &reply, text);
	json_decref(reply);
	return status;
}

static int rekey_one(struct rekey *r, const char *name, bool runs)
{
	char text[CLIENT_TEXT] = "";
	int status =
		runs ? rekey_running(r, name, text) : reseal_one(&r->with, name, text);

	if (status)
		fprintf(stderr, "vtpmctl: %s%s%s\n", r->all ? name : "",
			r->all ? ": " : "", text);
	return status;
}

static bool is_down(const char *state)
{
	return !strcmp(state, "stopped") || !strcmp(state, "failed");
}

static int rekey_next(void *context, const json_t *vtpm)
{
	struct rekey *r = context;
	const char *name = client_text(vtpm, "name"), *state = client_text(vtpm, "state");
	const char *made = client_text(vtpm, r->deep ? "keyed" : "sealed");
	bool moves = json_is_object(json_object_get(vtpm, "handover"));
	char now[STAMP_SIZE];
	int status = VTPMCTL_OK;

	stamp_now(now);
	if (r->since && stamp_since(made, r->since, now)) {
		printf("%s: done before, at %s\n", name, made);
		r->before++;
	} else if (client_text(vtpm, "in_use_on")[0]) {
		printf("%s: not done, it is in use on the host %s: there\n", name,
		       client_text(vtpm, "in_use_on"));
		r->elsewhere++;
	} else if (strcmp(state, "running") && !(r->old && is_down(state)) && !moves) {
		printf("%s: not done, it is %s: `vtpmctl start %s`, then go on\n", name,
		       state, name);
		r->not_running++;
		status = VTPMCTL_FAILED;
	} else {
		/* of one that moves, vtpmd says how that goes on */
		status = rekey_one(r, name, !is_down(state) || moves);
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
		"when interrupted, go on with: vtpmctl rekey --all%s%s%s --since %s\n",
		r->deep ? " --deep" : "", r->old ? " --old " : "", r->old ? r->old : "",
		since);
	status = client_each(r->socket, rekey_next, r);
	printf("%u done, %u done before, %u not running, %u failed", r->done, r->before,
	       r->not_running, r->failed);
	if (r->elsewhere)
		printf(", %u in use on other hosts", r->elsewhere);
	putchar('\n');
	return fflush(stdout) && !status ? VTPMCTL_FAILED : status;
}

/* Returns the usage error for a bad combination of options, or NULL. */
static const char *wrong(const struct rekey *r)
{
	if (r->since && !r->all)
		return "--since goes with --all";
	if (r->old && r->deep)
		return "--old and --deep exclude each other: a new data key is made while "
		       "the vTPM runs";
	if (r->since && !stamp_ok(r->since))
		return "--since takes a time as 2026-01-31T12:00:00Z";
	return NULL;
}

/* Whether the one that is named does not run, and --old can do it. */
static int rekey_named(struct rekey *r)
{
	json_t *reply = NULL;
	bool down = false;
	int status = VTPMCTL_OK;

	if (r->old) {
		status = client_call(r->socket, client_request("show", r->name), &reply);
		down = is_down(client_text(json_object_get(reply, "vtpm"), "state"));
		json_decref(reply);
	}
	return status ? status : rekey_one(r, r->name, !down);
}

static int rekey_run(struct rekey *r)
{
	struct error e = {.cause = CAUSE_NONE};
	int status;

	r->with.socket = r->socket;
	if (r->old && reseal_open(&r->with, r->tcti, r->config, r->old, &e))
		status = vtpmctl_fail(&e);
	else
		status = r->all ? rekey_all(r) : rekey_named(r);
	reseal_close(&r->with);
	return status;
}

int rekey_all_of(const char *old, const char *tcti, const char *config,
		 const char *socket)
{
	struct rekey r = {
		.old = old,
		.tcti = tcti,
		.config = config,
		.socket = socket,
		.all = true,
	};

	return rekey_run(&r);
}

int rekey_main(int argc, char **argv)
{
	struct rekey r = {
		.tcti = TPM_TCTI,
		.config = HOSTCONF_PATH,
		.socket = CLIENT_SOCKET,
	};
	const char *why;

	args_parse_or_exit(&rekey_command, argc, argv, &r);
	why = wrong(&r);
	if (why) {
		fprintf(stderr, "vtpmctl: %s; usage: vtpmctl %s (--help says more)\n",
			why, rekey_command.usage);
		return VTPMCTL_USAGE;
	}
	return rekey_run(&r);
}
