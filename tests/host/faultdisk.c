/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk with faults, for LD_PRELOAD: what the file named by FAULT holds decides how
 * files of the store are written.
 *
 *   ENOSPC, EROFS   new files cannot be made, and no state opened to be overwritten
 *   EIO             fsync() fails, and fdatasync(), as in all that follows
 *   slow            fsync() takes 2 s
 *   slow MS         fsync() takes MS ms
 *   kill N          the process is killed at its N-th fsync() from now on
 *   hold N          the N-th fsync() waits for another fault, with FAULT.held there
 *   count           each fsync() appends an f to FAULT.count, each syncfs() an s
 *   anything else   all is well
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_fault(char fault[16])
{
	const char *path = getenv("FAULT");
	FILE *f = path ? fopen(path, "re") : NULL;

	memset(fault, 0, 16);
	if (f && !fgets(fault, 16, f))
		fault[0] = 0;
	if (f)
		fclose(f);
	fault[strcspn(fault, "\n")] = 0;
}

/* A disk that copies on write needs room for what it overwrites, too. */
static int takes_room(const char *name, int flags)
{
	size_t len = strlen(name);

	if (flags & O_CREAT)
		return len > 4 && !strcmp(name + len - 4, ".new");
	/* the state, and records of handovers, whose names are uuids */
	return (flags & O_ACCMODE) == O_RDWR && (!strcmp(name, "permall") || len == 36);
}

int openat(int dir, const char *name, int flags, ...)
{
	static int (*real)(int, const char *, int, ...);
	char fault[16];
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (!real)
		real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat");
	if (takes_room(name, flags)) {
		read_fault(fault);
		if (!strcmp(fault, "ENOSPC") || !strcmp(fault, "EROFS")) {
			errno = fault[1] == 'N' ? ENOSPC : EROFS;
			return -1;
		}
	}
	return real(dir, name, flags, mode);
}

static void hold(const char *fault)
{
	char path[4096], now[16];
	int fd;

	snprintf(path, sizeof(path), "%s.held", getenv("FAULT"));
	fd = creat(path, 0600);
	do {
		usleep(20000);
		read_fault(now);
	} while (!strcmp(now, fault));
	close(fd);
	unlink(path);
}

/* The number of calls since the fault was set. */
static int calls_of(const char *fault)
{
	static char last[16];
	static int count;

	if (strcmp(last, fault))
		count = 0;
	strcpy(last, fault);
	return ++count;
}

static void kill_or_hold(const char *fault)
{
	int n = calls_of(fault);

	if (!strncmp(fault, "kill ", 5) && n == atoi(fault + 5))
		kill(getpid(), SIGKILL);
	if (!strncmp(fault, "hold ", 5) && n == atoi(fault + 5))
		hold(fault);
}

static void note_count(const char *fault, char what)
{
	char path[4096];
	int fd;

	if (strcmp(fault, "count"))
		return;
	snprintf(path, sizeof(path), "%s.count", getenv("FAULT"));
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	(void)!write(fd, &what, 1);
	close(fd);
}

int syncfs(int fd)
{
	static int (*real)(int);
	char fault[16];

	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "syncfs");
	read_fault(fault);
	note_count(fault, 's');
	return real(fd);
}

static int sync_file(int fd, const char *name)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	char fault[16];

	read_fault(fault);
	note_count(fault, 'f');
	if (!strcmp(fault, "EIO")) {
		errno = EIO;
		return -1;
	}
	if (!strcmp(fault, "slow"))
		sleep(2);
	if (!strncmp(fault, "slow ", 5))
		usleep((useconds_t)atoi(fault + 5) * 1000);
	kill_or_hold(fault);
	return real(fd);
}

int fsync(int fd)
{
	return sync_file(fd, "fsync");
}

int fdatasync(int fd)
{
	return sync_file(fd, "fdatasync");
}
