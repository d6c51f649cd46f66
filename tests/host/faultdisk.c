/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk with faults, for LD_PRELOAD: what the file named by FAULT holds decides how
 * files of the store are written.
 *
 *   ENOSPC, EROFS   new files cannot be made
 *   EIO             fsync() fails
 *   slow            fsync() takes 2 s
 *   anything else   all is well
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
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

int openat(int dir, const char *name, int flags, ...)
{
	static int (*real)(int, const char *, int, ...);
	size_t len = strlen(name);
	char fault[16];
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (!real)
		real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat");
	if (flags & O_CREAT && len > 4 && !strcmp(name + len - 4, ".new")) {
		read_fault(fault);
		if (!strcmp(fault, "ENOSPC") || !strcmp(fault, "EROFS")) {
			errno = fault[1] == 'N' ? ENOSPC : EROFS;
			return -1;
		}
	}
	return real(dir, name, flags, mode);
}

int fsync(int fd)
{
	static int (*real)(int);
	char fault[16];

	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	read_fault(fault);
	if (!strcmp(fault, "EIO")) {
		errno = EIO;
		return -1;
	}
	if (!strcmp(fault, "slow"))
		sleep(2);
	return real(fd);
}
