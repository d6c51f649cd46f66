/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <asm/prctl.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sysinfo.h>
#include <linux/utsname.h>
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/memory.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/process.h"
#include "stubdom/kernel/random.h"
#include "stubdom/kernel/system.h"
#include "stubdom/kernel/text.h"
#include "stubdom/kernel/time.h"
#include "stubdom/kernel/user.h"
#include "stubdom/kernel/x86.h"

#define PID	    1
#define PIECE	    256
#define RANDOM_MAX  0x1ffffff /* as Linux bounds one getrandom() */
#define CPU_SET_MIN 8

long system_pid(void)
{
	return PID;
}

long system_parent(void)
{
	return 0;
}

long system_zero(void)
{
	return 0;
}

long system_exit(uint64_t status)
{
	process_exit((int)(status & 0xff));
}

long system_uname(uint64_t to)
{
	/* A release that the C library is content with. */
	static const struct new_utsname name = {
		.sysname = "Linux",
		.nodename = "vtpm-stubdom",
		.release = "5.10.0-xen-vtpm",
		.version = "#1",
		.machine = "x86_64",
		.domainname = "(none)",
	};

	return copy_to_user(to, &name, sizeof(name));
}

long system_sysinfo(uint64_t to)
{
	struct sysinfo info = {
		.uptime = (long)(process_uptime() / TIME_SECOND),
		.totalram = page_count_total(),
		.freeram = page_count_free(),
		.procs = 1,
		.mem_unit = PAGE_SIZE,
	};

	return copy_to_user(to, &info, sizeof(info));
}

static struct rlimit64 limit_of(uint64_t which)
{
	if (which == RLIMIT_STACK)
		return (struct rlimit64){MEMORY_STACK_MAX, MEMORY_STACK_MAX};
	if (which == RLIMIT_NOFILE)
		return (struct rlimit64){FILE_MAX, FILE_MAX};
	if (which == RLIMIT_CORE)
		return (struct rlimit64){0, 0};
	return (struct rlimit64){RLIM64_INFINITY, RLIM64_INFINITY};
}

/* Accepts a new limit without keeping it: none of them could be reached. */
long system_prlimit(uint64_t pid, uint64_t which, uint64_t new, uint64_t old)
{
	struct rlimit64 limit;
	int rc;

	if (pid && pid != PID)
		return -ESRCH;
	if (which >= RLIM_NLIMITS)
		return -EINVAL;
	rc = new ? copy_from_user(&limit, new, sizeof(limit)) : 0;
	if (rc || !old)
		return rc;
	limit = limit_of(which);
	return copy_to_user(old, &limit, sizeof(limit));
}

long system_getrlimit(uint64_t which, uint64_t to)
{
	struct rlimit64 limit = limit_of(which);

	if (which >= RLIM_NLIMITS)
		return -EINVAL;
	return copy_to_user(to, &limit, sizeof(limit));
}

long system_affinity(uint64_t pid, uint64_t size, uint64_t to)
{
	uint64_t one = 1;
	int rc;

	if (pid && pid != PID)
		return -ESRCH;
	if (size < CPU_SET_MIN || size % CPU_SET_MIN)
		return -EINVAL;
	rc = copy_to_user(to, &one, sizeof(one));
	return rc ? rc : CPU_SET_MIN;
}

long system_getrandom(uint64_t to, uint64_t n, uint64_t flags)
{
	char piece[PIECE];
	uint64_t done = 0;
	int rc = 0;

	if (flags & ~7ULL)
		return -EINVAL;
	if (n > RANDOM_MAX)
		n = RANDOM_MAX;
	while (!rc && done < n) {
		size_t part = n - done < sizeof(piece) ? n - done : sizeof(piece);

		random_bytes(piece, part);
		rc = copy_to_user(to + done, piece, part);
		if (!rc)
			done += part;
	}
	memset(piece, 0, sizeof(piece));
	asm volatile("" ::"r"(piece) : "memory");
	return done || !rc ? (long)done : rc;
}

/* The thread pointer; an address that is not canonical would be #GP in here. */
long system_arch_prctl(uint64_t code, uint64_t address)
{
	uint64_t now;

	switch (code) {
	case ARCH_SET_FS:
		if (address >= LAYOUT_USER_TOP)
			return -EPERM;
		x86_wrmsr(X86_MSR_FS, address);
		return 0;
	case ARCH_GET_FS:
		now = x86_rdmsr(X86_MSR_FS);
		return copy_to_user(address, &now, sizeof(now));
	default:
		return -EINVAL;
	}
}

long system_prctl(uint64_t option, uint64_t a, uint64_t b)
{
	char name[16];

	switch (option) {
	case PR_SET_NAME:
		return copy_from_user(name, a, 1);
	case PR_SET_DUMPABLE:
	case PR_SET_NO_NEW_PRIVS:
		return 0;
	case PR_GET_DUMPABLE:
		return 0; /* there is nowhere to dump it to */
	default:
		return -EINVAL;
	}
}
