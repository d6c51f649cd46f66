/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/anchor_tpm.h"
#include "lib/atomic.h"
#include "lib/hex.h"
#include "tools/vtpmd/tcti.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define OUTPUT	   "anchor.out" /* in the folder for run state */
#define OUTPUT_MAX 65536
#define LIMIT_S	   90 /* as for a manager's command (relay.c) */
#define HEX_ROOM   (2 * ANCHOR_HASH_SIZE + 1)

/* What vtpmctl says is half a sentence; vtpmd says whole ones. */
static void whole_sentence(struct error *e)
{
	size_t n = strlen(e->text);

	e->text[0] = (char)toupper((unsigned char)e->text[0]);
	if (n && n + 1 < sizeof(e->text) && e->text[n - 1] != '.')
		strcpy(e->text + n, ".");
}

static int take_json(const json_t *all, uint8_t value[ANCHOR_HASH_SIZE], struct error *e)
{
	const char *hex = json_string_value(json_object_get(all, "value"));
	const char *why = json_string_value(json_object_get(all, "error"));
	size_t len = ANCHOR_HASH_SIZE;

	if (json_is_true(json_object_get(all, "ok")) && hex &&
	    !hex_decode(hex, value, &len) && len == ANCHOR_HASH_SIZE)
		return 0;
	if (!why)
		return -EBADMSG;
	error_set(e, 0, (enum cause)json_integer_value(json_object_get(all, "cause")),
		  "%s", why);
	whole_sentence(e);
	return -EIO;
}

/* The last line that is an object: what libraries complain of comes before. */
static int take_output(struct vtpmd *d, uint8_t value[ANCHOR_HASH_SIZE], struct error *e)
{
	json_t *all = NULL;
	uint8_t *text;
	char *line, *rest;
	size_t len;
	int rc = atomic_read(d->run_dir, OUTPUT, OUTPUT_MAX, &text, &len);

	if (rc)
		return rc;
	for (rest = (char *)text; (line = strsep(&rest, "\n"));)
		if (line[0] == '{') {
			json_decref(all);
			all = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		}
	rc = take_json(all, value, e);
	json_decref(all);
	free(text);
	return rc;
}

static void on_end(void *ctx, int status)
{
	struct anchor_tpm *t = ctx;
	uint8_t value[ANCHOR_HASH_SIZE];
	struct error e = {.cause = CAUSE_NONE};
	int rc = -EBADMSG;

	event_del(t->limit);
	t->pid = 0;
	if (t->late)
		error_set(
			&e, 0, CAUSE_TPM_UNREACHABLE,
			"The host's TPM did not answer within %d s: see `dmesg | grep -i "
			"tpm`.",
			LIMIT_S);
	else if (WIFEXITED(status))
		rc = take_output(t->d, value, &e);
	if (rc && e.cause == CAUSE_NONE)
		error_set(&e, 0, CAUSE_INTERNAL,
			  "%s, which asks the host's TPM for vtpmd, ended with status "
			  "0x%x: see %s/" OUTPUT ".",
			  t->d->vtpmctl, (unsigned int)status, t->d->run);
	t->done(t->ctx, value, e.cause == CAUSE_NONE ? NULL : &e);
}

static void on_limit(evutil_socket_t fd, short what, void *ctx)
{
	struct anchor_tpm *t = ctx;

	t->late = true;
	if (t->pid)
		kill(t->pid, SIGKILL); /* on_end() follows */
}

/* what: the options that say what to do, ended by NULL. */
static int spawn(struct anchor_tpm *t, char *const what[5], struct error *e)
{
	char target[512], output[512];
	char *argv[] = {(char *)t->d->vtpmctl,
			"host",
			"anchor",
			"--json",
			"--config",
			(char *)t->d->config,
			"--tcti",
			target,
			what[0],
			what[1],
			what[2],
			what[3],
			what[4]};
	struct child_start s = {.argv = argv,
				.fd3 = -1,
				.output = output,
				.bound = true,
				.done = on_end,
				.ctx = t};
	struct timeval limit = {.tv_sec = LIMIT_S};
	int rc = tcti_name(t->d, target, sizeof(target));

	snprintf(output, sizeof(output), "%s/" OUTPUT, t->d->run);
	t->late = false;
	if (!rc)
		rc = event_add(t->limit, &limit) ? -ENOMEM : 0;
	if (!rc)
		rc = child_spawn(&s, &t->pid);
	if (!rc)
		return 0;
	event_del(t->limit);
	return error_set(e, rc, error_of_host(rc), "%s could not be started: %s.",
			 t->d->vtpmctl, strerror(-rc));
}

int anchor_tpm_get(struct anchor_tpm *t, struct error *e)
{
	char *const what[5] = {"--get"};

	return spawn(t, what, e);
}

int anchor_tpm_set(struct anchor_tpm *t, const struct anchor_file *f, struct error *e)
{
	char set[HEX_ROOM], from[HEX_ROOM];
	char *const what[5] = {"--set", set, "--from", from};

	hex_encode(f->next, ANCHOR_HASH_SIZE, set);
	hex_encode(f->hash, ANCHOR_HASH_SIZE, from);
	return spawn(t, what, e);
}

int anchor_tpm_init(struct anchor_tpm *t, struct vtpmd *d, anchor_tpm_done *done,
		    void *ctx)
{
	*t = (struct anchor_tpm){.d = d, .done = done, .ctx = ctx};
	t->limit = evtimer_new(d->base, on_limit, t);
	return t->limit ? 0 : -ENOMEM;
}

void anchor_tpm_end(struct anchor_tpm *t)
{
	if (t->pid) {
		child_forget(t->pid);
		kill(t->pid, SIGKILL);
	}
	if (t->limit)
		event_free(t->limit);
}
