/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chaos SEED: random system calls with random arguments, most of them nearly right, so
 * that mappings, devices and pointers of all kinds meet.  Whatever the kernel answers is
 * right here; it must not panic, and have all its memory when this ends (xen.c).
 *
 * Without a C library, whose memory would be unmapped; all state is in this image.
 */
#include <stddef.h>
#include <stdint.h>
#include <asm/ioctl.h>
#include <linux/mman.h>
#include <asm/unistd.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntalloc.h>
#include <xen/sys/gntdev.h>
#include "include/compiler.h"

#define CALLS	   30000
#define PAGE	   4096UL
#define SPACE	   0x10000000UL /* where addresses that nobody gave are */
#define USER_TOP   0x7ffffffff000UL
#define DIRECT	   0xffff800000000000UL
#define KERNEL	   0xffffffff80100000UL
#define FILES	   32
#define FILE_FIRST 3
#define MAPS	   16
#define NONE	   (-1UL)

void _start(void);
void chaos_main(const uint64_t *stack) __attribute__((noreturn));

/* In front of the buffer, over whose end the kernel writes when it is told to. */
#define BEFORE __attribute__((section(".data")))
static uint64_t state BEFORE = 1;
static uint64_t succeeded BEFORE;
static uint64_t maps[MAPS] BEFORE; /* addresses that mmap() and mremap() gave */
static unsigned int map_count BEFORE;
/* The stack that the kernel gave may be unmapped. */
uint8_t chaos_stack[4 * PAGE] BEFORE;
static uint8_t buffer[4 * PAGE] __attribute__((aligned(4096)));

static const char *const paths[] = {
	"/dev/xen/evtchn", "/dev/xen/gntdev", "/dev/xen/gntalloc", "/dev/xen/xenbus",
	"/dev/null",	   "/proc/xen-stub",  "/nowhere",	   "/proc/self/exe",
};

static const uint32_t requests[] = {
	IOCTL_EVTCHN_BIND_INTERDOMAIN,
	IOCTL_EVTCHN_BIND_UNBOUND_PORT,
	IOCTL_EVTCHN_UNBIND,
	IOCTL_EVTCHN_NOTIFY,
	IOCTL_EVTCHN_RESET,
	IOCTL_EVTCHN_RESTRICT_DOMID,
	IOCTL_GNTDEV_MAP_GRANT_REF,
	IOCTL_GNTDEV_UNMAP_GRANT_REF,
	IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR,
	IOCTL_GNTDEV_SET_UNMAP_NOTIFY,
	IOCTL_GNTDEV_MAP_GRANT_REF,
	IOCTL_GNTALLOC_ALLOC_GREF,
	IOCTL_GNTALLOC_DEALLOC_GREF,
	IOCTL_GNTALLOC_SET_UNMAP_NOTIFY,
	IOCTL_GNTALLOC_ALLOC_GREF,
};

/* Those that would end or stop the program, and those that have their own moves. */
static const uint16_t left_out[] = {
	__NR_exit,	__NR_exit_group, __NR_kill,   __NR_tkill,
	__NR_tgkill,	__NR_futex,	 __NR_poll,   __NR_ppoll,
	__NR_nanosleep, __NR_read,	 __NR_readv,  __NR_clock_nanosleep,
	__NR_write,	__NR_writev,	 __NR_munmap, __NR_mprotect,
	__NR_mmap,	__NR_brk,	 __NR_mremap, __NR_arch_prctl,
};

static long call(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
		 uint64_t f)
{
	register uint64_t r10 asm("r10") = d;
	register uint64_t r8 asm("r8") = e;
	register uint64_t r9 asm("r9") = f;
	long rc;

	asm volatile("syscall"
		     : "=a"(rc)
		     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	succeeded += rc >= 0;
	return rc;
}

/* xorshift64 */
static uint64_t pick(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

static uint64_t any(void)
{
	(void)pick(1);
	return state;
}

static void say(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	(void)call(__NR_write, 1, (uint64_t)text, n, 0, 0, 0);
}

/* A page's address: of a mapping, near one, or in SPACE. */
static uint64_t some_page(void)
{
	uint64_t at = map_count ? maps[pick(map_count)] : SPACE;

	switch (pick(8)) {
	case 0:
		return SPACE + pick(256) * PAGE;
	case 1:
		return SPACE + pick(256 * PAGE);
	case 2:
	case 3:
		return SPACE + pick(16) * PAGE;
	case 4:
		return at;
	default:
		return at + pick(8) * PAGE;
	}
}

static uint64_t some_pointer(void)
{
	switch (pick(16)) {
	case 0:
		return 0;
	case 1:
		return any();
	case 2:
		return USER_TOP - pick(64);
	case 3:
		return DIRECT + pick(0x2000000);
	case 4:
		return KERNEL + pick(0x50000);
	case 5:
	case 6:
		return some_page();
	default:
		return (uint64_t)buffer + pick(3 * PAGE);
	}
}

static uint64_t some_size(void)
{
	switch (pick(8)) {
	case 0:
		return pick(PAGE);
	case 1:
		return pick(16) * PAGE;
	case 2:
		return 0;
	case 3:
		return pick(1 << 25);
	case 4:
		return -pick(PAGE);
	default:
		return pick(64);
	}
}

static uint64_t some_pages(uint64_t most)
{
	return pick(6) ? (1 + pick(most)) * PAGE : some_size();
}

static uint64_t some_file(void)
{
	return pick(50) ? FILE_FIRST + pick(FILES) : any();
}

static uint64_t some_path(void)
{
	return pick(8) ? (uint64_t)paths[pick(ARRAY_SIZE(paths))] : some_pointer();
}

static void keep_map(long at)
{
	if (at <= 0)
		return;
	maps[map_count < MAPS ? map_count++ : pick(MAPS)] = (uint64_t)at;
}

/* Arguments that are pointed at: small numbers, and now and then anything. */
static void fill_buffer(void)
{
	uint64_t *words = (uint64_t *)buffer;

	for (int i = 0; i < 64; i++)
		words[pick(1024)] = pick(4) ? pick(64) : pick(2) ? some_pointer() : any();
}

static void move_open(void)
{
	(void)call(__NR_openat, -100, some_path(), 0x800 | pick(2) << 19, 0, 0, 0);
}

static void move_close(void)
{
	if (!pick(3))
		(void)call(__NR_close, some_file(), 0, 0, 0, 0, 0);
}

static void move_map(void)
{
	uint64_t at = pick(3) ? some_page() : 0, flags = MAP_PRIVATE | MAP_ANONYMOUS;

	if (!pick(7)) {
		keep_map(call(__NR_mmap, at, some_pages(24), pick(8), MAP_SHARED,
			      some_file(), pick(12) * PAGE));
		return;
	}
	flags |= pick(4) ? 0 : MAP_FIXED;
	flags |= pick(9) ? 0 : MAP_FIXED_NOREPLACE;
	keep_map(call(__NR_mmap, at, some_pages(24), pick(5) ? 3 : pick(9), flags, NONE,
		      0));
}

static void move_unmap(void)
{
	(void)call(__NR_munmap, some_page(), some_pages(8), 0, 0, 0, 0);
}

static void move_protect(void)
{
	(void)call(__NR_mprotect, some_page(), some_pages(8), pick(9), 0, 0, 0);
}

static void move_remap(void)
{
	keep_map(call(__NR_mremap, some_page(), some_pages(8), some_pages(30), pick(3), 0,
		      0));
}

static void move_advise(void)
{
	(void)call(__NR_madvise, some_page(), some_pages(8), pick(2) ? 4 : pick(20), 0, 0,
		   0);
}

static void move_break(void)
{
	uint64_t now = (uint64_t)call(__NR_brk, 0, 0, 0, 0, 0, 0);

	(void)call(__NR_brk, pick(20) ? now + pick(9) * 2048 - 8192 : any(), 0, 0, 0, 0,
		   0);
}

/* Not from or to the console, which would be all of the log. */
static void move_read(void)
{
	(void)call(__NR_read, some_file(), some_pointer(), some_size() % 70000, 0, 0, 0);
}

static void move_write(void)
{
	(void)call(__NR_write, FILE_FIRST + pick(FILES), some_pointer(),
		   some_size() % 5000, 0, 0, 0);
}

static void move_control(void)
{
	uint64_t request = pick(12) ? requests[pick(ARRAY_SIZE(requests))] : any();

	if (!pick(8))
		((uint32_t *)buffer)[pick(8)] = (uint32_t)pick(40);
	(void)call(__NR_ioctl, some_file(), request,
		   pick(6) ? (uint64_t)buffer + pick(64) * 8 : some_pointer(), 0, 0, 0);
}

static void move_poll(void)
{
	(void)call(__NR_poll, some_pointer(), pick(FILES + 2), 0, 0, 0, 0);
}

static void move_signals(void)
{
	(void)call(__NR_rt_sigaction, pick(70), some_pointer(), some_pointer(),
		   pick(3) ? 8 : any(), 0, 0);
	(void)call(__NR_rt_sigprocmask, pick(4), some_pointer(), some_pointer(), 8, 0, 0);
}

static void move_other(void)
{
	uint64_t number = pick(520);

	for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
		if (number == left_out[i])
			return;
	(void)call((long)number, pick(3) ? some_file() : some_pointer(), some_pointer(),
		   some_size(), some_pointer(), any(), any());
}

/* As often as each stands here. */
static void (*const moves[])(void) = {
	move_open,    move_open,    move_close,	  move_map,	move_map,
	move_map,     move_unmap,   move_unmap,	  move_protect, move_protect,
	move_remap,   move_remap,   move_advise,  move_break,	move_read,
	move_write,   move_control, move_control, move_control, move_control,
	move_control, move_poll,    move_signals, move_other,	move_other,
};

static void read_seed(const uint64_t *stack)
{
	const char *text = stack[0] > 1 ? (const char *)stack[2] : "";
	uint64_t seed = 0;

	for (; *text; text++)
		seed = seed * 10 + (uint64_t)(*text - '0');
	state = seed * 0x9e3779b97f4a7c15UL + 88172645463325252UL;
}

void chaos_main(const uint64_t *stack)
{
	read_seed(stack);
	for (int n = 0; n < CALLS; n++) {
		if (n % 64 == 0)
			fill_buffer();
		moves[pick(ARRAY_SIZE(moves))]();
	}
	say(succeeded > CALLS / 8 ? "chaos: to its end\n" : "chaos: most calls failed\n");
	(void)call(__NR_exit_group, 0, 0, 0, 0, 0, 0);
	__builtin_trap();
}

asm(".globl _start\n"
    "_start:\n"
    "	mov %rsp, %rdi\n"
    "	lea chaos_stack + 4 * 4096(%rip), %rsp\n"
    "	call chaos_main\n");
