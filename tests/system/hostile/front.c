/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>
#include "tests/system/hostile/front.h"

static int complain(const char *what)
{
	fprintf(stderr, "# hostile-front: %s: %s\n", what, strerror(errno));
	return errno ? -errno : -EIO;
}

static int share(struct front *f, uint32_t domid, bool writable, int n, uint32_t *refs,
		 void **pages)
{
	*pages = xengntshr_share_pages(f->gntshr, domid, n, refs, writable);
	return *pages ? 0 : complain("cannot grant pages (is xen-gntalloc loaded?)");
}

int front_share(struct front *f, uint32_t domid, bool writable, uint32_t *ref)
{
	void *page;

	return share(f, domid, writable, 1, ref, &page);
}

int front_open(struct front *f, uint32_t backend, unsigned int devid)
{
	void *pages;
	int rc;

	memset(f, 0, sizeof(*f));
	f->backend = backend;
	f->devid = devid;
	snprintf(f->leaf, sizeof(f->leaf), "/local/domain/%u/backend/vtpm/0/%u", backend,
		 devid);
	snprintf(f->dir, sizeof(f->dir), "/local/domain/0/device/vtpm/%u", devid);
	f->xs = xs_open(0);
	f->gntshr = xengntshr_open(NULL, 0);
	f->evtchn = xenevtchn_open(NULL, 0);
	if (!f->xs || !f->gntshr || !f->evtchn)
		return complain("cannot open the Xen devices");
	rc = share(f, backend, true, 1, &f->ref, &pages);
	if (rc)
		return rc;
	f->page = pages;
	rc = share(f, backend, true, FRONT_EXTRA, f->extra_refs, &pages);
	if (rc)
		return rc;
	f->extra = pages;
	rc = xenevtchn_bind_unbound_port(f->evtchn, backend);
	if (rc < 0)
		return complain("cannot make an event channel");
	f->port = (uint32_t)rc;
	return 0;
}

void front_close(struct front *f)
{
	if (f->evtchn)
		xenevtchn_close(f->evtchn);
	if (f->gntshr)
		xengntshr_close(f->gntshr);
	if (f->xs)
		xs_close(f->xs);
}

/* A folder that domain owner owns and domain reader reads. */
static int make_folder(struct front *f, const char *path, uint32_t owner, uint32_t reader)
{
	struct xs_permissions perms[] = {{owner, XS_PERM_NONE}, {reader, XS_PERM_READ}};

	if (!xs_mkdir(f->xs, XBT_NULL, path) ||
	    !xs_set_permissions(f->xs, XBT_NULL, path, perms, 2))
		return complain(path);
	return 0;
}

static void write_in(struct front *f, const char *folder, const char *name,
		     const char *value)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (!xs_write(f->xs, XBT_NULL, path, value, (unsigned int)strlen(value)))
		(void)complain(path);
}

void front_write(struct front *f, const char *name, const char *value)
{
	write_in(f, f->dir, name, value);
}

void front_write_number(struct front *f, const char *name, uint32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	front_write(f, name, text);
}

int front_create(struct front *f, const char *uuid)
{
	char path[96];
	int rc;

	/* Nodes that are there keep their owner and readers: those that a front left which
	 * was killed are another backend's to read. */
	xs_rm(f->xs, XBT_NULL, f->dir);
	snprintf(path, sizeof(path), "/local/domain/%u/backend/vtpm/0", f->backend);
	rc = make_folder(f, path, f->backend, 0);
	if (!rc)
		rc = make_folder(f, f->dir, 0, f->backend);
	if (!rc)
		rc = make_folder(f, f->leaf, f->backend, 0);
	if (rc)
		return rc;
	front_write(f, "backend", f->leaf);
	front_write_number(f, "backend-id", f->backend);
	front_write(f, "state", "1");
	write_in(f, f->leaf, "frontend", f->dir);
	write_in(f, f->leaf, "frontend-id", "0");
	write_in(f, f->leaf, "online", "1");
	write_in(f, f->leaf, "state", "1");
	write_in(f, f->leaf, "uuid", uuid); /* last: the backend waits for it */
	return 0;
}

int front_destroy(struct front *f)
{
	if (!front_backend_lives(f)) {
		xs_rm(f->xs, XBT_NULL, f->dir);
		return -ESRCH;
	}
	/* in this order: a state that is written after the leaf was removed would make
	 * the leaf again */
	write_in(f, f->leaf, "state", "5");
	write_in(f, f->leaf, "online", "0");
	xs_rm(f->xs, XBT_NULL, f->dir);
	return front_wait_state(f, 0, 10000) ? 0 : -ETIMEDOUT;
}

bool front_backend_lives(struct front *f)
{
	return xs_is_domain_introduced(f->xs, f->backend);
}

int front_backend_state(struct front *f)
{
	char path[160];
	unsigned int len;
	char *value;
	int state;

	snprintf(path, sizeof(path), "%s/state", f->leaf);
	value = xs_read(f->xs, XBT_NULL, path, &len);
	state = value ? atoi(value) : 0;
	free(value);
	return state;
}

bool front_wait_state(struct front *f, int state, unsigned int ms)
{
	for (unsigned int t = 0; t <= ms; t += 20) {
		if (front_backend_state(f) == state)
			return true;
		usleep(20000);
	}
	fprintf(stderr, "# backend state %d, wanted %d\n", front_backend_state(f), state);
	return false;
}

bool front_refused(struct front *f, const char *words, unsigned int ms)
{
	char path[160];
	unsigned int len;
	char *why;
	bool ok = front_wait_state(f, 0, ms);

	snprintf(path, sizeof(path), "%s/error", f->leaf);
	why = xs_read(f->xs, XBT_NULL, path, &len);
	if (!why || !strstr(why, words)) {
		fprintf(stderr, "# error: %s\n", why ? why : "none");
		ok = false;
	}
	free(why);
	xs_rm(f->xs, XBT_NULL, f->leaf);
	xs_rm(f->xs, XBT_NULL, f->dir);
	return ok;
}

int front_connect(struct front *f)
{
	front_write_number(f, "ring-ref", f->ref);
	front_write_number(f, "event-channel", f->port);
	front_write(f, "feature-protocol-v2", "1");
	front_write(f, "state", "3");
	if (!front_wait_state(f, 4, 10000))
		return -ETIMEDOUT;
	front_write(f, "state", "4");
	return 0;
}

void front_notify(struct front *f)
{
	(void)xenevtchn_notify(f->evtchn, f->port);
}

void front_submit(struct front *f, uint32_t length, uint8_t locality, uint8_t nr_extra)
{
	*(volatile uint32_t *)f->page = length;
	f->page[5] = locality;
	f->page[6] = 0;
	f->page[7] = nr_extra;
	/* Header and packet before SUBMIT; pairs with the backend's ring_take(). */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	f->page[4] = FRONT_SUBMIT;
	front_notify(f);
}

uint8_t front_state(const struct front *f)
{
	return f->page[4];
}

uint32_t front_length(const struct front *f)
{
	return *(const volatile uint32_t *)f->page;
}

static uint64_t front_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool front_wait_done(struct front *f, unsigned int ms)
{
	uint64_t until = front_now_ms() + ms;

	do {
		if (front_state(f) == FRONT_FINISH || front_state(f) == FRONT_IDLE)
			return true;
		usleep(200);
	} while (front_now_ms() <= until);
	return false;
}

uint32_t front_code(const struct front *f, uint8_t nr_extra)
{
	const volatile uint8_t *p = f->page + 8 + 4 * nr_extra;

	if (front_state(f) != FRONT_FINISH || front_length(f) < 10 || p[0] != 0x80)
		return UINT32_MAX;
	return (uint32_t)p[6] << 24 | (uint32_t)p[7] << 16 | (uint32_t)p[8] << 8 | p[9];
}
