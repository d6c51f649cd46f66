/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "include/channel.h"
#include "lib/channel.h"
#include "stubdom/manager/vtpm_status.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define TAGS 18

static uint8_t out[VTPM_STATUS_MAX];
static uint64_t seen[TAGS];
static unsigned int count;

static void decode(const struct vtpm_status *s)
{
	struct channel_tlv t;
	struct cursor c = cursor_reader(out, vtpm_status_encode(s, out));

	memset(seen, 0xff, sizeof(seen));
	count = 0;
	while (channel_tlv_next(&c, &t)) {
		assert_true(t.tag < TAGS);
		count++;
		if (t.tag == STATUS_LATENCY) {
			seen[t.tag] = cursor_left(&t.value);
			continue;
		}
		seen[t.tag] = cursor_u64(&t.value);
		assert_true(cursor_done(&t.value));
	}
	assert_true(cursor_done(&c));
}

static void everything(void **state)
{
	const struct latency l = {1, {1, UINT64_MAX}};
	struct timespec now;
	struct vtpm_status s = {
		.guest = true,
		.uptime_ns = 12,
		.certs = 4,
		.resident_kib = 13,
		.latency = &l,
		.on = 4711,
		.guest_domid = 7,
		.commands = 1,
		.refused = 2,
		.writes = 3,
		.seq = UINT64_MAX - 1,
		.ready_ns = 5,
		.unlock_ns = 6,
		.stub = {true, 8, 9, 10, 11},
	};

	clock_gettime(CLOCK_MONOTONIC, &now);
	s.token = (struct kms_token){2764800, (int64_t)now.tv_sec * 1000 - 3000};
	decode(&s);
	assert_int_equal(count, 17);
	assert_int_equal(seen[STATUS_CERTIFICATES], 4);
	assert_int_equal(seen[STATUS_UPTIME_NS], 12);
	assert_int_equal(seen[STATUS_RESIDENT_KIB], 13);
	assert_int_equal(seen[STATUS_LATENCY], 8 + 8 * LATENCY_BUCKETS);
	assert_int_equal(seen[STATUS_POWER_ON], 4711);
	assert_int_equal(seen[STATUS_GUEST_DOMID], 7);
	assert_int_equal(seen[STATUS_COMMANDS], 1);
	assert_int_equal(seen[STATUS_REFUSED], 2);
	assert_int_equal(seen[STATUS_STATE_WRITES], 3);
	assert_int_equal(seen[STATUS_SEQ], UINT64_MAX - 1);
	assert_int_equal(seen[STATUS_HYPERCALLS], 8);
	assert_int_equal(seen[STATUS_NOTIFICATIONS], 9);
	assert_int_equal(seen[STATUS_READY_NS], 5);
	assert_int_equal(seen[STATUS_UNLOCK_NS], 6);
	assert_int_equal(seen[STATUS_FREE_KIB], 11);
	assert_int_equal(seen[STATUS_TOKEN_S], 2764800);
	assert_in_range(seen[STATUS_TOKEN_USED_MS], 3000, 9000);
}

/* No guest, no stub domain: such figures are absent, not zero. */
static void what_is_not_there(void **state)
{
	struct vtpm_status s = {.guest_domid = 7};
	int fd = vtpm_resident_open();

	vtpm_stub_read(&s.stub);
	assert_false(s.stub.known);
	decode(&s);
	assert_int_equal(count, 7);
	assert_int_equal(seen[STATUS_RESIDENT_KIB], UINT64_MAX);
	/* from the one file, again and again */
	assert_true(vtpm_resident_kib(fd) > 100);
	assert_true(vtpm_resident_kib(fd) > 100);
	assert_int_equal(vtpm_resident_kib(-1), 0);
	close(fd);
	assert_int_equal(seen[STATUS_GUEST_DOMID], UINT64_MAX);
	assert_int_equal(seen[STATUS_HYPERCALLS], UINT64_MAX);
	assert_int_equal(seen[STATUS_COMMANDS], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything),
		cmocka_unit_test(what_is_not_there),
	};

	return cmocka_run_group_tests_name("vtpm_status", tests, NULL, NULL);
}
