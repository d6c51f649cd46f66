/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/helper.h"
#include "lib/text.h"
#include "tools/vtpmd/child.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void close_output(struct helper *h)
{
	evutil_socket_t fd;

	if (!h->output)
		return;
	fd = event_get_fd(h->output);
	event_free(h->output);
	h->output = NULL;
	close(fd);
}

/* Takes what is in the pipe.  A child that prints too much ends by SIGPIPE, and has said
 * nothing. */
static void read_output(evutil_socket_t fd, short what, void *ctx)
{
	struct helper *h = ctx;
	ssize_t n;

	do {
		n = read(fd, h->text + h->len, HELPER_OUTPUT_MAX - h->len);
		if (n > 0)
			h->len += (size_t)n;
	} while (n > 0 && h->len < HELPER_OUTPUT_MAX);
	if (n >= 0 || errno != EAGAIN)
		close_output(h);
}

/* The last line that is an object, as what libraries complain of comes before; NULL:
 * there is none, and last is the last line. */
static json_t *parse_output(struct helper *h, char *last, size_t room)
{
	char *line, *rest = h->text;
	json_t *said = NULL;

	snprintf(last, room, h->len < HELPER_OUTPUT_MAX ? "nothing" : "too much");
	h->text[h->len % HELPER_OUTPUT_MAX] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		if (line[0])
			text_clean(last, room, line, strlen(line));
		if (line[0] == '{') {
			json_decref(said);
			said = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		}
	}
	return said;
}

/* What vtpmctl says is half a sentence; vtpmd says whole ones. */
static void set_said_error(const json_t *said, const char *why, struct error *e)
{
	size_t n;

	error_set(e, 0, (enum cause)json_integer_value(json_object_get(said, "cause")),
		  "%s", why);
	n = strlen(e->text);
	e->text[0] = (char)toupper((unsigned char)e->text[0]);
	if (n && n + 1 < sizeof(e->text) && e->text[n - 1] != '.')
		strcpy(e->text + n, ".");
	if (e->cause == CAUSE_NONE)
		e->cause = CAUSE_INTERNAL;
}

static void on_helper_end(void *ctx, int status)
{
	struct error e = {.cause = CAUSE_NONE};
	struct helper *h = ctx;
	const char *why;
	char last[200];
	json_t *said;

	h->pid = 0;
	event_del(h->limit);
	if (h->output)
		read_output(event_get_fd(h->output), EV_READ, h);
	close_output(h);
	said = parse_output(h, last, sizeof(last));
	why = json_string_value(json_object_get(said, "error"));
	if (h->late)
		error_set(
			&e, 0, CAUSE_TPM_UNREACHABLE,
			"The host's TPM did not answer within %u s: see `dmesg | grep -i "
			"tpm`.",
			h->limit_s);
	else if (why)
		set_said_error(said, why, &e);
	else if (!said || !WIFEXITED(status))
		error_set(&e, 0, CAUSE_INTERNAL,
			  "%s, which asks the host's TPM for vtpmd, ended with status "
			  "0x%x, and said: %s",
			  h->d->vtpmctl, (unsigned int)status, last);
	h->done(h->ctx, e.cause == CAUSE_NONE ? said : NULL, &e);
	json_decref(said);
}

static void on_helper_limit(evutil_socket_t fd, short what, void *ctx)
{
	struct helper *h = ctx;

	h->late = true;
	if (h->pid)
		kill(h->pid, SIGKILL); /* on_helper_end() follows */
}

/* How libtss2 calls what --tpm names: it has no name of its own for a raw stream. */
static int tcti_name(const struct vtpmd *d, char *out, size_t room)
{
	bool stream = !strncmp(d->tpm, "unix:", 5);
	int n = snprintf(out, room, "%s%s",
			 stream ? "cmd:socat - UNIX-CONNECT:" : "device:",
			 stream ? d->tpm + 5 : d->tpm);

	return n < (int)room ? 0 : -ENAMETOOLONG;
}

static int open_pipe(struct helper *h, int *out)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	h->len = 0;
	h->output = event_new(h->d->base, fds[0], EV_READ | EV_PERSIST, read_output, h);
	if (h->output && !fcntl(fds[0], F_SETFL, O_NONBLOCK) &&
	    !event_add(h->output, NULL)) {
		*out = fds[1];
		return 0;
	}
	close(fds[1]);
	if (!h->output)
		close(fds[0]);
	return -ENOMEM;
}

static int spawn_helper(struct helper *h, char *const argv[])
{
	struct child_start s = {
		.argv = argv,
		.bound = true,
		.done = on_helper_end,
		.ctx = h,
	};
	struct timeval limit = {.tv_sec = h->limit_s};
	int rc = open_pipe(h, &s.out);

	h->late = false;
	if (rc)
		return rc;
	rc = event_add(h->limit, &limit) ? -ENOMEM : child_spawn(&s, &h->pid);
	close(s.out);
	return rc;
}

int helper_run(struct helper *h, const char *verb, const char *const args[HELPER_ARGS],
	       struct error *e)
{
	char target[512];
	char *argv[8 + HELPER_ARGS + 1] = {
		(char *)h->d->vtpmctl, "host",	 (char *)verb, "--json", "--config",
		(char *)h->d->config,  "--tcti", target};
	int rc = tcti_name(h->d, target, sizeof(target));

	memcpy(argv + 8, args, HELPER_ARGS * sizeof(args[0]));
	if (!rc)
		rc = spawn_helper(h, argv);
	if (!rc)
		return 0;
	event_del(h->limit);
	close_output(h);
	return error_set(
		e, rc, error_of_host(rc),
		"%s could not be started: %s; see that it is installed, and `free`.",
		h->d->vtpmctl, strerror(-rc));
}

int helper_init(struct helper *h, struct vtpmd *d, unsigned int limit_s,
		helper_done *done, void *ctx)
{
	h->d = d;
	h->limit_s = limit_s;
	h->done = done;
	h->ctx = ctx;
	h->limit = evtimer_new(d->base, on_helper_limit, h);
	return h->limit ? 0 : -ENOMEM;
}

void helper_end(struct helper *h)
{
	if (h->pid) {
		child_forget(h->pid);
		kill(h->pid, SIGKILL);
	}
	close_output(h);
	if (h->limit)
		event_free(h->limit);
}
