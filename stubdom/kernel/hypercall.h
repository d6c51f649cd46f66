/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to Xen.  Each is counted: the figure of hypercalls per TPM command. */
#ifndef STUB_HYPERCALL_H
#define STUB_HYPERCALL_H

#include <stdint.h>
#include <xen/xen.h>

extern uint64_t hypercall_count;

/* Finds Xen's CPUID leaves and has the hypercall page filled in. */
void hypercall_init(void);

long hypercall_call(unsigned int number, uint64_t a, uint64_t b, uint64_t c);

static inline long hypercall_sched(int op, void *arg)
{
	return hypercall_call(__HYPERVISOR_sched_op, (uint64_t)op, (uint64_t)arg, 0);
}

static inline long hypercall_evtchn(int op, void *arg)
{
	return hypercall_call(__HYPERVISOR_event_channel_op, (uint64_t)op, (uint64_t)arg,
			      0);
}

static inline long hypercall_memory(int op, void *arg)
{
	return hypercall_call(__HYPERVISOR_memory_op, (uint64_t)op, (uint64_t)arg, 0);
}

static inline long hypercall_grant(int op, void *arg, unsigned int count)
{
	return hypercall_call(__HYPERVISOR_grant_table_op, (uint64_t)op, (uint64_t)arg,
			      count);
}

static inline long hypercall_hvm(int op, void *arg)
{
	return hypercall_call(__HYPERVISOR_hvm_op, (uint64_t)op, (uint64_t)arg, 0);
}

/* Xen's own log, for what goes wrong before the console is there. */
static inline long hypercall_log(const char *text, uint64_t len)
{
	return hypercall_call(__HYPERVISOR_console_io, 0 /* CONSOLEIO_write */, len,
			      (uint64_t)text);
}

#endif
