/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* client_insist() */
#define INSIST_MS    250
#define INSIST_TIMES 40

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
		*fd = -1;
		return unreachable(path, error, text);
	}
	return VTPMCTL_OK;
}

/* By the descriptor: a stream that was read from is not written to. */
static int send_text(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* In one piece: vtpmd is woken once. */
static int send_request(int fd, const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT), *line;
	size_t len = text ? strlen(text) : 0;
	int rc = -ENOMEM;

	line = text ? realloc(text, len + 2) : NULL;
	if (line) {
		text = line;
		line[len] = '\n';
		rc = send_text(fd, line, len + 1);
	}
	free(text);
	return rc;
}

static int refused(struct client *c, const json_t *line, char text[CLIENT_TEXT])
{
	const char *error = json_string_value(json_object_get(line, "error"));
	const char *cause = json_string_value(json_object_get(line, "cause"));

	c->busy = cause && !strcmp(cause, "busy");
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

static int dial(struct client *c, const char *path, char text[CLIENT_TEXT])
{
	int fd = -1, status = c->stream ? VTPMCTL_OK : dial_client(path, &fd, text);

	if (fd < 0)
		return status;
	c->stream = fdopen(fd, "r");
	if (c->stream)
		return VTPMCTL_OK;
	close(fd);
	return unreachable(path, errno, text);
}

int client_send(struct client *c, const char *socket_path, json_t *request,
		char text[CLIENT_TEXT])
{
	int status = VTPMCTL_USAGE;

	if (request)
		status = dial(c, socket_path, text);
	else /* jansson takes UTF-8 only */
		snprintf(text, CLIENT_TEXT,
			 "the name is not plain text; see `vtpmctl list`");
	/* one that vtpmd did not get is not answered */
	c->is_sent = !status && !send_request(fileno(c->stream), request);
	json_decref(request);
	return status;
}

int client_recv(struct client *c, json_t **reply, char text[CLIENT_TEXT])
{
	json_t *line;
	int status = VTPMCTL_OK;

	errno = 0;
	line = c->is_sent ? last_line(c->stream) : NULL;
	*reply = NULL;
	c->is_sent = false;
	if (!line && errno == EAGAIN) {
		snprintf(text, CLIENT_TEXT,
			 "vtpmd runs and does not answer: when it stays so, `systemctl "
			 "restart vtpmd`; `journalctl -u vtpmd` may say why");
		status = VTPMCTL_NO_VTPMD;
	} else if (!line) {
		snprintf(text, CLIENT_TEXT,
			 "vtpmd ended the conversation without an answer; `journalctl -u "
			 "vtpmd` says why, `vtpmctl list` what is now");
		status = VTPMCTL_NO_VTPMD;
	} else if (!json_is_true(json_object_get(line, "ok"))) {
		status = refused(c, line, text);
	} else {
		*reply = json_incref(line);
	}
	json_decref(line);
	return status;
}

int client_ask(struct client *c, const char *socket_path, json_t *request, json_t **reply,
	       char text[CLIENT_TEXT])
{
	int status = client_send(c, socket_path, request, text);

	*reply = NULL;
	return status ? status : client_recv(c, reply, text);
}

int client_fd(const struct client *c)
{
	return fileno(c->stream);
}

void client_close(struct client *c)
{
	if (c->stream)
		fclose(c->stream);
	*c = (struct client){.stream = NULL};
}

int client_try(const char *socket_path, json_t *request, json_t **reply,
	       char text[CLIENT_TEXT])
{
	struct client c = {.stream = NULL};
	int status = client_ask(&c, socket_path, request, reply, text);

	client_close(&c);
	return status;
}

int client_insist(const char *socket_path, json_t *request, json_t **reply,
		  char text[CLIENT_TEXT])
{
	static const struct timespec pause = {.tv_nsec = INSIST_MS * 1000000L};
	int status;

	for (unsigned int i = 0;; i++) {
		struct client c = {.stream = NULL};
		bool busy;

		status = client_ask(&c, socket_path, json_incref(request), reply, text);
		busy = c.busy;
		client_close(&c);
		if (!busy || i == INSIST_TIMES)
			break;
		(void)nanosleep(&pause, NULL);
	}
	json_decref(request);
	return status;
}

int client_try_soon(const char *socket_path, json_t *request, unsigned int seconds,
		    json_t **reply, char text[CLIENT_TEXT])
{
	const struct timeval limit = {.tv_sec = seconds};
	struct client c = {.stream = NULL};
	int status = client_send(&c, socket_path, request, text);

	*reply = NULL;
	if (!status &&
	    setsockopt(client_fd(&c), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)))
		status = unreachable(socket_path, errno, text);
	if (!status)
		status = client_recv(&c, reply, text);
	client_close(&c);
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
