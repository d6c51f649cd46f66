/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/child.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	struct child *next;
	pid_t pid;
	child_done *done;
	void *ctx;
};

static struct child *children;
static struct event *reaper;

static struct child *take_child(pid_t pid)
{
	struct child **at = &children, *c;

	while (*at && (*at)->pid != pid)
		at = &(*at)->next;
	c = *at;
	if (c)
		*at = c->next;
	return c;
}

/* Waits for whichever has ended: asking of each of thousands, at the end of each of them,
 * would be millions of system calls.  done() may start and forget children. */
static void on_sigchld(evutil_socket_t fd, short what, void *ctx)
{
	struct child *c;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		c = take_child(pid);
		if (c && c->done)
			c->done(c->ctx, status);
		free(c);
	}
}

int child_init(struct event_base *base)
{
	reaper = evsignal_new(base, SIGCHLD, on_sigchld, NULL);
	return reaper && !event_add(reaper, NULL) ? 0 : -ENOMEM;
}

/* First out of each other's way. */
static int pass_on(const struct child_start *s)
{
	int aside[CHILD_FDS];

	for (unsigned int i = 0; i < s->fd_count; i++) {
		aside[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, 3 + CHILD_FDS);
		if (aside[i] < 0)
			return -1;
	}
	for (int i = 0; i < (int)s->fd_count; i++)
		if (dup2(aside[i], 3 + i) < 0)
			return -1;
	return 0;
}

static int redirect(const struct child_start *s)
{
	int null = open("/dev/null", O_RDONLY);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		return -1;
	if (s->out >= 0 &&
	    (dup2(s->out, STDOUT_FILENO) < 0 || dup2(s->out, STDERR_FILENO) < 0))
		return -1;
	return pass_on(s);
}

static void __attribute__((noreturn)) run_child(const struct child_start *s, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* it may have ended just before */
	if (s->bound && (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent))
		_exit(126);
	if (redirect(s))
		_exit(126);
	/* what libraries opened without O_CLOEXEC is none of the child's */
	closefrom(3 + (int)s->fd_count);
	execvp(s->argv[0], s->argv);
	_exit(127);
}

int child_spawn(const struct child_start *s, pid_t *pid_out)
{
	struct child *c = calloc(1, sizeof(*c));
	pid_t pid, self = getpid();
	int rc;

	if (!c)
		return -ENOMEM;
	pid = fork();
	if (pid == 0)
		run_child(s, self);
	if (pid < 0) {
		rc = -errno;
		free(c);
		return rc;
	}
	c->pid = pid;
	c->done = s->done;
	c->ctx = s->ctx;
	c->next = children;
	children = c;
	*pid_out = pid;
	return 0;
}

void child_forget(pid_t pid)
{
	struct child *c;

	for (c = children; c; c = c->next)
		if (c->pid == pid)
			c->done = NULL;
}

void child_end(void)
{
	struct child *c;

	while ((c = children)) {
		children = c->next;
		free(c);
	}
	event_free(reaper);
}

int child_user(const char *name, char *out, size_t size, struct error *e)
{
	const struct passwd *pw = getpwnam(name);

	if (!pw)
		return error_set(
			e, -ENOENT, CAUSE_NOT_CONFIGURED,
			"There is no user %s for managers that are processes: make "
			"it (systemd-sysusers xen-vtpm.conf, which the package "
			"xen-vtpm-host does), or give vtpmd --user.",
			name);
	if (!pw->pw_uid || !pw->pw_gid)
		return error_set(
			e, -EPERM, CAUSE_NOT_CONFIGURED,
			"The user %s for managers that are processes is root, or of "
			"root's group: give vtpmd another --user.",
			name);
	snprintf(out, size, "%u:%u", (unsigned int)pw->pw_uid, (unsigned int)pw->pw_gid);
	return 0;
}
