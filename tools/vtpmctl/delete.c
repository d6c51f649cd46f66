/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct delete
{
	const char *name;
	const char *socket;
	bool yes;
	bool force;
};

static const struct args_option options[] = {
	{.name = "force",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct delete, force),
	 .help = "even while a guest uses it"},
	{.name = "yes",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct delete, yes),
	 .help = "do not ask for the name again"},
	CLIENT_SOCKET_OPTION(struct delete),
};

static const struct args_command command = {
	.usage = "delete NAME [OPTIONS]",
	.about =
		"Removes a vTPM with all that the guest keeps in it: keys, sealed secrets, NV\n"
		"indexes.  A guest whose disk is sealed to it needs its recovery key.  Asks\n"
		"for the name once more, unless --yes is given.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct delete, name),
};

static bool typed_again(const char *name)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	bool same;

	fprintf(stderr,
		"This destroys all that guests keep in vTPM %s. Its name again: ", name);
	n = getline(&line, &room, stdin);
	if (n <= 0)
		fputc('\n', stderr);
	if (n > 0 && line[n - 1] == '\n')
		line[n - 1] = 0;
	same = n > 0 && !strcmp(line, name);
	free(line);
	return same;
}

int delete_main(int argc, char **argv)
{
	struct delete d = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &d);
	json_t *request, *reply;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (!d.yes && !typed_again(d.name)) {
		fprintf(stderr,
			"vtpmctl: nothing was deleted: type %s again when asked, or "
			"give --yes\n",
			d.name);
		return VTPMCTL_FAILED;
	}
	request = client_request("delete", d.name);
	if (request && d.force)
		json_object_set_new(request, "force", json_true());
	status = client_call(d.socket, request, &reply);
	json_decref(reply);
	return status;
}
