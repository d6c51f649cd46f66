/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives swtpm the durability that xen-vtpm has, for LD_PRELOAD: before a file gets another's
 * name its bytes are on the disk, and the name is when rename() returns.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void sync_path(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0 || fsync(fd))
		abort();
	close(fd);
}

int rename(const char *from, const char *to)
{
	int (*real)(const char *, const char *) =
		(int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
	char folder[4096];
	int rc;

	sync_path(from, 0);
	rc = real(from, to);
	snprintf(folder, sizeof(folder), "%s", to);
	if (!rc)
		sync_path(dirname(folder), O_DIRECTORY);
	return rc;
}
