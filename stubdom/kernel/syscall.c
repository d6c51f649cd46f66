/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of Linux for x86-64 that a static program of one thread makes. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <asm/unistd.h>
#include "include/compiler.h"
#include "stubdom/kernel/clock.h"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/memory.h"
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/system.h"
#include "stubdom/kernel/trap.h"

#define NUMBERS	  512
#define FROM_ROOT 0 /* the folder for a path: every path that is known is whole */

struct call {
	unsigned int count; /* of arguments, plus one; 0: no such call */
	union {
		long (*none)(void);
		long (*one)(uint64_t);
		long (*two)(uint64_t, uint64_t);
		long (*three)(uint64_t, uint64_t, uint64_t);
		long (*four)(uint64_t, uint64_t, uint64_t, uint64_t);
		long (*six)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
	};
};

#define CALL0(f)                    \
	{                           \
		1,                  \
		{                   \
			.none = (f) \
		}                   \
	}
#define CALL1(f)                   \
	{                          \
		2,                 \
		{                  \
			.one = (f) \
		}                  \
	}
#define CALL2(f)                   \
	{                          \
		3,                 \
		{                  \
			.two = (f) \
		}                  \
	}
#define CALL3(f)                     \
	{                            \
		4,                   \
		{                    \
			.three = (f) \
		}                    \
	}
#define CALL4(f)                    \
	{                           \
		5,                  \
		{                   \
			.four = (f) \
		}                   \
	}
#define CALL6(f)                   \
	{                          \
		7,                 \
		{                  \
			.six = (f) \
		}                  \
	}

static long open_path(uint64_t path, uint64_t flags)
{
	return file_openat(FROM_ROOT, path, flags);
}

static long stat_path(uint64_t path, uint64_t to)
{
	return file_statat(FROM_ROOT, path, to, 0);
}

static long access_at(uint64_t dir, uint64_t path)
{
	return file_access(path);
}

static long readlink_at(uint64_t dir, uint64_t path, uint64_t to, uint64_t size)
{
	return file_readlink(path, to, size);
}

/* rseq(): the C library goes without it. */
static long not_here(void)
{
	return -ENOSYS;
}

static const struct call calls[NUMBERS] = {
	/* files */
	[__NR_read] = CALL3(file_read),
	[__NR_write] = CALL3(file_write),
	[__NR_readv] = CALL3(file_readv),
	[__NR_writev] = CALL3(file_writev),
	[__NR_open] = CALL2(open_path),
	[__NR_openat] = CALL3(file_openat),
	[__NR_close] = CALL1(file_close),
	[__NR_ioctl] = CALL3(file_ioctl),
	[__NR_fcntl] = CALL3(file_fcntl),
	[__NR_lseek] = CALL1(file_lseek),
	[__NR_stat] = CALL2(stat_path),
	[__NR_lstat] = CALL2(stat_path),
	[__NR_fstat] = CALL2(file_fstat),
	[__NR_newfstatat] = CALL4(file_statat),
	[__NR_access] = CALL1(file_access),
	[__NR_faccessat] = CALL2(access_at),
	[__NR_readlink] = CALL3(file_readlink),
	[__NR_readlinkat] = CALL4(readlink_at),
	[__NR_poll] = CALL3(clock_poll),
	[__NR_ppoll] = CALL4(clock_ppoll),
	/* memory */
	[__NR_mmap] = CALL6(memory_mmap),
	[__NR_munmap] = CALL2(memory_munmap),
	[__NR_mprotect] = CALL3(memory_mprotect),
	[__NR_mremap] = CALL4(memory_mremap),
	[__NR_madvise] = CALL3(memory_madvise),
	[__NR_brk] = CALL1(memory_brk),
	[__NR_mlock] = CALL0(system_zero), /* nothing is ever swapped out */
	[__NR_mlock2] = CALL0(system_zero),
	[__NR_mlockall] = CALL0(system_zero),
	[__NR_munlock] = CALL0(system_zero),
	/* time */
	[__NR_time] = CALL1(clock_time),
	[__NR_gettimeofday] = CALL2(clock_gettimeofday),
	[__NR_clock_gettime] = CALL2(clock_gettime),
	[__NR_clock_getres] = CALL2(clock_getres),
	[__NR_nanosleep] = CALL2(clock_sleep),
	[__NR_clock_nanosleep] = CALL4(clock_nanosleep),
	/* the program and the machine */
	[__NR_getpid] = CALL0(system_pid),
	[__NR_gettid] = CALL0(system_pid),
	[__NR_getppid] = CALL0(system_parent),
	[__NR_set_tid_address] = CALL0(system_pid),
	[__NR_set_robust_list] = CALL0(system_zero),
	[__NR_rseq] = CALL0(not_here),
	[__NR_getuid] = CALL0(system_zero),
	[__NR_geteuid] = CALL0(system_zero),
	[__NR_getgid] = CALL0(system_zero),
	[__NR_getegid] = CALL0(system_zero),
	[__NR_sched_yield] = CALL0(system_zero),
	[__NR_uname] = CALL1(system_uname),
	[__NR_sysinfo] = CALL1(system_sysinfo),
	[__NR_prlimit64] = CALL4(system_prlimit),
	[__NR_getrlimit] = CALL2(system_getrlimit),
	[__NR_sched_getaffinity] = CALL3(system_affinity),
	[__NR_getrandom] = CALL3(system_getrandom),
	[__NR_arch_prctl] = CALL2(system_arch_prctl),
	[__NR_prctl] = CALL3(system_prctl),
	[__NR_futex] = CALL4(system_futex),
	[__NR_rt_sigaction] = CALL4(system_sigaction),
	[__NR_rt_sigprocmask] = CALL4(system_sigmask),
	[__NR_sigaltstack] = CALL2(system_sigaltstack),
	[__NR_kill] = CALL2(system_kill),
	[__NR_tkill] = CALL2(system_kill),
	[__NR_tgkill] = CALL3(system_tgkill),
	[__NR_exit] = CALL1(system_exit),
	[__NR_exit_group] = CALL1(system_exit),
};

static bool reported[NUMBERS], reported_others;

/* Each number once: a program must not be able to fill dom0's log.  One that can be
 * no number may be anything that a program gone wild had in the register. */
static long unknown(uint64_t number)
{
	bool *known = number < NUMBERS ? &reported[number] : &reported_others;

	if (!*known && number < NUMBERS)
		print_line("system call %lu is not there: ENOSYS", number);
	else if (!*known)
		print_line("a system call above %d is not there: ENOSYS", NUMBERS - 1);
	*known = true;
	return -ENOSYS;
}

static long dispatch(const struct call *c, const struct trap_frame *f)
{
	switch (c->count) {
	case 1:
		return c->none();
	case 2:
		return c->one(f->rdi);
	case 3:
		return c->two(f->rdi, f->rsi);
	case 4:
		return c->three(f->rdi, f->rsi, f->rdx);
	case 5:
		return c->four(f->rdi, f->rsi, f->rdx, f->r10);
	default:
		return c->six(f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9);
	}
}

void syscall_entry(struct trap_frame *frame)
{
	uint64_t number = frame->rax;

	if (number >= NUMBERS || !calls[number].count)
		frame->rax = (uint64_t)unknown(number);
	else
		frame->rax = (uint64_t)dispatch(&calls[number], frame);
}
