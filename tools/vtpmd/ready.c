/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/ready.h"
#include "tools/vtpmd/log.h"

#include <errno.h>
#include <systemd/sd-daemon.h>

static void tell_ready(struct vtpmd *d)
{
	event_del(d->not_ready);
	d->ready = true;
	(void)sd_notify(0, "READY=1");
}

static void on_time(evutil_socket_t fd, short what, void *ctx)
{
	struct vtpmd *d = ctx;

	log_line(LOG_WARNING,
		 "%u of %u vTPMs have not started, none within %d s: guests that need "
		 "them will not start",
		 d->autostart - d->autostarted, d->autostart, READY_S);
	tell_ready(d);
}

/* What systemd waits beyond its own time, from now. */
static void wait_for_more(struct vtpmd *d)
{
	const struct timeval limit = {.tv_sec = READY_S};

	(void)sd_notifyf(0,
			 "STATUS=%u of %u vTPMs were started, %u of them failed\n"
			 "EXTEND_TIMEOUT_USEC=%d000000",
			 d->autostarted, d->autostart, d->autostart_failed, 2 * READY_S);
	event_add(d->not_ready, &limit);
}

int ready_begin(struct vtpmd *d)
{
	d->not_ready = evtimer_new(d->base, on_time, d);
	if (!d->not_ready)
		return -ENOMEM;
	if (d->autostarted < d->autostart)
		wait_for_more(d);
	else
		tell_ready(d);
	return 0;
}

void ready_progress(struct vtpmd *d)
{
	/* those that settle before vtpmd has seen all */
	if (!d->not_ready || d->ready)
		return;
	wait_for_more(d);
	if (d->autostarted == d->autostart)
		tell_ready(d);
}

void ready_reloading(struct vtpmd *d)
{
	if (d->ready)
		(void)sd_notify(0, "RELOADING=1");
}

void ready_reloaded(struct vtpmd *d)
{
	if (d->ready)
		(void)sd_notify(0, "READY=1");
}

void ready_end(struct vtpmd *d)
{
	if (d->not_ready)
		event_free(d->not_ready);
	d->not_ready = NULL;
}
