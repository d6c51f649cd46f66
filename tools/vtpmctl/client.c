/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

json_t *client_request(const char *op, const char *name)
{
	json_t *request = json_pack("{s:s}", "op", op);

	if (request && name && json_object_set_new(request, "name", json_string(name))) {
		json_decref(request);
		return NULL;
	}
	return request;
}

const char *client_text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static int unreachable(const char *path, int error, char text[CLIENT_TEXT])
{
	if (error == EACCES || error == EPERM)
		snprintf(text, CLIENT_TEXT,
			 "%s may be opened by root only; run this as root", path);
	else
		snprintf(
			text, CLIENT_TEXT,
			"vtpmd does not answer at %s (%s); start it with "
			"`systemctl start vtpmd`, `journalctl -u vtpmd` says why it ended",
			path, strerror(error));
	return VTPMCTL_NO_VTPMD;
}

static int dial_client(const char *path, int *fd, char text[CLIENT_TEXT])
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(addr.sun_path))
		return unreachable(path, ENAMETOOLONG, text);
	strcpy(addr.sun_path, path);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return unreachable(path, errno, text);
	if (connect(*fd, (struct sockaddr *)&addr, sizeof(addr))) {
		int error = errno;

		close(*fd);
		return unreachable(path, error, text);
	}
	return VTPMCTL_OK;
}

static int send_request(FILE *stream, json_t *request)
{
	if (json_dumpf(request, stream, JSON_COMPACT) || fputc('\n', stream) == EOF ||
	    fflush(stream))
		return -EIO;
	return 0;
}

static int refused(const json_t *line, char text[CLIENT_TEXT])
{
	const char *error = json_string_value(json_object_get(line, "error"));
	const char *cause = json_string_value(json_object_get(line, "cause"));

	snprintf(text, CLIENT_TEXT, "%s",
		 error ? error
		       : "vtpmd gave no reason; `journalctl -u vtpmd` may tell more");
	return vtpmctl_status(cause);
}

/* Reads up to the line that has "ok"; NULL when the stream ends before it. */
static json_t *last_line(FILE *stream)
{
	json_t *line = NULL;
	char *text = NULL;
	size_t room = 0;

	while (getline(&text, &room, stream) > 0) {
		const char *progress;

		line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		if (!line || json_object_get(line, "ok"))
			break;
		progress = json_string_value(json_object_get(line, "progress"));
		if (progress)
			fprintf(stderr, "%s\n", progress);
		json_decref(line);
		line = NULL;
	}
	free(text);
	return line;
}

static int converse(const char *socket_path, json_t *request, json_t **reply,
		    char text[CLIENT_TEXT])
{
	json_t *line = NULL;
	FILE *stream;
	int fd = -1, status = dial_client(socket_path, &fd, text);

	if (status)
		return status;
	stream = fdopen(fd, "r+");
	if (!stream) {
		close(fd);
		return unreachable(socket_path, errno, text);
	}
	if (!send_request(stream, request))
		line = last_line(stream);
	fclose(stream);
	if (!line) {
		snprintf(text, CLIENT_TEXT,
			 "vtpmd ended the conversation without an answer; `journalctl -u "
			 "vtpmd` says why, `vtpmctl list` what is now");
		status = VTPMCTL_NO_VTPMD;
	} else if (!json_is_true(json_object_get(line, "ok"))) {
		status = refused(line, text);
	} else {
		*reply = json_incref(line);
	}
	json_decref(line);
	return status;
}

int client_try(const char *socket_path, json_t *request, json_t **reply,
	       char text[CLIENT_TEXT])
{
	int status = VTPMCTL_USAGE;

	*reply = NULL;
	if (request)
		status = converse(socket_path, request, reply, text);
	else /* jansson takes UTF-8 only */
		snprintf(text, CLIENT_TEXT,
			 "the name is not plain text; see `vtpmctl list`");
	json_decref(request);
	return status;
}

int client_call(const char *socket_path, json_t *request, json_t **reply)
{
	char text[CLIENT_TEXT];
	int status = client_try(socket_path, request, reply, text);

	if (status)
		fprintf(stderr, "vtpmctl: %s\n", text);
	return status;
}

int client_each(const char *socket_path, int (*each)(void *context, const json_t *vtpm),
		void *context)
{
	json_t *reply, *vtpm;
	size_t i;
	int result, status;

	result = client_call(socket_path, client_request("list", NULL), &reply);
	json_array_foreach(json_object_get(reply, "vtpms"), i, vtpm)
	{
		status = each(context, vtpm);
		if (status == VTPMCTL_NO_VTPMD) {
			result = status;
			break;
		}
		if (status || fflush(stdout))
			result = VTPMCTL_FAILED;
	}
	json_decref(reply);
	return result;
}

struct words {
	const char *name;
	const char *socket;
	bool flag;
};

int verb_main(const struct verb *v, int argc, char **argv)
{
	const struct args_option options[] = {
		OPTION_FLAG(v->flag, struct words, flag, v->flag_help),
		CLIENT_SOCKET_OPTION(struct words),
	};
	const struct args_command command = {
		.usage = v->usage,
		.about = v->about,
		.options = v->flag ? options : options + 1,
		.option_count = v->flag ? 2 : 1,
		.word = "NAME",
		.word_offset = offsetof(struct words, name),
	};
	struct words w = {.socket = CLIENT_SOCKET};
	json_t *request, *reply;
	int status;

	args_parse_or_exit(&command, argc, argv, &w);
	request = client_request(v->op, w.name);
	if (request && w.flag)
		json_object_set_new(request, v->flag, json_true());
	status = client_call(w.socket, request, &reply);
	json_decref(reply);
	return status;
}
