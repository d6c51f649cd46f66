/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl pool move: stopped vTPMs, between this host's folder and its pool. */
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/pool_join.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ASK_AGAIN_MS 50

struct pool_mover {
	const char *name, *to, *socket;
	bool all;
};

static const char *const places[] = {"pool", "folder", NULL};

static const struct args_option options[] = {
	OPTION_CHOICE("to", struct pool_mover, to, "pool|folder", places,
		      "where it is to be; the pool, if not given"),
	OPTION_FLAG("all", struct pool_mover, all, "all vTPMs of the folder"),
	CLIENT_SOCKET_OPTION(struct pool_mover),
};

static const struct args_command command = {
	.usage = "pool move NAME|--all [OPTIONS]",
	.about =
		"Moves a stopped vTPM from this host's folder into its pool, or back; vtpmd\n"
		"runs, and is in the pool.  Repeat it to finish one that was interrupted.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct pool_mover, name),
	.word_or = "all",
	.word_or_offset = offsetof(struct pool_mover, all),
};

/* Asks until it is over. */
static int move_one(const struct pool_mover *m, struct client *c, const char *name)
{
	const struct timespec pause = {.tv_nsec = ASK_AGAIN_MS * 1000000L};
	char text[CLIENT_TEXT];
	bool moves = true;

	while (moves) {
		json_t *reply, *request = client_request("pool-move", name);
		int status;

		if (request)
			json_object_set_new(request, "to", json_string(m->to));
		status = client_ask(c, m->socket, request, &reply, text);
		if (status) {
			fprintf(stderr, "vtpmctl: %s\n", text);
			return status;
		}
		moves = json_is_true(json_object_get(reply, "moves"));
		json_decref(reply);
		if (moves)
			nanosleep(&pause, NULL);
	}
	printf("%s: in the %s\n", name, m->to);
	if (!strcmp(m->to, "folder"))
		fprintf(stderr,
			"It is listed, backed up and started again when this host has left "
			"the pool: `vtpmctl pool leave`, and `systemctl restart vtpmd`.\n");
	return VTPMCTL_OK;
}

static int move_all(const struct pool_mover *m, struct client *c)
{
	int status, result = VTPMCTL_OK;
	json_t *reply, *name;
	size_t i;

	status = client_call(m->socket, client_request("pool", NULL), &reply);
	if (status)
		return status;
	json_array_foreach(json_object_get(reply, "folder"), i, name)
	{
		status = move_one(m, c, json_string_value(name));
		if (status)
			result = status;
	}
	json_decref(reply);
	return result;
}

int pool_move_main(int argc, char **argv)
{
	struct pool_mover m = {.to = "pool", .socket = CLIENT_SOCKET};
	struct client c = {.stream = NULL};
	int status;

	args_parse_or_exit(&command, argc, argv, &m);
	if (m.all && strcmp(m.to, "pool") != 0) {
		fprintf(stderr,
			"vtpmctl: --to folder takes NAME: a pool has vTPMs of other "
			"hosts, too\n");
		return VTPMCTL_USAGE;
	}
	status = m.all ? move_all(&m, &c) : move_one(&m, &c, m.name);
	client_close(&c);
	return fflush(stdout) && !status ? VTPMCTL_FAILED : status;
}
