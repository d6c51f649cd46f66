/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <asm/poll.h>
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/time.h"
#include "stubdom/kernel/user.h"

#define ALWAYS (POLLERR | POLLHUP | POLLNVAL)

static short check(const struct pollfd *p)
{
	struct file *f;

	if (p->fd < 0)
		return 0;
	f = file_get((uint64_t)p->fd);
	if (!f)
		return POLLNVAL;
	return (short)(f->ops->poll(f) & (unsigned int)(p->events | ALWAYS));
}

/* Costs no hypercall when something is ready, or when `until` has passed. */
long file_poll(uint64_t fds, uint64_t n, uint64_t until)
{
	struct pollfd set[FILE_MAX];
	uint64_t seen;
	long ready;
	int rc;

	if (n > FILE_MAX)
		return -EINVAL;
	rc = copy_from_user(set, fds, n * sizeof(set[0]));
	if (rc)
		return rc;
	for (;;) {
		(void)evtchn_scan();
		/* Looking at one file may take the event of another that was looked at. */
		seen = evtchn_taken;
		ready = 0;
		for (uint64_t i = 0; i < n; i++) {
			set[i].revents = check(&set[i]);
			ready += set[i].revents != 0;
		}
		if (ready || (until != TIME_NEVER && time_now() >= until))
			break;
		evtchn_wait_since(seen, until);
	}
	rc = copy_to_user(fds, set, n * sizeof(set[0]));
	return rc ? rc : ready;
}
