/* SPDX-License-Identifier: Apache-2.0 */
/* A manager as a process of this domain.  Its channel is a socket pair, so it
 * ends with vtpmd and is started again by the next one. */
#include "tools/vtpmd/body.h"
#include "tools/vtpmd/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long a manager that lost its socket, or was asked to end, may take. */
#define GRACE_S	  5
#define PATH_SIZE 512

struct process {
	struct body body;
	pid_t pid; /* 0: none */
	struct event *grace;
};

/* Writes the name of a test's socket; false: none. */
static bool socket_path(const struct process *p, char *out, size_t size)
{
	if (!p->body.d->unix_dir)
		return false;
	snprintf(out, size, "%s/%s", p->body.d->unix_dir, p->body.name);
	return true;
}

static void on_exit_status(void *ctx, int status)
{
	struct process *p = ctx;
	char why[256], path[PATH_SIZE];

	p->pid = 0;
	event_del(p->grace);
	/* the manager does not see it any more */
	if (socket_path(p, path, sizeof(path)))
		(void)unlink(path);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		snprintf(
			why, sizeof(why),
			"The manager process was killed by SIGSYS: it made a system call that "
			"managers do not make, as one would that its guest has taken over.");
	else if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "The manager process was killed by signal %d.",
			 WTERMSIG(status));
	else
		snprintf(why, sizeof(why), "The manager process ended with status %d.",
			 WEXITSTATUS(status));
	p->body.owner->gone(p->body.ctx, CAUSE_NONE, why);
}

static void on_grace(evutil_socket_t fd, short what, void *ctx)
{
	struct process *p = ctx;

	if (p->pid)
		kill(p->pid, SIGKILL);
}

static int run_process(struct process *p, char *user, int fd3)
{
	char path[PATH_SIZE];
	char *argv[8] = {(char *)p->body.d->manager, "--user", user, "--process"};
	size_t n = 4;
	struct child_start s = {
		.argv = argv,
		.fds = &fd3,
		.fd_count = 1,
		.out = -1,
		/* a manager that was taken over would not heed its channel's end */
		.bound = true,
		.done = on_exit_status,
		.ctx = p,
	};

	if (socket_path(p, path, sizeof(path))) {
		argv[n++] = "--no-xen";
		argv[n++] = "--unix";
		argv[n++] = path;
	}
	return child_spawn(&s, &p->pid);
}

/* Of the file as it is now: a process of domain 0 is worth what domain 0 is, and no copy
 * of the program would make it better. */
static int take_process_image(struct body *b, struct error *e)
{
	int fd, rc = image_take(b->d->manager, &fd, b->image.manager, e);

	b->image.known = !rc;
	if (!rc)
		close(fd);
	return rc;
}

static int process_start(struct body *b, struct error *e)
{
	struct process *p = (struct process *)b;
	struct wire *wire;
	char user[32];
	int fds[2], rc;

	if (!p->grace)
		p->grace = evtimer_new(b->d->base, on_grace, p);
	if (!p->grace)
		return error_set(e, -ENOMEM, CAUSE_RESOURCES, "There is no memory.");
	rc = child_user(b->d->user, user, sizeof(user), e);
	if (!rc)
		rc = take_process_image(b, e);
	if (rc)
		return rc;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return error_set(e, -errno, error_of_host(-errno),
				 "No channel to a manager could be made: %m.");
	rc = run_process(p, user, fds[1]);
	close(fds[1]);
	if (rc) {
		close(fds[0]);
		return error_set(
			e, rc, error_of_host(rc),
			"The manager %s could not be started: %s; see that it is installed, and `free`.",
			b->d->manager, strerror(-rc));
	}
	rc = wire_fd_new(b->d->base, fds[0], &wire);
	if (rc)
		kill(p->pid, SIGKILL); /* gone() follows */
	else
		b->owner->wire(b->ctx, wire);
	return 0;
}

/* The kernel closed the socket of an earlier vtpmd; its managers are gone. */
static int process_adopt(struct body *b)
{
	return -ENOENT;
}

static void process_lost(struct body *b)
{
	struct process *p = (struct process *)b;
	struct timeval grace = {.tv_sec = GRACE_S};

	if (p->pid)
		event_add(p->grace, &grace);
}

static void process_end(struct body *b)
{
	struct process *p = (struct process *)b;

	if (p->pid)
		kill(p->pid, SIGKILL);
}

static void process_free(struct body *b)
{
	struct process *p = (struct process *)b;

	if (p->pid) {
		child_forget(p->pid);
		kill(p->pid, SIGKILL);
	}
	if (p->grace)
		event_free(p->grace);
	free(p);
}

static const struct body_ops process_ops = {
	.start = process_start,
	.adopt = process_adopt,
	.lost = process_lost,
	.end = process_end,
	.free = process_free,
};

struct body *process_new(void)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->body.ops = &process_ops;
	p->body.domid = -1;
	return &p->body;
}
