/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that succeed, and numbers that are not there. */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include "probe.h"

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void test_unknown(void)
{
	static const long numbers[] = {
		SYS_socket,	  SYS_clone, SYS_execve, SYS_fork, SYS_ptrace,
		SYS_rt_sigreturn, 511,	     512,	 1L << 40, -1};
	bool all = true;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		all &= syscall(numbers[i], 0, 0, 0, 0, 0, 0) == -1 && errno == ENOSYS;
	probe_ok(all, "unknown system calls: ENOSYS");
}

static void test_time(void)
{
	uint64_t a = now(CLOCK_MONOTONIC), b, last;
	struct timespec span = {.tv_nsec = 20000000};
	bool forward = true;

	probe_ok(!nanosleep(&span, NULL), "nanosleep of 20 ms");
	b = now(CLOCK_MONOTONIC);
	probe_ok(b - a >= 20000000 && b - a < 2000000000, "took %lu us", (b - a) / 1000);
	probe_ok(poll(NULL, 0, 10) == 0, "poll without files waits");
	probe_ok(now(CLOCK_MONOTONIC) - b >= 10000000, "for as long as it was told");
	probe_ok(now(CLOCK_REALTIME) > 1600000000UL * 1000000000,
		 "it is %lu seconds since 1970", now(CLOCK_REALTIME) / 1000000000);
	last = now(CLOCK_MONOTONIC);
	for (int i = 0; i < 2000; i++) {
		b = now(CLOCK_MONOTONIC);
		forward &= b >= last;
		last = b;
	}
	probe_ok(forward, "the clock never goes back");
}

static void test_random(void)
{
	unsigned char a[4096], b[4096];
	unsigned int ones = 0;

	probe_ok(getrandom(a, sizeof(a), 0) == sizeof(a) &&
			 getrandom(b, sizeof(b), GRND_NONBLOCK) == sizeof(b),
		 "getrandom fills");
	for (size_t i = 0; i < sizeof(a); i++)
		ones += (unsigned int)__builtin_popcount(a[i]);
	probe_ok(memcmp(a, b, sizeof(a)) && ones > 15900 && ones < 16900,
		 "with what looks random: %u of 32768 bits are set", ones);
}

static void test_files(void)
{
	struct pollfd p[2] = {{.fd = 1, .events = POLLOUT}, {.fd = 77, .events = POLLIN}};
	struct utsname name;
	struct stat st;
	char text[64] = {0};
	int fd, n = 0, last = -1;

	probe_ok(open("/etc/passwd", O_RDONLY) == -1 && errno == ENOENT,
		 "no other files");
	probe_ok(read(0, text, 8) == 0, "standard input is empty");
	probe_ok(!fstat(1, &st) && S_ISCHR(st.st_mode), "standard output is a device");
	probe_ok(poll(p, 2, -1) == 2 && p[0].revents == POLLOUT &&
			 p[1].revents == POLLNVAL,
		 "poll tells what is writable and what is not open");
	while ((fd = open("/dev/null", O_RDWR)) >= 0) {
		last = fd;
		n++;
	}
	probe_ok(errno == EMFILE && n > 16, "open ends with EMFILE after %d", n);
	for (; last > 2; last--)
		close(last);
	probe_ok(close(5) == -1 && errno == EBADF && close(-1) == -1, "close of nothing");
	fd = open("/dev/xen/xenbus", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	probe_ok(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) == FD_CLOEXEC &&
			 !fcntl(fd, F_SETFL, 0) && !(fcntl(fd, F_GETFL) & O_NONBLOCK),
		 "fcntl");
	close(fd);
	probe_ok(!uname(&name) && !strcmp(name.sysname, "Linux"), "uname: %s %s",
		 name.sysname, name.release);
	probe_ok(readlink("/proc/self/exe", text, sizeof(text)) > 0, "it is %s", text);
}

static void test_cost(void)
{
	struct probe_figures a, b;
	struct pollfd p = {.fd = 1, .events = POLLIN};

	(void)probe_figures(&a);
	for (int i = 0; i < 100; i++) {
		(void)poll(&p, 1, 0);
		(void)now(CLOCK_MONOTONIC);
	}
	(void)probe_figures(&b);
	probe_ok(b.hypercalls == a.hypercalls, "polling and clocks cost no hypercall");
	probe_ok(b.uptime_ns > a.uptime_ns, "the uptime grows");
}

/* Whatever the processor has: nothing may depend on state that is not switched. */
static void test_vectors(void)
{
	uint32_t a, b, c, d;

	__cpuid(1, a, b, c, d);
	probe_ok(!(c & bit_OSXSAVE), "no program is offered AVX; the processor %s it",
		 c & bit_AVX ? "has" : "lacks");
}

/* Each is lifted long before it fires. */
static void test_watchdog(void)
{
	const uint32_t long_time[2] = {3600, 0}, none = 0;
	const void *volatile nowhere = NULL;
	int fd = open("/dev/xen/watchdog", O_WRONLY), n;

	probe_ok(fd >= 0, "there is a watchdog");
	probe_ok(write(fd, &none, sizeof(none)) == sizeof(none),
		 "one that does not run is lifted");
	probe_ok(write(fd, long_time, 3) == -1 && errno == EINVAL &&
			 write(fd, long_time, sizeof(long_time)) == -1 &&
			 errno == EINVAL && write(fd, nowhere, sizeof(none)) == -1 &&
			 errno == EFAULT,
		 "what is no number of seconds is refused");
	for (n = 0; n < 100; n++)
		if (write(fd, long_time, sizeof(*long_time)) != sizeof(*long_time) ||
		    write(fd, long_time, sizeof(*long_time)) != sizeof(*long_time) ||
		    write(fd, &none, sizeof(none)) != sizeof(none))
			break;
	probe_ok(n == 100, "it is set, set again and lifted: %d times", n);
	close(fd);
}

void probe_calls(void)
{
	test_watchdog();
	test_vectors();
	test_unknown();
	test_time();
	test_random();
	test_files();
	test_cost();
}
