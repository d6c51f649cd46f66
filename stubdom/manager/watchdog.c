/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Not Linux's /dev/watchdog, which ends the whole machine: where there is no stub domain there is
 * no such file. */
#define WATCHDOG "/dev/xen/watchdog"

int watchdog_open(int *fd)
{
	*fd = open(WATCHDOG, O_WRONLY | O_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}

int watchdog_set(int fd, uint32_t seconds)
{
	ssize_t n = write(fd, &seconds, sizeof(seconds));

	return n < 0 ? -errno : n == sizeof(seconds) ? 0 : -EIO;
}
