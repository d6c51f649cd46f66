/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Xen's watchdog of this domain, as a device that Linux does not have.  A u32 is written to it:
 * in so many seconds Xen ends the domain, whatever that does or does not do meanwhile, paused as
 * it may be; 0: it does not.
 */
#include <errno.h>
#include <xen/sched.h>
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/hypercall.h"
#include "stubdom/kernel/user.h"

static uint32_t watchdog; /* Xen's number of the timer; 0: none runs */

static long set_watchdog(uint32_t seconds)
{
	struct sched_watchdog call = {.id = watchdog, .timeout = seconds};
	long rc;

	/* a new timer of 0 s would end the domain now */
	if (!watchdog && !seconds)
		return 0;
	rc = hypercall_sched(SCHEDOP_watchdog, &call);
	if (rc < 0)
		return rc;
	if (!watchdog)
		watchdog = (uint32_t)rc;
	else if (!seconds)
		watchdog = 0;
	return 0;
}

static long write_watchdog(struct file *f, uint64_t from, size_t n)
{
	uint32_t seconds;
	long rc;

	if (n != sizeof(seconds))
		return -EINVAL;
	rc = copy_from_user(&seconds, from, sizeof(seconds));
	if (!rc)
		rc = set_watchdog(seconds);
	return rc ? rc : (long)n;
}

const struct file_ops watchdog_ops = {
	.mode = FILE_CHARACTER | 0200,
	.write = write_watchdog,
};
