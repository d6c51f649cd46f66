/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the place of stubdom/kernel/hypercall.c, and with it of Xen, so that the stub
 * domain's kernel runs on a bare machine of QEMU's, whose processor has SMAP, SMEP and
 * UMIP.  The console is QEMU's debug console, the end is its debug exit; xenstored gives
 * each message back; peers and events are always there and never say anything.
 *
 * Where the program lets go of all, the page tables are checked, and what the kernel has
 * given out is asked back.
 */
#include <errno.h>
#include <stdbool.h>
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/xs_wire.h>
#include <xen/sched.h>
#include "stubdom/kernel/hypercall.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/memory.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/trap.h"
#include "stubdom/kernel/x86.h"

#define DEBUG_CONSOLE 0xe9
#define DEBUG_EXIT    0xf4
#define STORE_PORT    1
#define FIRST_PORT    8
#define PORTS_END     4096
#define ENTRIES	      512
#define PRESENT	      1
#define ADDRESS	      0x000ffffffffff000ULL
#define FLAGS_PROGRAM (0x40000 | 0x400 | 0x200) /* AC, DF, IF: off in the kernel */
#define RAM_PAGES     32768 /* 128 MiB, more than tests/host/smap gives */

uint64_t hypercall_count;

static uint8_t shared_page[PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t grant_page[PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t store_page[PAGE_SIZE] __attribute__((aligned(4096)));
static uint64_t seen[RAM_PAGES / 64]; /* pages that the program's tables show */
static uint32_t last_port = FIRST_PORT - 1;

static void out(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static uint64_t physical(const void *at)
{
	return (uint64_t)at - LAYOUT_KERNEL;
}

void hypercall_init(void)
{
}

static void raise_event(uint32_t port)
{
	struct shared_info *shared = (struct shared_info *)shared_page;

	shared->evtchn_pending[port / 64] |= 1UL << port % 64;
}

static void echo_store(void)
{
	volatile struct xenstore_domain_interface *s = (void *)store_page;

	while (s->req_cons != s->req_prod &&
	       s->rsp_prod - s->rsp_cons < XENSTORE_RING_SIZE) {
		s->rsp[s->rsp_prod % XENSTORE_RING_SIZE] =
			s->req[s->req_cons % XENSTORE_RING_SIZE];
		s->req_cons++;
		s->rsp_prod++;
	}
	raise_event(STORE_PORT);
}

static long next_port(uint32_t *port)
{
	last_port = last_port + 1 < PORTS_END ? last_port + 1 : FIRST_PORT;
	*port = last_port;
	return 0;
}

static long event_channel(uint64_t op, void *arg)
{
	switch (op) {
	case EVTCHNOP_alloc_unbound:
		return next_port(&((struct evtchn_alloc_unbound *)arg)->port);
	case EVTCHNOP_bind_interdomain:
		return next_port(&((struct evtchn_bind_interdomain *)arg)->local_port);
	case EVTCHNOP_send:
		if (((struct evtchn_send *)arg)->port == STORE_PORT)
			echo_store();
		return 0;
	default:
		return 0;
	}
}

/* Every fourth reference is refused. */
static long grant_table(uint64_t op, void *arg)
{
	struct gnttab_map_grant_ref *map = arg;

	if (op == GNTTABOP_map_grant_ref)
		map->status = map->ref % 4 == 3 ? GNTST_bad_gntref : GNTST_okay;
	else if (op == GNTTABOP_unmap_grant_ref)
		((struct gnttab_unmap_grant_ref *)arg)->status = GNTST_okay;
	return 0;
}

static long get_param(struct xen_hvm_param *param)
{
	if (param->index == HVM_PARAM_STORE_PFN)
		param->value = physical(store_page) / PAGE_SIZE;
	else if (param->index == HVM_PARAM_STORE_EVTCHN)
		param->value = STORE_PORT;
	else
		param->value = 0;
	return 0;
}

static void end(unsigned int reason)
{
	out(DEBUG_EXIT, (uint8_t)reason);
	for (;;)
		asm volatile("hlt");
}

/* Two timers, as Xen has them.  The counter has a nanosecond a tick; what is due is seen at the
 * next call. */
static uint64_t watchdogs[2];

static long set_watchdog(const struct sched_watchdog *w)
{
	uint64_t due = x86_rdtsc() + w->timeout * 1000000000UL;
	uint32_t n = w->id;

	if (n > 2 || (n && !watchdogs[n - 1]))
		return -EINVAL;
	if (n) {
		watchdogs[n - 1] = w->timeout ? due : 0;
		return 0;
	}
	while (n < 2 && watchdogs[n])
		n++;
	if (n == 2)
		return -ENOSPC;
	watchdogs[n] = due;
	return n + 1;
}

static void look_at_watchdogs(void)
{
	for (unsigned int i = 0; i < 2; i++)
		if (watchdogs[i] && x86_rdtsc() >= watchdogs[i])
			end(SHUTDOWN_watchdog);
}

static long sched_op(uint64_t op, const void *arg)
{
	if (op == SCHEDOP_shutdown)
		end(((const struct sched_shutdown *)arg)->reason);
	return op == SCHEDOP_watchdog ? set_watchdog(arg) : 0;
}

long hypercall_call(unsigned int number, uint64_t a, uint64_t b, uint64_t c)
{
	hypercall_count++;
	look_at_watchdogs();
	switch (number) {
	case __HYPERVISOR_console_io:
		for (uint64_t i = 0; i < b; i++)
			out(DEBUG_CONSOLE, ((const uint8_t *)c)[i]);
		return 0;
	case __HYPERVISOR_sched_op:
		return sched_op(a, (const void *)b);
	case __HYPERVISOR_event_channel_op:
		return event_channel(a, (void *)b);
	case __HYPERVISOR_grant_table_op:
		return grant_table(a, (void *)b);
	case __HYPERVISOR_hvm_op:
		return get_param((struct xen_hvm_param *)b);
	default:
		return 0;
	}
}

/* The linker leads calls of these here (--wrap). */
void __real_map_fixed(unsigned int n, uint64_t pa);
void __wrap_map_fixed(unsigned int n, uint64_t pa);
void __real_file_close_all(void);
void __wrap_file_close_all(void);
void __real_syscall_entry(struct trap_frame *frame);
void __wrap_syscall_entry(struct trap_frame *frame);
void __real_trap_exception(struct trap_frame *frame);
void __wrap_trap_exception(struct trap_frame *frame);

/* The program's flags, AC above all, must not be in force in the kernel. */
static void check_flags(void)
{
	uint64_t flags;

	asm volatile("pushfq; pop %0" : "=r"(flags));
	if (flags & FLAGS_PROGRAM)
		panic("the kernel runs with flags %lx", flags);
}

void __wrap_syscall_entry(struct trap_frame *frame)
{
	check_flags();
	__real_syscall_entry(frame);
}

void __wrap_trap_exception(struct trap_frame *frame)
{
	check_flags();
	__real_trap_exception(frame);
}

/* Nothing is at the frames where Xen would put its pages. */
void __wrap_map_fixed(unsigned int n, uint64_t pa)
{
	struct shared_info *shared = (struct shared_info *)shared_page;

	if (n == LAYOUT_SHARED_INFO) {
		/* One nanosecond a tick, as TCG's counter has it; 2020-09-13. */
		shared->vcpu_info[0].time.tsc_to_system_mul = ~0U;
		shared->wc_sec = 1600000001;
		pa = physical(shared_page);
	} else if (n == LAYOUT_GRANT_TABLE) {
		pa = physical(grant_page);
	}
	__real_map_fixed(n, pa);
}

static void see_page(uint64_t va, uint64_t pa)
{
	uint64_t n = pa / PAGE_SIZE, bit = 1UL << n % 64;

	if (n >= RAM_PAGES)
		return; /* a peer's */
	if (seen[n / 64] & bit)
		panic("page %lx is shown twice, at %lx too", pa, va);
	seen[n / 64] |= bit;
}

/* Returns how many tables there are; level 3 is the top table's lower half. */
static uint64_t walk(const uint64_t *table, unsigned int level, uint64_t base)
{
	uint64_t tables = 0;

	for (unsigned int i = 0; i < (level == 3 ? ENTRIES / 2 : ENTRIES); i++) {
		uint64_t va = base | (uint64_t)i << (12 + 9 * level);
		uint64_t pa = table[i] & ADDRESS;

		if (!table[i])
			continue;
		see_page(va, pa);
		if (level)
			tables += 1 + walk(page_address(pa), level - 1, va);
	}
	return tables;
}

static uint64_t check_tables(void)
{
	map_check();
	for (unsigned int i = 0; i < RAM_PAGES / 64; i++)
		seen[i] = 0;
	return walk(page_address(x86_read_cr3() & ADDRESS), 3, 0);
}

void __wrap_file_close_all(void)
{
	struct region *r;
	uint64_t tables;

	(void)check_tables();
	__real_file_close_all();
	(void)check_tables();
	while ((r = region_entry(0)))
		if (memory_munmap(r->start, r->end - r->start))
			panic("the region at %lx cannot be unmapped", r->start);
	tables = check_tables();
	print_line("the page tables are right, %lu pages are back",
		   page_count_free() + tables);
}
