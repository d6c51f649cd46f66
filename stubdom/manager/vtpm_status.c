/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/vtpm_status.h"
#include "lib/cursor.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void vtpm_stub_read(struct vtpm_stub *s)
{
	char text[512];
	ssize_t n = -1;
	int fd = open("/proc/xen-stub", O_RDONLY | O_CLOEXEC);

	memset(s, 0, sizeof(*s));
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	s->known = sscanf(text,
			  "hypercalls %" SCNu64 "\nnotifications %" SCNu64
			  "\nuptime_ns %" SCNu64 "\nfree_kib %" SCNu64,
			  &s->hypercalls, &s->notifications, &s->uptime_ns,
			  &s->free_kib) == 4;
}

int vtpm_resident_open(void)
{
	return open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

uint64_t vtpm_resident_kib(int fd)
{
	char text[128];
	uint64_t pages;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return sscanf(text, "%*u %" SCNu64, &pages) == 1 ? pages * 4 : 0;
}

static void put_latency(struct cursor *w, const struct latency *l)
{
	size_t i;

	cursor_put_u16(w, STATUS_LATENCY);
	cursor_put_u32(w, 8 + 8 * LATENCY_BUCKETS);
	cursor_put_u64(w, l->sum_ns);
	for (i = 0; i < LATENCY_BUCKETS; i++)
		cursor_put_u64(w, l->count[i]);
}

static void put_status(struct cursor *w, uint16_t tag, uint64_t value)
{
	cursor_put_u16(w, tag);
	cursor_put_u32(w, 8);
	cursor_put_u64(w, value);
}

/* By CLOCK_MONOTONIC. */
static uint64_t ms_since(int64_t then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - then);
}

size_t vtpm_status_encode(const struct vtpm_status *s, uint8_t out[VTPM_STATUS_MAX])
{
	struct cursor w = cursor_writer(out, VTPM_STATUS_MAX);

	if (s->guest)
		put_status(&w, STATUS_GUEST_DOMID, s->guest_domid);
	put_status(&w, STATUS_COMMANDS, s->commands);
	put_status(&w, STATUS_REFUSED, s->refused);
	put_status(&w, STATUS_STATE_WRITES, s->writes);
	put_status(&w, STATUS_SEQ, s->seq);
	if (s->stub.known) {
		put_status(&w, STATUS_HYPERCALLS, s->stub.hypercalls);
		put_status(&w, STATUS_NOTIFICATIONS, s->stub.notifications);
		put_status(&w, STATUS_READY_NS, s->ready_ns);
		put_status(&w, STATUS_FREE_KIB, s->stub.free_kib);
	}
	put_status(&w, STATUS_UNLOCK_NS, s->unlock_ns);
	if (s->on)
		put_status(&w, STATUS_POWER_ON, s->on);
	put_status(&w, STATUS_UPTIME_NS, s->uptime_ns);
	put_status(&w, STATUS_CERTIFICATES, s->certs);
	if (s->resident_kib)
		put_status(&w, STATUS_RESIDENT_KIB, s->resident_kib);
	if (s->token.left_s) {
		put_status(&w, STATUS_TOKEN_S, (uint64_t)s->token.left_s);
		put_status(&w, STATUS_TOKEN_USED_MS, ms_since(s->token.used_ms));
	}
	if (s->latency)
		put_latency(&w, s->latency);
	return VTPM_STATUS_MAX - cursor_left(&w);
}

void latency_add(struct latency *l, uint64_t ns)
{
	unsigned int n = 0;

	while (n < LATENCY_BUCKETS - 1 && ns > (uint64_t)LATENCY_FIRST_NS << n)
		n++;
	l->count[n]++;
	l->sum_ns += ns;
}
