/* SPDX-License-Identifier: Apache-2.0 */
/* Threads beside the event loop: order of one key, others beside it, an orderly end. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/work.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANY 200

struct piece {
	struct work work;
	int number;
	int again; /* how often it is added from done() */
};

static struct event_base *base;
static struct piece pieces[MANY];
static int keys[MANY];
static atomic_int held, at_once, most_at_once, order_of_runs[MANY], runs;
static int dones, order_of_dones[MANY];
static pthread_t loop;

static void run(struct work *w)
{
	struct piece *p = (struct piece *)w;
	int now = ++at_once;

	assert_false(pthread_equal(pthread_self(), loop));
	if (now > most_at_once)
		most_at_once = now;
	while (held && p->number == 0)
		usleep(1000);
	usleep((useconds_t)(p->number % 7) * 50);
	order_of_runs[runs++ % MANY] = p->number;
	at_once--;
}

static void done(struct work *w)
{
	struct piece *p = (struct piece *)w;

	assert_true(pthread_equal(pthread_self(), loop));
	order_of_dones[dones++ % MANY] = p->number;
	if (p->again-- > 0)
		work_add(w);
}

static void add(int n, const void *key)
{
	pieces[n] = (struct piece){
		.work = {.key = key, .run = run, .done = done},
		.number = n,
	};
	work_add(&pieces[n].work);
}

static void until(int n)
{
	int i;

	for (i = 0; i < 5000 && dones < n; i++) {
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	assert_int_equal(dones, n);
}

static int setup(void **state)
{
	held = at_once = most_at_once = runs = dones = 0;
	loop = pthread_self();
	base = event_base_new();
	return work_init(base);
}

static int teardown(void **state)
{
	work_end();
	event_base_free(base);
	return 0;
}

static void those_of_a_key_in_their_order(void **state)
{
	int i;

	for (i = 0; i < MANY; i++)
		add(i, keys);
	until(MANY);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(order_of_runs[i], i);
		assert_int_equal(order_of_dones[i], i);
	}
	assert_int_equal(most_at_once, 1);
}

static void one_that_hangs_holds_up_its_own_key_alone(void **state)
{
	int i;

	held = 1;
	add(0, &keys[0]);
	add(1, &keys[0]);
	for (i = 2; i < MANY; i++)
		add(i, &keys[i]);
	until(MANY - 2);
	held = 0;
	until(MANY);
	assert_int_equal(order_of_dones[MANY - 2], 0);
	assert_int_equal(order_of_dones[MANY - 1], 1);
}

static void added_again_when_it_is_done(void **state)
{
	add(0, &keys[0]);
	pieces[0].again = 2;
	until(3);
}

static void the_end_waits_for_all(void **state)
{
	int i;

	for (i = 0; i < MANY; i++)
		add(i, &keys[i % 3]);
	work_end();
	assert_int_equal(dones, MANY);
	assert_int_equal(work_init(base), 0);
	add(0, keys);
	until(MANY + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(those_of_a_key_in_their_order, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_that_hangs_holds_up_its_own_key_alone,
						setup, teardown),
		cmocka_unit_test_setup_teardown(added_again_when_it_is_done, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_end_waits_for_all, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
