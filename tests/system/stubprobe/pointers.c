/* SPDX-License-Identifier: Apache-2.0 */
/* Bad pointers: to each call that takes one, then to everything at random. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <asm/prctl.h>
#include <linux/futex.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntalloc.h>
#include <xen/sys/gntdev.h>
#include "probe.h"

#define BAD	 (-12345L) /* stands for the bad pointer in the table */
#define EVTCHN	 (-1001L)  /* stand for open files */
#define GNTDEV	 (-1002L)
#define GNTALLOC (-1003L)
#define XENBUS	 (-1004L)
#define FIGURES	 (-1005L)
#define ASKED	 (-1006L) /* xenbus with an answer to be read */

static const char path[] = "/dev/null", self[] = "/proc/self/exe";
static const struct timespec moment = {.tv_nsec = 1};
static int files[6];
static char *read_only;

static const struct {
	const char *name;
	long number, a[5];
} calls[] = {
	{"read", SYS_read, {FIGURES, BAD, 8}},
	{"read of xenbus", SYS_read, {ASKED, BAD, 16}},
	{"write", SYS_write, {1, BAD, 8}},
	{"write to xenbus", SYS_write, {XENBUS, BAD, 16}},
	{"write to evtchn", SYS_write, {EVTCHN, BAD, 4}},
	{"readv", SYS_readv, {1, BAD, 1}},
	{"writev", SYS_writev, {1, BAD, 2}},
	{"open", SYS_open, {BAD, O_RDONLY}},
	{"openat", SYS_openat, {AT_FDCWD, BAD, O_RDONLY}},
	{"stat", SYS_stat, {BAD, BAD}},
	{"stat's result", SYS_stat, {(long)path, BAD}},
	{"lstat", SYS_lstat, {(long)path, BAD}},
	{"fstat", SYS_fstat, {1, BAD}},
	{"newfstatat", SYS_newfstatat, {AT_FDCWD, BAD, BAD, 0}},
	{"newfstatat's result", SYS_newfstatat, {AT_FDCWD, (long)path, BAD, 0}},
	{"access", SYS_access, {BAD, 0}},
	{"faccessat", SYS_faccessat, {AT_FDCWD, BAD, 0}},
	{"readlink", SYS_readlink, {BAD, BAD, 9}},
	{"readlink's result", SYS_readlink, {(long)self, BAD, 9}},
	{"readlinkat", SYS_readlinkat, {AT_FDCWD, (long)self, BAD, 9}},
	{"poll", SYS_poll, {BAD, 1, 0}},
	{"ppoll", SYS_ppoll, {BAD, 1, (long)&moment, 0, 8}},
	{"ppoll's time", SYS_ppoll, {0, 0, BAD, 0, 8}},
	{"time", SYS_time, {BAD}},
	{"gettimeofday", SYS_gettimeofday, {BAD, 0}},
	{"gettimeofday's zone", SYS_gettimeofday, {0, BAD}},
	{"clock_gettime", SYS_clock_gettime, {CLOCK_MONOTONIC, BAD}},
	{"clock_getres", SYS_clock_getres, {CLOCK_MONOTONIC, BAD}},
	{"nanosleep", SYS_nanosleep, {BAD, 0}},
	{"clock_nanosleep", SYS_clock_nanosleep, {CLOCK_MONOTONIC, 0, BAD, 0}},
	{"uname", SYS_uname, {BAD}},
	{"sysinfo", SYS_sysinfo, {BAD}},
	{"prlimit64's new", SYS_prlimit64, {0, 7, BAD, 0}},
	{"prlimit64's old", SYS_prlimit64, {0, 7, 0, BAD}},
	{"getrlimit", SYS_getrlimit, {7, BAD}},
	{"sched_getaffinity", SYS_sched_getaffinity, {0, 8, BAD}},
	{"getrandom", SYS_getrandom, {BAD, 8, 0}},
	{"arch_prctl", SYS_arch_prctl, {ARCH_GET_FS, BAD}},
	{"prctl", SYS_prctl, {PR_SET_NAME, BAD}},
	{"futex", SYS_futex, {BAD, FUTEX_WAIT, 0, 0}},
	{"rt_sigaction's new", SYS_rt_sigaction, {SIGTERM, BAD, 0, 8}},
	{"rt_sigaction's old", SYS_rt_sigaction, {SIGTERM, 0, BAD, 8}},
	{"rt_sigprocmask's new", SYS_rt_sigprocmask, {SIG_BLOCK, BAD, 0, 8}},
	{"rt_sigprocmask's old", SYS_rt_sigprocmask, {SIG_BLOCK, 0, BAD, 8}},
	{"sigaltstack's new", SYS_sigaltstack, {BAD, 0}},
	{"sigaltstack's old", SYS_sigaltstack, {0, BAD}},
	{"evtchn: interdomain", SYS_ioctl, {EVTCHN, IOCTL_EVTCHN_BIND_INTERDOMAIN, BAD}},
	{"evtchn: unbound", SYS_ioctl, {EVTCHN, IOCTL_EVTCHN_BIND_UNBOUND_PORT, BAD}},
	{"evtchn: unbind", SYS_ioctl, {EVTCHN, IOCTL_EVTCHN_UNBIND, BAD}},
	{"evtchn: notify", SYS_ioctl, {EVTCHN, IOCTL_EVTCHN_NOTIFY, BAD}},
	{"gntdev: map", SYS_ioctl, {GNTDEV, IOCTL_GNTDEV_MAP_GRANT_REF, BAD}},
	{"gntdev: unmap", SYS_ioctl, {GNTDEV, IOCTL_GNTDEV_UNMAP_GRANT_REF, BAD}},
	{"gntdev: offset", SYS_ioctl, {GNTDEV, IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, BAD}},
	{"gntdev: notify", SYS_ioctl, {GNTDEV, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, BAD}},
	{"gntalloc: alloc", SYS_ioctl, {GNTALLOC, IOCTL_GNTALLOC_ALLOC_GREF, BAD}},
	{"gntalloc: dealloc", SYS_ioctl, {GNTALLOC, IOCTL_GNTALLOC_DEALLOC_GREF, BAD}},
	{"gntalloc: notify", SYS_ioctl, {GNTALLOC, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, BAD}},
};

static const uint64_t bad[] = {
	1,
	0x1000,
	0x123456789000,
	0x7ffffffffffc,
	0x7fffffffeffe,
	0x800000000000,
	0x8000000000000000,
	0xffff7fffffffffff,
	0xffff800000000000,
	0xffff800000010000,
	0xffffffff80010000,
	0xffffffffc0001000,
	0xfffffffffffffff8,
	0xffffffffffffffff,
};

static long argument(long a, uint64_t pointer)
{
	if (a <= EVTCHN && a >= ASKED)
		return files[EVTCHN - a];
	return a == BAD ? (long)pointer : a;
}

static bool faults(size_t i, uint64_t pointer)
{
	long a[5], rc;

	for (int n = 0; n < 5; n++)
		a[n] = argument(calls[i].a[n], pointer);
	rc = syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4]);
	/* A word that is not aligned is refused before it is looked at. */
	if (rc == -1 &&
	    (errno == EFAULT ||
	     (errno == EINVAL && calls[i].number == SYS_futex && pointer % 4)))
		return true;
	probe_say("%s(%#lx): %ld, errno %d", calls[i].name, pointer, rc, errno);
	return false;
}

static void test_each(void)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		bool all = true;

		for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++)
			all &= faults(i, bad[n]);
		probe_ok(all, "%s: bad pointers are EFAULT", calls[i].name);
	}
}

/* Half of the buffer is there. */
static void test_edge(void)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	munmap(p + 4096, 4096);
	probe_ok(syscall(SYS_uname, p + 4096 - 16) == -1 && errno == EFAULT,
		 "a result over the edge of a mapping is EFAULT");
	memset(p, 'x', 4096);
	probe_ok(syscall(SYS_open, p + 4090, 0) == -1 && errno == EFAULT,
		 "a path over the edge is EFAULT");
	probe_ok(syscall(SYS_uname, (long)read_only) == -1 && errno == EFAULT,
		 "a result in constant memory is EFAULT");
	munmap(p, 4096);
}

static bool is_left_out(long number)
{
	return number == SYS_exit || number == SYS_exit_group || number == SYS_kill ||
	       number == SYS_tkill || number == SYS_tgkill || number == SYS_munmap ||
	       number == SYS_mprotect || number == SYS_brk || number == SYS_madvise ||
	       number == SYS_mremap || number == SYS_arch_prctl || number == SYS_close;
}

/* Everything with everything: nothing may break, whatever it answers. */
static void test_all(void)
{
	const size_t n = sizeof(bad) / sizeof(bad[0]);

	for (long number = 0; number < 450; number++)
		for (size_t i = 0; !is_left_out(number) && i < n; i++)
			(void)syscall(number, i % 3 ? bad[i] : (uint64_t)files[i % 5],
				      bad[(i + 1) % n], bad[(i + 5) % n],
				      bad[(i + 7) % n], bad[(i + 9) % n],
				      bad[(i + 11) % n]);
	probe_ok(true, "nonsense to every number from 0 to 449 breaks nothing");
	probe_ok(syscall(SYS_arch_prctl, ARCH_SET_FS, 1UL << 63) == -1 && errno == EPERM,
		 "a thread pointer that is not canonical is refused");
}

void probe_pointers(void)
{
	static const char *const names[] = {"/dev/xen/evtchn", "/dev/xen/gntdev",
					    "/dev/xen/gntalloc", "/dev/xen/xenbus",
					    "/proc/xen-stub"};
	bool open_all = true;
	int asked;

	for (size_t i = 0; i < 5; i++) {
		files[i] = open(names[i], O_RDWR | O_NONBLOCK);
		open_all &= files[i] >= 0;
	}
	asked = files[5] = open("/dev/xen/xenbus", O_RDWR | O_NONBLOCK);
	/* So that reading from xenbus has something to hand out: */
	(void)!write(asked, "\x02\0\0\0\x01\0\0\0\0\0\0\0\x06\0\0\0domid", 22);
	probe_ok(open_all, "the devices of /dev/xen open");
	probe_ok(poll(&(struct pollfd){.fd = asked, .events = POLLIN}, 1, 2000) == 1,
		 "xenstored answers");
	read_only = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	test_each();
	test_edge();
	test_all();
	munmap(read_only, 4096);
	for (size_t i = 0; i < 6; i++)
		close(files[i]);
}
