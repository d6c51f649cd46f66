/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/xen/evtchn (xen/sys/evtchn.h).  read() gives the ports that had an event and
 * leaves them disarmed; write() arms them again. */
#include <errno.h>
#include <asm/ioctl.h>
#include <asm/poll.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/time.h"
#include "stubdom/kernel/user.h"

#define UNRESTRICTED 0

/* f->position: 1 + the one domain that it may bind to, or UNRESTRICTED. */
static bool may_bind(const struct file *f, uint32_t domid)
{
	return f->position == UNRESTRICTED || f->position == 1ULL + domid;
}

static void close_evtchn_device(struct file *f)
{
	for (unsigned int i = 0; i < EVTCHN_MAX; i++) {
		struct evtchn *e = evtchn_entry(i);

		if (e->port && e->owner == f)
			evtchn_close(e);
	}
}

/* The next port with an event, or NULL; *from is where to go on. */
static struct evtchn *next_fired(const struct file *f, unsigned int *from)
{
	while (*from < EVTCHN_MAX) {
		struct evtchn *e = evtchn_entry((*from)++);

		if (e->port && e->owner == f && e->fired)
			return e;
	}
	return NULL;
}

static bool has_evtchn_event(const struct file *f)
{
	unsigned int from = 0;

	(void)evtchn_scan();
	return next_fired(f, &from);
}

static long read_evtchn_device(struct file *f, uint64_t to, size_t n)
{
	unsigned int from = 0;
	struct evtchn *e;
	size_t done = 0;
	int rc;

	n &= ~(size_t)3;
	if (!n)
		return 0;
	while (!has_evtchn_event(f)) {
		if (f->nonblocking)
			return -EAGAIN;
		evtchn_wait(TIME_NEVER);
	}
	while (done < n && (e = next_fired(f, &from))) {
		rc = copy_to_user(to + done, &e->port, sizeof(e->port));
		if (rc)
			return done ? (long)done : rc;
		e->fired = false;
		done += sizeof(e->port);
	}
	return (long)done;
}

static long write_evtchn_device(struct file *f, uint64_t from, size_t n)
{
	struct evtchn *e;
	uint32_t port;
	int rc;

	n &= ~(size_t)3;
	for (size_t at = 0; at < n; at += sizeof(port)) {
		rc = copy_from_user(&port, from + at, sizeof(port));
		if (rc)
			return at ? (long)at : rc;
		e = evtchn_find(f, port);
		if (e && !e->fired)
			evtchn_arm(e);
	}
	return (long)n;
}

static long bind_interdomain(struct file *f, uint64_t argument)
{
	struct ioctl_evtchn_bind_interdomain bind;
	struct evtchn *e;
	int rc = copy_from_user(&bind, argument, sizeof(bind));

	if (rc)
		return rc;
	if (!may_bind(f, bind.remote_domain))
		return -EACCES;
	rc = evtchn_bind_interdomain(f, bind.remote_domain, bind.remote_port, &e);
	return rc ? rc : (long)e->port;
}

static long bind_unbound(struct file *f, uint64_t argument)
{
	struct ioctl_evtchn_bind_unbound_port bind;
	struct evtchn *e;
	int rc = copy_from_user(&bind, argument, sizeof(bind));

	if (rc)
		return rc;
	if (!may_bind(f, bind.remote_domain))
		return -EACCES;
	rc = evtchn_bind_unbound(f, bind.remote_domain, &e);
	return rc ? rc : (long)e->port;
}

static long unbind_or_notify(struct file *f, uint32_t request, uint64_t argument)
{
	struct ioctl_evtchn_unbind unbind;
	struct evtchn *e;
	int rc = copy_from_user(&unbind, argument, sizeof(unbind));

	if (rc)
		return rc;
	e = evtchn_find(f, unbind.port);
	if (!e)
		return -ENOTCONN;
	if (request == IOCTL_EVTCHN_NOTIFY)
		return evtchn_notify(e);
	evtchn_close(e);
	return 0;
}

static long restrict_device(struct file *f, uint64_t argument)
{
	struct ioctl_evtchn_restrict_domid restricted;
	int rc = copy_from_user(&restricted, argument, sizeof(restricted));

	if (rc)
		return rc;
	if (f->position != UNRESTRICTED)
		return -EACCES;
	f->position = 1ULL + restricted.domid;
	return 0;
}

static long reset(struct file *f)
{
	unsigned int from = 0;
	struct evtchn *e;

	while ((e = next_fired(f, &from)))
		e->fired = false;
	return 0;
}

static long control(struct file *f, uint32_t request, uint64_t argument)
{
	switch (request) {
	case IOCTL_EVTCHN_BIND_INTERDOMAIN:
		return bind_interdomain(f, argument);
	case IOCTL_EVTCHN_BIND_UNBOUND_PORT:
		return bind_unbound(f, argument);
	case IOCTL_EVTCHN_UNBIND:
	case IOCTL_EVTCHN_NOTIFY:
		return unbind_or_notify(f, request, argument);
	case IOCTL_EVTCHN_RESET:
		return reset(f);
	case IOCTL_EVTCHN_RESTRICT_DOMID:
		return restrict_device(f, argument);
	default:
		return -ENOSYS;
	}
}

static unsigned int poll_evtchn(struct file *f)
{
	return POLLOUT | POLLWRNORM | (has_evtchn_event(f) ? POLLIN | POLLRDNORM : 0);
}

const struct file_ops evtchndev_ops = {
	.mode = FILE_CHARACTER | 0600,
	.close = close_evtchn_device,
	.read = read_evtchn_device,
	.write = write_evtchn_device,
	.ioctl = control,
	.poll = poll_evtchn,
};
