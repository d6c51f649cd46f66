/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xl migrate starts its transport by a shell, with pipes at its standard input and output.
 * The transport is `vtpmctl migrate-pipe FD`, which gives these to the vtpmctl that has
 * started xl, over a socket, and stays until that says the last word there.  When that is
 * killed instead, the transport goes on with what it left, as `vtpmctl migrate --continue`.
 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/xl.h"
#include "tools/vtpmctl/xlmigrate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 14
#define SELF \
	"XEN_VTPM_TRANSPORT" /* the environment's; a path in a command would need quotes */

union fds {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(2 * sizeof(int))];
};

static int give_pipes(int fd)
{
	const int pipes[2] = {STDIN_FILENO, STDOUT_FILENO};
	char byte = 0;
	struct iovec one = {&byte, 1};
	union fds control = {.bytes = {0}};
	struct msghdr msg = {.msg_iov = &one,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(pipes));
	memcpy(CMSG_DATA(&control.head), pipes, sizeof(pipes));
	return sendmsg(fd, &msg, 0) == 1 ? 0 : -errno;
}

/* The arguments of a vtpmctl, each with its zero, which was killed before it said the last
 * word, an empty one. */
static void continue_after(char *words, size_t len)
{
	char *argv[ARGS_MAX + 1], *at;
	size_t n = 0;

	for (at = words; at < words + len && n < ARGS_MAX; at += strlen(at) + 1)
		argv[n++] = at;
	argv[n] = NULL;
	if (n == ARGS_MAX && argv[n - 1][0])
		execv("/proc/self/exe", argv);
}

int migrate_pipe_main(int argc, char **argv)
{
	int fd = argc == 2 ? atoi(argv[1]) : -1, null;
	char words[4096 + 1];
	size_t len = 0;
	ssize_t n;

	if (fd <= STDERR_FILENO || give_pipes(fd)) {
		fprintf(stderr,
			"vtpmctl: migrate-pipe is what `vtpmctl migrate` starts xl with: run "
			"that\n");
		return VTPMCTL_USAGE;
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return VTPMCTL_FAILED;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	while (len < sizeof(words) - 1) {
		n = read(fd, words + len, sizeof(words) - 1 - len);
		if (n > 0)
			len += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break;
	}
	words[len] = '\0';
	if (len < 2 || words[len - 1] || words[len - 2])
		continue_after(words, len);
	return VTPMCTL_OK;
}

/* What the transport has to know to go on. */
static void tell_guard(const struct migrate *m, int guard)
{
	const char *const words[ARGS_MAX] = {
		"vtpmctl", "migrate",	 "--continue", m->name,	   "--socket",
		m->socket, "--config",	 m->config,    "--ca",	   m->keys.ca,
		"--cert",  m->keys.cert, "--key",      m->keys.key};
	size_t i;

	for (i = 0; i < ARGS_MAX; i++)
		(void)!write(guard, words[i], strlen(words[i]) + 1);
}

/* 0, or -1: xl has ended before it had a transport. */
static int take_pipes(struct xlpipes *x)
{
	char byte;
	struct iovec one = {&byte, 1};
	union fds control;
	struct msghdr msg = {.msg_iov = &one,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	const struct cmsghdr *c;
	int pipes[2];
	ssize_t n;

	do
		n = recvmsg(x->guard, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	c = n == 1 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(pipes)))
		return -1;
	memcpy(pipes, CMSG_DATA(c), sizeof(pipes));
	x->from = pipes[0];
	x->to = pipes[1];
	(void)fcntl(x->from, F_SETPIPE_SZ, XL_PIPE);
	return 0;
}

static void be_xl_migrate(const char *domid, int guard)
{
	char self[PATH_MAX], transport[64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int fd = fcntl(guard, F_DUPFD, 3), null = open("/dev/null", O_RDWR);
	char *const argv[] = {"xl", "migrate", "-s", "", (char *)domid, transport, NULL};

	if (n <= 0 || fd < 0 || null < 0)
		_exit(VTPMCTL_FAILED);
	self[n] = '\0';
	(void)setenv(SELF, self, 1);
	snprintf(transport, sizeof(transport), "exec \"$" SELF "\" migrate-pipe %d", fd);
	dup2(null, STDIN_FILENO);
	/* the terminal's signals are not for it: half of a migration is undone by vtpmctl */
	(void)setpgid(0, 0);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	execvp(argv[0], argv);
	fprintf(stderr, "vtpmctl: xl cannot be run: %s\n", strerror(errno));
	_exit(XL_MISSING);
}

int xlpipe_start(const struct migrate *m, struct xlpipes *x)
{
	int sv[2];

	*x = (struct xlpipes){.pid = -1, .guard = -1, .from = -1, .to = -1};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return -1;
	x->pid = fork();
	if (!x->pid)
		be_xl_migrate(m->domid, sv[1]);
	close(sv[1]);
	x->guard = sv[0];
	if (x->pid < 0 || take_pipes(x))
		return -1;
	tell_guard(m, x->guard);
	return 0;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void end_guard(struct xlpipes *x)
{
	if (x->guard >= 0)
		(void)!write(x->guard, "", 1);
	close_one(&x->guard);
}

void xlpipe_close(struct xlpipes *x)
{
	close_one(&x->from);
	close_one(&x->to);
	end_guard(x);
}

int xlpipe_wait(struct xlpipes *x, int seconds)
{
	int status = 0, i;
	pid_t pid = x->pid > 0 ? 0 : -1;

	/* it may wait for its transport */
	end_guard(x);
	for (i = 0; !pid && i < seconds * 50; i++) {
		pid = waitpid(x->pid, &status, WNOHANG);
		if (!pid)
			usleep(20000);
	}
	if (pid != x->pid)
		return -1;
	x->pid = -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
