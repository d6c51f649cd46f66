/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stops a program at one of its steps, for LD_PRELOAD.  A step is a call by which others see
 * something of it: of a file's name or of its being on the disk, of another program, or of a
 * connection.  Before the STEP-th one, from 1, it is ended by the signal of STEP_BY, a number,
 * or, when that is none, the shell runs STEP_BY first.  Each step is a line of STEP_LOG.
 * With STEP_OF, names of such calls with spaces around each, only these are steps.  With
 * STEP_FROM, a file, steps are counted while that is there, and it holds STEP.  Programs that it
 * runs are not stopped.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static long at, step;
static char *by, *log_path, *of, *from;

__attribute__((constructor)) static void begin(void)
{
	const char *number = getenv("STEP");

	at = number ? strtol(number, NULL, 10) : 0;
	by = getenv("STEP_BY") ? strdup(getenv("STEP_BY")) : NULL;
	of = getenv("STEP_OF") ? strdup(getenv("STEP_OF")) : NULL;
	log_path = getenv("STEP_LOG") ? strdup(getenv("STEP_LOG")) : NULL;
	from = getenv("STEP_FROM") ? strdup(getenv("STEP_FROM")) : NULL;
	unsetenv("LD_PRELOAD");
}

static int (*real_open)(const char *, int, ...);

/* Whether steps are counted now; the first one after a while without is the first again. */
static int is_counting(void)
{
	char text[16] = "";
	int fd;

	if (!from)
		return 1;
	fd = real_open(from, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		abort();
	if (fd < 0)
		step = 0;
	else
		close(fd);
	at = strtol(text, NULL, 10);
	return fd >= 0;
}

/* An ordinary child would be a step. */
static void run_shell(const char *command)
{
	pid_t pid = vfork();

	if (!pid) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static void *take_step(const char *name, const char *what)
{
	char line[512];
	int fd, n;

	if (!real_open)
		real_open = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	snprintf(line, sizeof(line), " %s ", name);
	if ((of && !strstr(of, line)) || !is_counting())
		return dlsym(RTLD_NEXT, name);
	step++;
	if (log_path) {
		n = snprintf(line, sizeof(line), "%ld %s %s\n", step, name, what);
		fd = real_open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
		if (fd >= 0 && write(fd, line, (size_t)n) < 0)
			abort();
		if (fd >= 0)
			close(fd);
	}
	if (by && step == at) {
		if (by[strspn(by, "0123456789")])
			run_shell(by);
		else
			kill(getpid(), atoi(by));
	}
	return dlsym(RTLD_NEXT, name);
}

#define STEP(type, name, params, args, what)                                 \
	type name params                                                     \
	{                                                                    \
		type(*real) params = (type(*) params)take_step(#name, what); \
		return real args;                                            \
	}

STEP(int, fsync, (int fd), (fd), "")
STEP(int, fdatasync, (int fd), (fd), "")
STEP(int, rename, (const char *a, const char *b), (a, b), b)
STEP(int, renameat, (int d, const char *a, int e, const char *b), (d, a, e, b), b)
STEP(int, renameat2, (int d, const char *a, int e, const char *b, unsigned int f),
     (d, a, e, b, f), b)
STEP(int, link, (const char *a, const char *b), (a, b), b)
STEP(int, linkat, (int d, const char *a, int e, const char *b, int f), (d, a, e, b, f), b)
STEP(int, unlink, (const char *a), (a), a)
STEP(int, unlinkat, (int d, const char *a, int f), (d, a, f), a)
STEP(int, mkdir, (const char *a, mode_t m), (a, m), a)
STEP(int, mkdirat, (int d, const char *a, mode_t m), (d, a, m), a)
STEP(int, rmdir, (const char *a), (a), a)
STEP(int, mkostemp, (char *a, int f), (a, f), a)
STEP(int, ftruncate, (int fd, off_t n), (fd, n), "")
STEP(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), "")
STEP(pid_t, fork, (void), (), "")
STEP(pid_t, waitpid, (pid_t p, int *s, int f), (p, s, f), "")

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

int open(const char *name, int flags, ...)
{
	int (*real)(const char *, int, ...) =
		(int (*)(const char *, int, ...))take_step("open", name);
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return real(name, flags, mode);
}

int openat(int dir, const char *name, int flags, ...)
{
	int (*real)(int, const char *, int, ...) =
		(int (*)(int, const char *, int, ...))take_step("openat", name);
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return real(dir, name, flags, mode);
}
