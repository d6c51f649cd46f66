/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include <poll.h>
#include <string.h>
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/time.h"
#include "stubdom/kernel/user.h"

/* Two files, each with an event channel.  Looking at the second one scans, as xenbus does. */
static bool pending, fired; /* the first file's event: with Xen, and taken */
static unsigned int sleeps, ticks;
uint64_t evtchn_taken;

bool evtchn_scan(void)
{
	bool any = pending;

	/* each pass is two scans: the event comes before the second one */
	if (++ticks == 2)
		pending = true;
	fired |= any;
	evtchn_taken += any;
	pending = pending && !any;
	return any;
}

void evtchn_wait_since(uint64_t seen, uint64_t until)
{
	assert_true(until == TIME_NEVER);
	if (evtchn_scan() || evtchn_taken != seen)
		return;
	sleeps++;
	assert_int_equal(sleeps, 1);
	/* The port is armed as long as its event was not taken. */
	assert_false(fired);
	pending = true;
	(void)evtchn_scan();
}

static unsigned int poll_first(struct file *f)
{
	return fired ? POLLIN : 0;
}

static unsigned int poll_second(struct file *f)
{
	(void)evtchn_scan();
	(void)evtchn_scan();
	return 0;
}

struct file *file_get(uint64_t fd)
{
	static const struct file_ops first = {.poll = poll_first},
				     second = {.poll = poll_second};
	static struct file files[] = {{.ops = &first}, {.ops = &second}};

	return fd < 2 ? &files[fd] : NULL;
}

int copy_from_user(void *to, uint64_t from, size_t n)
{
	memcpy(to, (const void *)from, n);
	return 0;
}

int copy_to_user(uint64_t to, const void *from, size_t n)
{
	memcpy((void *)to, from, n);
	return 0;
}

uint64_t time_now(void)
{
	return 0;
}

static long poll_both(struct pollfd set[2])
{
	set[0] = (struct pollfd){.fd = 0, .events = POLLIN};
	set[1] = (struct pollfd){.fd = 1, .events = POLLIN};
	fired = pending = false;
	sleeps = 0;
	return file_poll((uint64_t)set, 2, TIME_NEVER);
}

/* The event comes between the look at its file and the look at the next one. */
static void event_taken_by_the_next_file_ends_the_wait(void **state)
{
	struct pollfd set[2];

	ticks = 0;
	assert_int_equal(poll_both(set), 1);
	assert_int_equal(set[0].revents, POLLIN);
	assert_int_equal(set[1].revents, 0);
	assert_int_equal(sleeps, 0);
}

static void sleeps_until_an_event_comes(void **state)
{
	struct pollfd set[2];

	ticks = 100;
	assert_int_equal(poll_both(set), 1);
	assert_int_equal(set[0].revents, POLLIN);
	assert_int_equal(sleeps, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_taken_by_the_next_file_ends_the_wait),
		cmocka_unit_test(sleeps_until_an_event_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
