/* SPDX-License-Identifier: Apache-2.0 */
/* Grants and event channels: garbage is refused, and everything is used again. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntalloc.h>
#include <xen/sys/gntdev.h>
#include "probe.h"

#define PAGE   4096UL
#define ROUNDS 1000

static long bind_unbound(int fd, unsigned int domid)
{
	struct ioctl_evtchn_bind_unbound_port b = {.remote_domain = domid};

	return ioctl(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &b);
}

static long unbind(int fd, unsigned int port)
{
	struct ioctl_evtchn_unbind u = {.port = port};

	return ioctl(fd, IOCTL_EVTCHN_UNBIND, &u);
}

static long notify(int fd, unsigned int port)
{
	struct ioctl_evtchn_notify n = {.port = port};

	return ioctl(fd, IOCTL_EVTCHN_NOTIFY, &n);
}

static void test_events(void)
{
	int fd = open("/dev/xen/evtchn", O_RDWR | O_NONBLOCK), n = 0;
	struct ioctl_evtchn_bind_interdomain b = {.remote_domain = 0,
						  .remote_port = 4000};
	uint32_t garbage[4] = {0, 1, 4096, 0xffffffff}, port;
	long ports[64], rc;
	bool all = true;

	for (int i = 0; i < 4; i++)
		all &= notify(fd, garbage[i]) == -1 && unbind(fd, garbage[i]) == -1;
	probe_ok(all, "ports that are not ours, the kernel's among them, are refused");
	probe_ok(ioctl(fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &b) == -1,
		 "a remote port that is not ours");
	b.remote_domain = 0xffffffff;
	probe_ok(ioctl(fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &b) == -1 &&
			 bind_unbound(fd, 0x12345) == -1,
		 "domains that cannot be");
	probe_ok(write(fd, garbage, sizeof(garbage)) == sizeof(garbage),
		 "unmasking what is not ours does nothing");
	probe_ok(read(fd, &port, 4) == -1 && errno == EAGAIN, "no event: EAGAIN");
	probe_ok(ioctl(fd, 0x12345678, &b) == -1, "an unknown ioctl");
	while (n < 64 && (ports[n] = bind_unbound(fd, 0)) > 0)
		n++;
	probe_ok(n > 32, "%d ports at once, then errno %d", n, errno);
	close(fd);
	fd = open("/dev/xen/evtchn", O_RDWR | O_NONBLOCK);
	for (n = 0; n < ROUNDS; n++) {
		rc = bind_unbound(fd, 0);
		if (rc <= 0 || unbind(fd, (unsigned int)rc))
			break;
	}
	probe_ok(n == ROUNDS, "ports are used again: %d rounds", n);
	close(fd);
}

/* One page for dom0, and its reference. */
static int share(int fd, uint32_t *ref, uint64_t *index)
{
	struct ioctl_gntalloc_alloc_gref a = {
		.domid = 0, .flags = GNTALLOC_FLAG_WRITABLE, .count = 1};

	if (ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &a))
		return -1;
	*ref = a.gref_ids[0];
	*index = a.index;
	return 0;
}

static int unshare(int fd, uint64_t index)
{
	struct ioctl_gntalloc_dealloc_gref d = {.index = index, .count = 1};

	return ioctl(fd, IOCTL_GNTALLOC_DEALLOC_GREF, &d);
}

static void test_shares(void)
{
	int fd = open("/dev/xen/gntalloc", O_RDWR), n;
	struct ioctl_gntalloc_alloc_gref a = {.count = 0xffff};
	uint64_t index;
	uint32_t ref;
	char *p;

	probe_ok(ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &a) == -1, "65535 pages: refused");
	a.count = 0;
	probe_ok(ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &a) == -1, "no page: refused");
	probe_ok(unshare(fd, 0x123000) == -1, "a page that is not there");
	for (n = 0; n < ROUNDS; n++) {
		if (share(fd, &ref, &index))
			break;
		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 (off_t)index);
		if (p == MAP_FAILED || p[0])
			break;
		memset(p, 0xee, PAGE);
		if (munmap(p, PAGE) || unshare(fd, index))
			break;
	}
	probe_ok(n == ROUNDS, "references are used again, their pages zero: %d rounds",
		 n);
	probe_ok(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0x7000000) == MAP_FAILED,
		 "a mapping of nothing");
	probe_ok(!share(fd, &ref, &index), "one is left to close()");
	close(fd);
}

static long map_grants(int fd, uint32_t domid, uint32_t ref, uint32_t count, uint64_t *at)
{
	static union {
		struct ioctl_gntdev_map_grant_ref head;
		char room[4096];
	} m;
	struct ioctl_gntdev_grant_ref r = {.domid = domid};
	const size_t first = offsetof(struct ioctl_gntdev_map_grant_ref, refs);
	long rc;

	m.head.count = count;
	for (uint32_t i = 0; i < 64; i++) {
		r.ref = ref + i;
		memcpy(m.room + first + i * sizeof(r), &r, sizeof(r));
	}
	rc = ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &m);
	*at = m.head.index;
	return rc;
}

static void test_maps(void)
{
	static const uint32_t refs[] = {0, 7, 500, 511, 512, 0x7fffffff, 0xffffffff};
	int fd = open("/dev/xen/gntdev", O_RDWR);
	struct ioctl_gntdev_unmap_grant_ref u = {.count = 1};
	uint64_t at = 0;
	bool all = true;

	probe_ok(map_grants(fd, 0, 1, 0, &at) == -1, "no reference: refused");
	probe_ok(map_grants(fd, 0, 1, 0xffffffff, &at) == -1, "2^32 - 1: refused");
	probe_ok(map_grants(fd, 0x7ff5, 1, 1, &at) == -1, "a domain that cannot be");
	for (int round = 0; round < 200; round++)
		for (size_t i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
			if (map_grants(fd, 0, refs[i], 1 + (uint32_t)i * 9, &at))
				continue;
			u.index = at;
			u.count = 1 + (uint32_t)i * 9;
			all &= mmap(NULL, PAGE * u.count, PROT_READ | PROT_WRITE,
				    MAP_SHARED, fd, (off_t)at) == MAP_FAILED;
			all &= !ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &u);
		}
	probe_ok(all, "references that dom0 never gave do not map, 1400 times");
	u.index = 0x9999000;
	probe_ok(ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &u) == -1, "unmap of nothing");
	close(fd);
}

void probe_devices(void)
{
	struct probe_figures a = {0}, b = {0};

	(void)probe_figures(&a);
	test_events();
	test_shares();
	test_maps();
	(void)probe_figures(&b);
	probe_ok(b.free_kib + 16 >= a.free_kib, "no memory is lost: %lu, %lu KiB",
		 a.free_kib, b.free_kib);
}
