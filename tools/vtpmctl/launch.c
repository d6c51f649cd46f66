/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xl create with the guest's vTPMs started first.  Which they are is read from the
 * guest's own file, by xl's parser.
 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <libxlutil.h>

#define BACKEND_PREFIX "vtpm-"

struct launch {
	const char *file;
	const char *socket;
	bool dry_run;
};

static const struct args_option options[] = {
	{.name = "dry-run",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct launch, dry_run),
	 .help = "say what would be done, and do nothing"},
	CLIENT_SOCKET_OPTION(struct launch),
};

static const struct args_command command = {
	.usage = "launch FILE [OPTIONS]",
	.about =
		"Starts the vTPMs that a guest's xl file names, waits until they are ready, then\n"
		"runs `xl create FILE`.  When a vTPM does not open, the guest is not created.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "FILE",
	.word_offset = offsetof(struct launch, file),
};

/* One "backend=...,uuid=..." of the file. */
struct line {
	char backend[64], uuid[37];
};

static bool take(struct line *l, const char *key, const char *value)
{
	if (!strcmp(key, "backend") && strlen(value) < sizeof(l->backend))
		strcpy(l->backend, value);
	else if (!strcmp(key, "uuid") && strlen(value) < sizeof(l->uuid))
		strcpy(l->uuid, value);
	else
		return false;
	return true;
}

/* As xl reads it: key=value, commas between them, spaces around a key do not count. */
static bool parse_line(const char *text, struct line *l)
{
	char *copy = strdup(text), *rest = copy, *part, *value;
	bool ok = copy != NULL;

	memset(l, 0, sizeof(*l));
	while (ok && (part = strsep(&rest, ","))) {
		part += strspn(part, " \t");
		value = strchr(part, '=');
		if (value)
			*value++ = '\0';
		ok = value && take(l, part, value);
	}
	free(copy);
	return ok && l->backend[0];
}

/* The vTPM that a line means; NULL, and a sentence was printed, if there is none. */
static const json_t *find(const json_t *vtpms, const struct line *l, const char *file)
{
	const char *prefix = BACKEND_PREFIX, *name = NULL;
	const json_t *vtpm;
	size_t i;

	if (!strncmp(l->backend, prefix, strlen(prefix)))
		name = l->backend + strlen(prefix);
	json_array_foreach(vtpms, i, vtpm)
	{
		const char *its = json_string_value(json_object_get(vtpm, "name"));
		const char *uuid = json_string_value(json_object_get(vtpm, "uuid"));
		bool named = name && its && !strcmp(its, name);

		if (l->uuid[0] ? uuid && !strcasecmp(uuid, l->uuid) : named) {
			if (!name || named)
				return vtpm;
			fprintf(stderr,
				"vtpmctl: %s names backend %s, but uuid %s is the vTPM "
				"%s: correct one of the two\n",
				file, l->backend, l->uuid, its);
			return NULL;
		}
	}
	fprintf(stderr,
		"vtpmctl: %s asks for the vTPM with backend %s and uuid %s, which is not "
		"on this host: see `vtpmctl list`\n",
		file, l->backend, l->uuid[0] ? l->uuid : "(none given)");
	return NULL;
}

static int start(const struct launch *l, const json_t *vtpm)
{
	const char *name = json_string_value(json_object_get(vtpm, "name"));
	const char *state = json_string_value(json_object_get(vtpm, "state"));
	json_t *reply;
	int status;

	if (!name || !state)
		return VTPMCTL_FAILED;
	if (!strcmp(state, "running")) {
		fprintf(stderr, "vTPM %s is running\n", name);
		return VTPMCTL_OK;
	}
	if (l->dry_run) {
		printf("vtpmctl start %s\n", name);
		return VTPMCTL_OK;
	}
	fprintf(stderr, "starting vTPM %s, which is %s\n", name, state);
	status = client_call(l->socket, client_request("start", name), &reply);
	json_decref(reply);
	return status;
}

static int start_line(const struct launch *l, const json_t *vtpms, const char *text)
{
	const json_t *vtpm;
	struct line line;

	if (!text || !parse_line(text, &line)) {
		fprintf(stderr,
			"vtpmctl: \"%s\" in %s is no vTPM: write "
			"\"backend=vtpm-NAME,uuid=UUID\"\n",
			text ? text : "", l->file);
		return VTPMCTL_FAILED;
	}
	vtpm = find(vtpms, &line, l->file);
	return vtpm ? start(l, vtpm) : VTPMCTL_NO_SUCH_VTPM;
}

static int start_all(const struct launch *l, XLU_ConfigList *lines, int n)
{
	json_t *reply;
	int i, status;

	status = client_call(l->socket, client_request("list", NULL), &reply);
	for (i = 0; i < n && !status; i++)
		status = start_line(l, json_object_get(reply, "vtpms"),
				    xlu_cfg_get_listitem(lines, i));
	json_decref(reply);
	return status;
}

static int read_and_start(const struct launch *l, XLU_Config *cfg)
{
	XLU_ConfigList *lines;
	int n = 0, rc;

	rc = xlu_cfg_readfile(cfg, l->file);
	if (rc) {
		fprintf(stderr, "vtpmctl: %s cannot be read as an xl file: %s\n", l->file,
			strerror(rc));
		return VTPMCTL_FAILED;
	}
	if (xlu_cfg_get_list(cfg, "vtpm", &lines, &n, 1) || !n) {
		fprintf(stderr,
			"vtpmctl: %s has no vtpm=[...]: add vtpm=[\"backend=vtpm-NAME,"
			"uuid=UUID\"], or use `xl create`\n",
			l->file);
		return VTPMCTL_FAILED;
	}
	return start_all(l, lines, n);
}

int launch_main(int argc, char **argv)
{
	struct launch l = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &l);
	XLU_Config *cfg;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	cfg = xlu_cfg_init(stderr, l.file);
	if (!cfg)
		return VTPMCTL_FAILED;
	status = read_and_start(&l, cfg);
	xlu_cfg_destroy(cfg);
	if (status)
		return status;
	if (l.dry_run) {
		printf("xl create %s\n", l.file);
		return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
	}
	execlp("xl", "xl", "create", l.file, (char *)NULL);
	fprintf(stderr, "vtpmctl: xl cannot be run: %s\n", strerror(errno));
	return VTPMCTL_FAILED;
}
