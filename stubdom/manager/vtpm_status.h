/* SPDX-License-Identifier: Apache-2.0 */
/* The figures that a manager reports of itself and of its stub domain's kernel. */
#ifndef XVTPM_VTPM_STATUS_H
#define XVTPM_VTPM_STATUS_H

#include "include/channel.h"
#include "lib/kms.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long commands took: counts in buckets whose bounds double, so that a fixed few
 * hold microseconds and seconds alike.  Fits STATUS_LATENCY of include/channel.h. */

struct latency {
	uint64_t sum_ns;
	uint64_t count[LATENCY_BUCKETS];
};

void latency_add(struct latency *l, uint64_t ns);

#define VTPM_STATUS_MAX 512

/* What /proc/xen-stub says; known is false on other systems. */
struct vtpm_stub {
	bool known;
	uint64_t hypercalls, notifications, uptime_ns, free_kib;
};

struct vtpm_status {
	bool guest;
	uint32_t guest_domid;
	uint64_t commands, refused, writes, seq, ready_ns, unlock_ns, uptime_ns;
	uint64_t on;		       /* the TPM's power-on for a guest; 0: none */
	unsigned int certs;	       /* in the TPM's NV memory */
	uint64_t resident_kib;	       /* 0: not known */
	const struct latency *latency; /* NULL: none */
	struct kms_token token;
	struct vtpm_stub stub;
};

void vtpm_stub_read(struct vtpm_stub *s);
/* Opens this process's memory figures; -1: not available. */
int vtpm_resident_open(void);
/* That memory, in KiB; 0: not known. */
uint64_t vtpm_resident_kib(int fd);
/* As enum channel_status in include/channel.h; returns the length. */
size_t vtpm_status_encode(const struct vtpm_status *s, uint8_t out[VTPM_STATUS_MAX]);

#endif
