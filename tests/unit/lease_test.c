/* SPDX-License-Identifier: Apache-2.0 */
/* When a manager of a pool may answer, against a vtpmd whose answers come late, or never, a
 * host that another one takes the vTPM from, and a clock of the test's. */
#include "tests/unit/unit.h"
#include "stubdom/manager/lease.h"

#include <errno.h>
#include <string.h>

/* The clock; when vtpmd gets the question, and when its answer comes, behind it. */
static int64_t now, to_vtpmd, to_manager;
/* Until when the host's lease lasts; another host claims the vTPM at that moment. */
static int64_t host_until;
static int refused; /* what vtpmd refuses with */
static unsigned int asked;
static int64_t stop_at,
	renewed_at; /* vtpmd says STOP then; vtpmd's host has a new lease */
static struct lease lease;

static int64_t fake_now(void *ctx)
{
	return now;
}

static int fake_renew(void *ctx, uint32_t *ms)
{
	asked++;
	now += to_vtpmd;
	if (renewed_at && now >= renewed_at)
		host_until = now + 1000;
	*ms = now < host_until ? (uint32_t)(host_until - now) : 0;
	now += to_manager;
	return refused;
}

static void fake_pause(void *ctx)
{
	now += 200;
}

static bool fake_stopped(void *ctx)
{
	return stop_at && now >= stop_at;
}

static const struct lease_env env = {NULL,	 fake_now,     fake_renew,
				     fake_pause, fake_stopped, NULL};

/* When the guard ends the manager; 0: it does not. */
static int64_t fires_at;
static unsigned int guard_calls;

static void fake_guard(void *ctx, uint32_t seconds)
{
	guard_calls++;
	fires_at = seconds ? now + (int64_t)seconds * 1000 : 0;
}

/* As the others, of a manager that is not to be ended while it asks, or waits. */
static int guarded_renew(void *ctx, uint32_t *ms)
{
	assert_int_equal(fires_at, 0);
	return fake_renew(ctx, ms);
}

static void guarded_pause(void *ctx)
{
	assert_int_equal(fires_at, 0);
	fake_pause(ctx);
}

static const struct lease_env guarded = {NULL,		fake_now,     guarded_renew,
					 guarded_pause, fake_stopped, fake_guard};

static int reset(void **state)
{
	now = 5000;
	to_vtpmd = to_manager = 0;
	host_until = 6000;
	refused = 0;
	asked = 0;
	stop_at = renewed_at = fires_at = 0;
	guard_calls = 0;
	lease = (struct lease){.needed = true};
	return 0;
}

/* An answer that is given now is given while the host has the vTPM. */
static void assert_answers(void)
{
	assert_int_equal(lease_await(&lease, &env), 0);
	assert_true(now < host_until);
}

static void a_folder_asks_nothing(void **state)
{
	lease.needed = false;
	refused = -ESTALE;
	assert_int_equal(lease_await(&lease, &env), 0);
	assert_int_equal(asked, 0);
}

static void asks_once_until_the_time_is_up(void **state)
{
	assert_answers();
	now = 5999;
	assert_answers();
	assert_int_equal(asked, 1);
	now = 6000;
	host_until = 7000;
	assert_answers();
	assert_int_equal(asked, 2);
}

/* vtpmd is stopped before it looks at its lease, or behind it, or the manager is, for each length
 * of time: nothing is answered behind the end of the lease. */
static void never_answers_behind_the_end(void **state)
{
	for (int64_t to = 0; to <= 1200; to += 100)
		for (int64_t back = 0; back <= 1200; back += 100)
			for (int64_t idle = 0; idle <= 1300; idle += 100) {
				reset(NULL);
				to_vtpmd = to;
				to_manager = back;
				stop_at = 30000;
				if (!lease_await(&lease, &env))
					assert_true(now < host_until);
				now += idle;
				if (!lease_await(&lease, &env))
					assert_true(now < host_until);
				else
					assert_true(now >= stop_at);
			}
}

static void waits_and_goes_on(void **state)
{
	now = 6000;
	renewed_at = 9000;
	assert_answers();
	assert_true(now >= 9000);
}

static void ends_when_it_is_refused(void **state)
{
	refused = -ESTALE;
	assert_int_equal(lease_await(&lease, &env), -ESTALE);
	/* also when the refusal names a time */
	assert_int_equal(lease.until_ms, 0);
	refused = -EPIPE;
	assert_int_equal(lease_await(&lease, &env), -EPIPE);
}

static void is_stopped_while_it_waits(void **state)
{
	now = 6000;
	stop_at = 8000;
	assert_int_equal(lease_await(&lease, &env), -ECANCELED);
	assert_true(now < 8400);
}

/* Of a domain that was restored where the clock is behind. */
static void a_clock_that_goes_back_ends_it(void **state)
{
	assert_answers();
	now = 10;
	host_until = 0;
	stop_at = 3000;
	assert_int_equal(lease_await(&lease, &env), -ECANCELED);
	assert_true(asked > 1);
}

/* What the host has of its lease is longer by a third, 1 s at least. */
static void assert_guarded(void)
{
	assert_true(fires_at > lease.until_ms);
	assert_true(fires_at <= lease.until_ms + LEASE_GUARD_SLACK_MS);
	assert_true(fires_at > now);
}

/* However long the manager stands still behind its look at the clock: it answers before the end
 * of the host's lease, or is ended, and no other host has the vTPM before that. */
static void a_guard_ends_what_would_answer_later(void **state)
{
	unsigned int answered = 0;

	for (int64_t left = 1; left <= 9000; left += 77)
		for (int64_t to = 0; to <= 600; to += 200) {
			reset(NULL);
			to_vtpmd = to_manager = to;
			host_until = now + 2 * to + left;
			stop_at = host_until + 5000;
			if (lease_await(&lease, &guarded)) {
				assert_int_equal(fires_at, 0);
				continue;
			}
			assert_guarded();
			assert_true(fires_at <= host_until + LEASE_GUARD_SLACK_MS);
			answered++;
			lease_rest(&lease, &guarded);
			assert_int_equal(fires_at, 0);
		}
	assert_true(answered > 400);
}

static void a_guard_is_lifted_while_it_waits(void **state)
{
	assert_int_equal(lease_await(&lease, &guarded), 0);
	assert_guarded();
	/* guarded_pause() and guarded_renew() look */
	now = 6000;
	renewed_at = 9000;
	assert_int_equal(lease_await(&lease, &guarded), 0);
	assert_guarded();
	now = host_until;
	stop_at = now + 1000;
	renewed_at = 0;
	assert_int_equal(lease_await(&lease, &guarded), -ECANCELED);
	assert_int_equal(fires_at, 0);
}

/* One that is about to end is asked for anew, once, so that there is time to lift the guard. */
static void a_short_lease_is_asked_for_anew(void **state)
{
	host_until = now + 10000;
	assert_int_equal(lease_await(&lease, &guarded), 0);
	now = host_until - LEASE_GUARD_LEFT_MS;
	assert_int_equal(lease_await(&lease, &guarded), 0);
	assert_int_equal(asked, 1);
	now++;
	host_until = now + 10000;
	assert_int_equal(lease_await(&lease, &guarded), 0);
	assert_int_equal(asked, 2);
	assert_true(fires_at > now + 10000);
	now = host_until - 100;
	assert_int_equal(lease_await(&lease, &guarded), 0);
	assert_int_equal(asked, 3);
	assert_guarded();
}

/* Two calls of Xen a command, and none when nothing was guarded. */
static void a_guard_costs_two_calls(void **state)
{
	host_until = now + 100000;
	for (int i = 0; i < 10; i++) {
		lease_rest(&lease, &guarded);
		assert_int_equal(lease_await(&lease, &guarded), 0);
	}
	lease_rest(&lease, &guarded);
	lease_rest(&lease, &guarded);
	assert_int_equal(guard_calls, 20);
	lease = (struct lease){.needed = false};
	assert_int_equal(lease_await(&lease, &guarded), 0);
	lease_rest(&lease, &guarded);
	assert_int_equal(guard_calls, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_folder_asks_nothing, reset),
		cmocka_unit_test_setup(asks_once_until_the_time_is_up, reset),
		cmocka_unit_test_setup(never_answers_behind_the_end, reset),
		cmocka_unit_test_setup(waits_and_goes_on, reset),
		cmocka_unit_test_setup(ends_when_it_is_refused, reset),
		cmocka_unit_test_setup(is_stopped_while_it_waits, reset),
		cmocka_unit_test_setup(a_clock_that_goes_back_ends_it, reset),
		cmocka_unit_test_setup(a_guard_ends_what_would_answer_later, reset),
		cmocka_unit_test_setup(a_guard_is_lifted_while_it_waits, reset),
		cmocka_unit_test_setup(a_short_lease_is_asked_for_anew, reset),
		cmocka_unit_test_setup(a_guard_costs_two_calls, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
