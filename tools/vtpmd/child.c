/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/child.h"
#include "tools/vtpmd/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	struct tree_node by_pid;
	pid_t pid;
	child_done *done;
	void *ctx;
};

static struct tree_node *children;
static struct event *reaper;

static struct child *of_pid_node(const struct tree_node *n)
{
	return n ? TREE_OF(n, struct child, by_pid) : NULL;
}

static int compare_pids(const void *key, const struct tree_node *n)
{
	pid_t pid = *(const pid_t *)key, other = of_pid_node(n)->pid;

	return pid < other ? -1 : pid > other;
}

static struct child *find_child(pid_t pid)
{
	return of_pid_node(tree_find(children, &pid, compare_pids));
}

static struct child *take_child(pid_t pid)
{
	struct child *c = find_child(pid);

	if (c)
		tree_remove(&children, &c->pid, &c->by_pid, compare_pids);
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

/*
 * A child has to have a table of descriptors of its own.  A copy of vtpmd's, and its closing, takes
 * as long as vtpmd has vTPMs, and that in each start.  So a child begins in vtpmd's table, and the
 * kernel copies of it what is below a number, as it closes all others in the same call:
 * CLOSE_RANGE_UNSHARE.  What the child is given is below that: in the lent descriptors, which are
 * vtpmd's as long as it runs, and lead to /dev/null while no child begins.
 */
static int lent[CHILD_FDS + 1]; /* the last one is a child's output */
static int nowhere = -1;	/* below them: /dev/null */

int child_init(struct event_base *base)
{
	reaper = evsignal_new(base, SIGCHLD, on_sigchld, NULL);
	if (!reaper || event_add(reaper, NULL))
		return -ENOMEM;
	nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (nowhere < 0)
		return -errno;
	for (unsigned int i = 0; i < ARRAY_SIZE(lent); i++) {
		lent[i] = fcntl(nowhere, F_DUPFD_CLOEXEC, nowhere + 1);
		if (lent[i] < 0)
			return -errno;
	}
	return 0;
}

static int lend(const struct child_start *s)
{
	for (unsigned int i = 0; i < s->fd_count; i++)
		if (dup3(s->fds[i], lent[i], O_CLOEXEC) < 0)
			return -errno;
	if (s->out >= 0 && dup3(s->out, lent[CHILD_FDS], O_CLOEXEC) < 0)
		return -errno;
	return 0;
}

/* So that a channel ends when the child does. */
static void take_back(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(lent); i++)
		(void)dup3(nowhere, lent[i], O_CLOEXEC);
}

/* Makes the table the child's own, with the lent ones and what is below the highest of them. */
static int leave_table(void)
{
	int top = nowhere;

	for (unsigned int i = 0; i < ARRAY_SIZE(lent); i++)
		top = lent[i] > top ? lent[i] : top;
	return close_range((unsigned int)top + 1, ~0u, CLOSE_RANGE_UNSHARE);
}

/* First out of each other's way. */
static int pass_on(const struct child_start *s)
{
	int aside[CHILD_FDS];

	for (unsigned int i = 0; i < s->fd_count; i++) {
		aside[i] = fcntl(lent[i], F_DUPFD_CLOEXEC, 3 + CHILD_FDS);
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
	int out = lent[CHILD_FDS];

	if (leave_table() || dup2(nowhere, STDIN_FILENO) < 0)
		return -1;
	if (s->out >= 0 && (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0))
		return -1;
	return pass_on(s);
}

/* None of vtpmd's is to run here, in the memory of vtpmd. */
static void drop_handlers(void)
{
	const struct sigaction usual = {.sa_handler = SIG_DFL};
	struct sigaction is;

	for (int n = 1; n < NSIG; n++)
		if (!sigaction(n, NULL, &is) && is.sa_handler != SIG_IGN &&
		    is.sa_handler != SIG_DFL)
			(void)sigaction(n, &usual, NULL);
	(void)sigaction(SIGPIPE, &usual, NULL);
}

struct beginning {
	const struct child_start *s;
	pid_t parent;
};

/* Of begin_child(): all is vtpmd's own memory, and vtpmd waits, until the program runs.  Signals
 * are blocked.  The sanitizer takes the stack for one that it does not know. */
static int __attribute__((no_sanitize_address)) run_child(void *ctx)
{
	const struct beginning *b = ctx;
	const struct child_start *s = b->s;
	sigset_t none;

	drop_handlers();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* it may have ended just before */
	if (s->bound && (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != b->parent))
		_exit(126);
	if (redirect(s))
		_exit(126);
	/* what libraries opened without O_CLOEXEC is none of the child's */
	closefrom(3 + (int)s->fd_count);
	execvp(s->argv[0], s->argv);
	_exit(127);
}

/* The child's pid, or -errno.  Not by fork(), which copies the tables of all of vtpmd's memory,
 * nor by vfork(), which copies that of its descriptors: both grow with the vTPMs, as do the
 * starts. */
static pid_t begin_child(const struct child_start *s)
{
	static _Alignas(16)
		uint8_t stack[64 * 1024]; /* which only the loop's thread uses */
	struct beginning b = {s, getpid()};
	pid_t pid = lend(s);

	if (!pid) {
		pid = clone(run_child, stack + sizeof(stack),
			    CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &b);
		pid = pid < 0 ? -errno : pid;
	}
	take_back();
	return pid;
}

int child_spawn(const struct child_start *s, pid_t *pid_out)
{
	struct child *c = calloc(1, sizeof(*c));
	sigset_t all, usual;
	pid_t pid;

	if (!c)
		return -ENOMEM;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &usual);
	pid = begin_child(s);
	pthread_sigmask(SIG_SETMASK, &usual, NULL);
	if (pid < 0) {
		free(c);
		return pid;
	}
	c->pid = *pid_out = pid;
	c->done = s->done;
	c->ctx = s->ctx;
	tree_add(&children, &c->pid, &c->by_pid, compare_pids);
	return 0;
}

void child_forget(pid_t pid)
{
	struct child *c = find_child(pid);

	if (c)
		c->done = NULL;
}

void child_end(void)
{
	while (children)
		free(take_child(of_pid_node(children)->pid));
	event_free(reaper);
	close(nowhere);
	for (unsigned int i = 0; i < ARRAY_SIZE(lent); i++)
		close(lent[i]);
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
