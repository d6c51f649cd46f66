/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/kernel/platform.h"
#include "stubdom/kernel/time.h"
#include "stubdom/kernel/x86.h"

static uint64_t latest;

static uint64_t scale(uint64_t ticks, int8_t shift, uint32_t factor)
{
	ticks = shift < 0 ? ticks >> -shift : ticks << shift;
	return (uint64_t)((unsigned __int128)ticks * factor >> 32);
}

/* Xen makes the version odd while it writes. */
static struct vcpu_time_info read_info(void)
{
	volatile struct vcpu_time_info *shared = &platform_shared->vcpu_info[0].time;
	struct vcpu_time_info copy;

	do {
		copy.version = shared->version;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		copy.tsc_timestamp = shared->tsc_timestamp;
		copy.system_time = shared->system_time;
		copy.tsc_to_system_mul = shared->tsc_to_system_mul;
		copy.tsc_shift = shared->tsc_shift;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (copy.version & 1 || copy.version != shared->version);
	return copy;
}

/* The domain's counter began at 0, perhaps after Xen took its timestamp, which then
 * is "negative": the difference is what has a sign. */
uint64_t time_at(uint64_t tsc)
{
	struct vcpu_time_info t = read_info();
	int64_t ticks = (int64_t)(tsc - t.tsc_timestamp);

	if (ticks >= 0)
		return t.system_time +
		       scale((uint64_t)ticks, t.tsc_shift, t.tsc_to_system_mul);
	return t.system_time - scale((uint64_t)-ticks, t.tsc_shift, t.tsc_to_system_mul);
}

uint64_t time_now(void)
{
	uint64_t now;

	if (!platform_shared)
		return 0;
	now = time_at(x86_rdtsc());
	if (now > latest)
		latest = now;
	return latest;
}

uint64_t time_of_day(void)
{
	uint32_t version, sec, nsec;
	uint64_t high;

	do {
		version = platform_shared->wc_version;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		sec = platform_shared->wc_sec;
		nsec = platform_shared->wc_nsec;
		high = platform_shared->wc_sec_hi;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (version & 1 || version != platform_shared->wc_version);
	return (high << 32 | sec) * TIME_SECOND + nsec + time_now();
}
