/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xentoollog.h>
#include "backend/xen.h"

#define DEVICE "/dev/xen/xenbus"
#define TOKEN  "vtpm"

/* A text of xenstored's, or one of ours, with its final zero. */
struct piece {
	const char *text;
	size_t len;
};

static int read_all(int fd, void *buf, size_t len)
{
	ssize_t n;

	for (size_t done = 0; done < len; done += (size_t)n) {
		n = read(fd, (char *)buf + done, len - done);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return -EIO;
	}
	return 0;
}

static int write_all(int fd, const void *buf, size_t len)
{
	ssize_t n;

	for (size_t done = 0; done < len; done += (size_t)n) {
		n = write(fd, (const char *)buf + done, len - done);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return -EIO;
	}
	return 0;
}

/* A leaf's node that this backend, or another one of this domain, writes.  The toolstack
 * writes others with it (online, uuid). */
static bool is_backends(const char *path)
{
	static const char *const names[] = {"state", "error", "feature-protocol-v2"};
	const char *name = strrchr(path, '/');

	if (strncmp(path, BACKEND_ROOT "/", strlen(BACKEND_ROOT "/")))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name + 1, names[i]))
			return true;
	return false;
}

/* payload has room for XENSTORE_PAYLOAD_MAX + 1 bytes; a zero is added. */
static int receive(struct xenstore *s, struct xsd_sockmsg *msg, char *payload)
{
	int rc = read_all(s->fd, msg, sizeof(*msg));

	if (rc)
		return rc;
	if (msg->len > XENSTORE_PAYLOAD_MAX)
		return -EIO;
	rc = read_all(s->fd, payload, msg->len);
	payload[rc ? 0 : msg->len] = '\0';
	if (!rc && msg->type == XS_WATCH_EVENT && !is_backends(payload))
		s->changed = true;
	return rc;
}

static int error_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(xsd_errors); i++)
		if (!strcmp(name, xsd_errors[i].errstring))
			return -xsd_errors[i].errnum;
	return -EINVAL;
}

/* One request and its reply, of which *len bytes stand in payload. */
static int ask(struct xenstore *s, uint32_t type, const struct piece *pieces,
	       unsigned int n, char payload[static XENSTORE_PAYLOAD_MAX + 1], size_t *len)
{
	struct xsd_sockmsg msg = {.type = type, .req_id = ++s->next_id};
	uint32_t id = msg.req_id;
	int rc;

	for (unsigned int i = 0; i < n; i++)
		msg.len += (uint32_t)pieces[i].len;
	if (msg.len > XENSTORE_PAYLOAD_MAX)
		return -E2BIG;
	rc = write_all(s->fd, &msg, sizeof(msg));
	for (unsigned int i = 0; i < n && !rc; i++)
		rc = write_all(s->fd, pieces[i].text, pieces[i].len);
	if (rc)
		return rc;
	do {
		rc = receive(s, &msg, payload);
		if (rc)
			return rc;
	} while (msg.type == XS_WATCH_EVENT || msg.req_id != id);
	if (msg.type == XS_ERROR)
		return error_number(payload);
	*len = msg.len;
	return msg.type == type ? 0 : -EIO;
}

static struct piece terminated(const char *text)
{
	return (struct piece){text, strlen(text) + 1};
}

static int ask_path(struct xenstore *s, uint32_t type, const char *path, char *payload,
		    size_t *len)
{
	struct piece piece = terminated(path);

	return ask(s, type, &piece, 1, payload, len);
}

int xenstore_open(struct xenstore *s)
{
	memset(s, 0, sizeof(*s));
	s->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	return s->fd < 0 ? -errno : 0;
}

void xenstore_close(struct xenstore *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

int xenstore_read(struct xenstore *s, const char *path, char *value, size_t size)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];
	size_t len;
	int rc = ask_path(s, XS_READ, path, payload, &len);

	if (rc)
		return rc;
	if (len >= size)
		return -E2BIG;
	memcpy(value, payload, len + 1);
	return 0;
}

int xenstore_write(struct xenstore *s, const char *path, const char *value)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];
	struct piece pieces[] = {terminated(path), {value, strlen(value)}};
	size_t len;

	return ask(s, XS_WRITE, pieces, 2, payload, &len);
}

int xenstore_remove(struct xenstore *s, const char *path)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];
	size_t len;

	return ask_path(s, XS_RM, path, payload, &len);
}

int xenstore_list(struct xenstore *s, const char *path, uint32_t *ids, unsigned int max)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];
	unsigned int n = 0;
	size_t len;
	int rc = ask_path(s, XS_DIRECTORY, path, payload, &len);

	if (rc)
		return rc;
	for (size_t at = 0; at < len; at += strlen(payload + at) + 1) {
		const char *name = payload + at;
		size_t digits = strspn(name, "0123456789");

		if (digits == 0 || digits > 9 || name[digits])
			continue;
		if (n < max)
			ids[n] = (uint32_t)strtoul(name, NULL, 10);
		n++;
	}
	return (int)n;
}

static int ask_watch(struct xenstore *s, uint32_t type, const char *path)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];
	struct piece pieces[] = {terminated(path), terminated(TOKEN)};
	size_t len;

	return ask(s, type, pieces, 2, payload, &len);
}

int xenstore_watch(struct xenstore *s, const char *path)
{
	return ask_watch(s, XS_WATCH, path);
}

int xenstore_unwatch(struct xenstore *s, const char *path)
{
	return ask_watch(s, XS_UNWATCH, path);
}

int xenstore_changed(struct xenstore *s)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];
	struct pollfd fd = {.fd = s->fd, .events = POLLIN};
	struct xsd_sockmsg msg;
	bool changed;
	int rc;

	for (;;) {
		rc = poll(&fd, 1, 0);
		if (rc < 0 && errno != EINTR)
			return -errno;
		if (rc <= 0)
			break;
		rc = receive(s, &msg, payload);
		if (rc)
			return rc;
	}
	changed = s->changed;
	s->changed = false;
	return changed;
}

/* A library call failed; one that forgot to say why is an I/O error. */
static int failure(void)
{
	return errno > 0 ? -errno : -EIO;
}

int xen_map(struct xen *x, uint32_t domid, const uint32_t *refs, unsigned int n,
	    void **pages)
{
	*pages = xengnttab_map_domain_grant_refs(x->gnttab, n, domid, (uint32_t *)refs,
						 PROT_READ | PROT_WRITE);
	return *pages ? 0 : failure();
}

void xen_unmap(struct xen *x, void *pages, unsigned int n)
{
	(void)xengnttab_unmap(x->gnttab, pages, n);
}

int xen_bind(struct xen *x, uint32_t domid, uint32_t remote_port, uint32_t *port)
{
	int rc = xenevtchn_bind_interdomain(x->evtchn, domid, remote_port);

	if (rc < 0)
		return failure();
	*port = (uint32_t)rc;
	return 0;
}

void xen_unbind(struct xen *x, uint32_t port)
{
	(void)xenevtchn_unbind(x->evtchn, port);
}

void xen_notify(struct xen *x, uint32_t port)
{
	/* A failure means that the guest is gone: xenstore will tell. */
	(void)xenevtchn_notify(x->evtchn, port);
}

/* The owner has polled; a second poll() keeps the read from blocking when the
 * event was taken back with its port, and costs no hypercall. */
int xen_pending(struct xen *x, uint32_t *port)
{
	struct pollfd fd = {.fd = xenevtchn_fd(x->evtchn), .events = POLLIN};
	int rc = poll(&fd, 1, 0);

	if (rc < 0)
		return errno == EINTR ? -EAGAIN : failure();
	if (rc == 0)
		return -EAGAIN;
	rc = xenevtchn_pending(x->evtchn);
	if (rc < 0)
		return failure();
	*port = (uint32_t)rc;
	return 0;
}

void xen_unmask(struct xen *x, uint32_t port)
{
	/* a port that was unbound while its event waited needs no unmasking */
	(void)xenevtchn_unmask(x->evtchn, port);
}

uint64_t xen_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int xen_event_fd(struct xen *x)
{
	return xenevtchn_fd(x->evtchn);
}

int xen_open(struct xen *x)
{
	xentoollog_logger *logger;
	int rc;

	memset(x, 0, sizeof(*x));
	rc = xenstore_open(&x->store);
	if (rc)
		return rc;
	/* A guest chooses the references: a bad one is worth no line of ours. */
	x->logger = xtl_createlogger_stdiostream(stderr, XTL_CRITICAL, 0);
	logger = (xentoollog_logger *)x->logger;
	if (logger)
		x->evtchn = xenevtchn_open(logger, 0);
	if (x->evtchn)
		x->gnttab = xengnttab_open(logger, 0);
	if (x->gnttab)
		return 0;
	rc = failure();
	xen_close(x);
	return rc;
}

void xen_close(struct xen *x)
{
	if (x->gnttab)
		xengnttab_close(x->gnttab);
	if (x->evtchn)
		xenevtchn_close(x->evtchn);
	if (x->logger)
		xtl_logger_destroy((xentoollog_logger *)x->logger);
	xenstore_close(&x->store);
}
