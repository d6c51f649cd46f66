/* SPDX-License-Identifier: Apache-2.0 */
/* Which domains live, on a Xen that keeps some that were destroyed: a domain that maps
 * pages of another one, as two guests may agree to, keeps that one "dying" for as long as
 * it likes, while the next one with its uuid runs. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/work.h"
#include "tools/vtpmd/xen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenstore.h>

#define CRASHED \
	(XEN_DOMINF_shutdown | (uint32_t)SHUTDOWN_crash << XEN_DOMINF_shutdownshift)

#define DOMAINS	       4000
#define ENDS_QUESTIONS 5 /* that a domain's end costs among so many */
#define WATCHES	       3 /* of a stub domain */

static xc_domaininfo_t domains[DOMAINS];
static unsigned int count, questions, looks;
static int ends[2];
static const char *written; /* a node that a domain writes without end */
static char last_token[32]; /* of the last watch, which is that node's */
static char (*wrote)[32];   /* instead: of writers' watches, the last one first */
static unsigned int writers;

static uint64_t steps; /* blocks of xen.c and tree.c: unit.mk */

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
	steps++;
}

int access(const char *path, int mode)
{
	return 0;
}

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild,
				unsigned int flags)
{
	return (xc_interface *)&count;
}

int xc_interface_close(xc_interface *xc)
{
	return 0;
}

int xc_domain_getinfolist(xc_interface *xc, uint32_t first, unsigned int max,
			  xc_domaininfo_t *info)
{
	unsigned int n = 0;

	questions++;
	for (unsigned int i = 0; i < count && n < max; i++)
		if (domains[i].domain >= first)
			info[n++] = domains[i];
	return (int)n;
}

struct xs_handle *xs_open(unsigned long flags)
{
	return (struct xs_handle *)&count;
}

void xs_close(struct xs_handle *h)
{
}

int xs_fileno(struct xs_handle *h)
{
	return ends[0];
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	strcpy(last_token, token);
	return true;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
	return true;
}

/* A byte in the pipe is a domain's end. */
char **xs_check_watch(struct xs_handle *h)
{
	const char *path = written ? written : "@releaseDomain";
	char **event, byte;

	if (wrote ? !writers : !written && read(ends[0], &byte, 1) != 1)
		return NULL;
	event = malloc(2 * sizeof(*event) + strlen(path) + 1 + sizeof(last_token));
	event[XS_WATCH_PATH] = (char *)&event[2];
	strcpy(event[XS_WATCH_PATH], path);
	event[XS_WATCH_TOKEN] = event[XS_WATCH_PATH] + strlen(path) + 1;
	strcpy(event[XS_WATCH_TOKEN], wrote ? wrote[--writers] : last_token);
	return event;
}

static struct event_base *base;
static struct xen *xen;

static int setup(void **state)
{
	count = 0;
	written = NULL;
	base = event_base_new();
	if (event_base_priority_init(base, PRIORITIES))
		return -1;
	xen = !pipe2(ends, O_NONBLOCK) ? xen_open(base) : NULL;
	return !xen;
}

static int teardown(void **state)
{
	xen_close(xen);
	event_base_free(base);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static void add(domid_t domid, uint8_t who, uint32_t flags)
{
	domains[count] = (xc_domaininfo_t){.domain = domid, .flags = flags};
	memset(domains[count++].handle, who, 16);
}

static enum xen_domain find(uint8_t who, int *domid, const char **why)
{
	uint8_t uuid[16];

	memset(uuid, who, sizeof(uuid));
	return xen_find(xen, uuid, domid, why);
}

static void one_that_dies_hides_none_that_lives(void **state)
{
	const char *why;
	int domid;

	add(5, 1, XEN_DOMINF_dying);
	add(7, 1, XEN_DOMINF_running);
	add(8, 2, CRASHED);
	assert_int_equal(find(1, &domid, &why), XEN_DOMAIN_ALIVE);
	assert_int_equal(domid, 7);
	assert_int_equal(find(2, &domid, &why), XEN_DOMAIN_ENDED);
	assert_int_equal(domid, 8);
	assert_string_equal(why, "it crashed");
	assert_int_equal(find(3, &domid, &why), XEN_DOMAIN_GONE);
}

static void one_that_dies_is_gone(void **state)
{
	uint8_t uuid[16];
	const char *why;
	int domid;

	add(5, 1, CRASHED | XEN_DOMINF_dying);
	assert_int_equal(find(1, &domid, &why), XEN_DOMAIN_GONE);
	assert_string_equal(why, "it crashed");
	assert_int_equal(xen_uuid(xen, 5, uuid), -ENOENT);
	add(6, 2, 0);
	assert_int_equal(xen_uuid(xen, 4, uuid), -ENOENT);
	assert_int_equal(xen_uuid(xen, 6, uuid), 0);
	assert_int_equal(uuid[0], 2);
}

static void two_with_one_uuid(void **state)
{
	uint8_t uuid[16];

	memset(uuid, 1, sizeof(uuid));
	assert_true(xen_is_alone(xen, uuid)); /* domain 0 */
	add(5, 1, XEN_DOMINF_dying);
	add(6, 2, 0);
	add(7, 1, 0);
	assert_true(xen_is_alone(xen, uuid));
	add(8, 1, XEN_DOMINF_paused);
	assert_false(xen_is_alone(xen, uuid));
}

static void some_domain_ends(void)
{
	assert_int_equal(write(ends[1], "", 1), 1);
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
}

struct one {
	uint8_t who;
	struct one *ends; /* with it */
};

static void look(void *ctx)
{
	struct one *one = ctx;
	const char *why;
	uint8_t uuid[16];
	int domid;

	looks++;
	assert_int_equal(xen_uuid(xen, domains[count - 1].domain, uuid), 0);
	assert_memory_equal(uuid, domains[count - 1].handle, sizeof(uuid));
	assert_int_equal(xen_uuid(xen, domains[count - 1].domain + 1, uuid), -ENOENT);
	assert_int_equal(find(one->who, &domid, &why), XEN_DOMAIN_ALIVE);
	if (one->ends)
		xen_unwatch(xen, one->ends);
}

static void watch(struct one *one)
{
	for (unsigned int i = 0; i < WATCHES; i++)
		assert_int_equal(xen_watch(xen, "/local/domain/1/x", look, one), 0);
}

/* A guest that reboots in a loop does not have vtpmd ask Xen for all domains for each of
 * them, three times: with 1000 vTPMs that was millions of hypercalls each time. */
static void a_domains_end_costs_little(void **state)
{
	static struct one ones[DOMAINS];
	const unsigned int n = 300;

	for (unsigned int i = 0; i < DOMAINS; i++)
		add((domid_t)(i + 1), (uint8_t)(i % 200), 0);
	for (unsigned int i = 0; i < n; i++) {
		ones[i] = (struct one){.who = (uint8_t)(i % 200)};
		watch(&ones[i]);
	}
	questions = looks = 0;
	some_domain_ends();
	assert_int_equal(looks, n);
	print_message("# %u hypercalls for the end of one of %u domains\n", questions,
		      DOMAINS);
	assert_in_range(questions, 1, ENDS_QUESTIONS);
	/* and what happened since is asked for again */
	questions = 0;
	count--;
	some_domain_ends();
	assert_in_range(questions, 1, ENDS_QUESTIONS);
	for (unsigned int i = 0; i < n; i++)
		xen_unwatch(xen, &ones[i]);
}

static void look_shortly(void *ctx)
{
	const char *why;
	int domid;

	looks++;
	assert_int_equal(xen_find(xen, ctx, &domid, &why), XEN_DOMAIN_ALIVE);
}

/* Of n domains that are watched for: one ends, each writes a node of its own, and the watches
 * go.  How many steps of xen.c that takes. */
static uint64_t watch_all(unsigned int n)
{
	static char tokens[DOMAINS][sizeof(last_token)];
	uint64_t before;

	count = 0;
	for (unsigned int i = 0; i < n; i++) {
		add((domid_t)(i + 1), 0, 0);
		memcpy(domains[i].handle, &(uint32_t){i * 7919 % n}, 4);
	}
	before = steps;
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int j = 0; j < WATCHES; j++) {
			assert_int_equal(
				xen_watch(xen, "/x", look_shortly, domains[i].handle), 0);
			strcpy(tokens[i], last_token);
		}
	looks = 0;
	some_domain_ends();
	assert_int_equal(looks, n);
	written = "/x";
	wrote = tokens;
	writers = n;
	while (writers)
		some_domain_ends();
	written = NULL;
	wrote = NULL;
	assert_int_equal(looks, 2 * n);
	for (unsigned int i = 0; i < n; i++)
		xen_unwatch(xen, domains[i * 7919 % n].handle);
	before = steps - before;
	some_domain_ends();
	assert_int_equal(looks, 2 * n);
	return before;
}

/* Four times the domains are four times the steps, and a few more to find one: of the square
 * they would be 16 times. */
static void no_step_for_each_pair(void **state)
{
	uint64_t few = watch_all(DOMAINS / 4), many = watch_all(DOMAINS);

	print_message("# %llu steps for each of %u, %llu for each of %u\n",
		      (unsigned long long)few / (DOMAINS / 4), DOMAINS / 4,
		      (unsigned long long)many / DOMAINS, DOMAINS);
	assert_true(few > DOMAINS / 4);
	assert_true(many <= 6 * few);
}

static void one_takes_others_along(void **state)
{
	struct one a = {1, NULL}, b = {1, NULL}, c = {1, NULL};

	add(5, 1, 0);
	watch(&a);
	watch(&b);
	watch(&c); /* comes first */
	c.ends = &b;
	looks = 0;
	some_domain_ends();
	assert_int_equal(looks, 2);
	c.ends = &c;
	looks = 0;
	some_domain_ends();
	assert_int_equal(looks, 2);
	looks = 0;
	some_domain_ends();
	assert_int_equal(looks, 1);
	xen_unwatch(xen, &a);
}

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
	(*(unsigned int *)ctx)++;
}

static void on_operator(evutil_socket_t fd, short what, void *ctx)
{
	*(unsigned int *)ctx = looks;
}

/* A stub domain that its guest took over writes to a node of its own in a loop: other
 * managers have their turns, and the operator comes before all of them. */
static void a_domain_that_writes_without_end(void **state)
{
	const struct timeval now = {0};
	struct one one = {1, NULL};
	unsigned int turns = 0, before = 99;
	struct event *turn = evtimer_new(base, on_turn, &turns);
	struct event *operator= evtimer_new(base, on_operator, &before);

	add(5, 1, 0);
	watch(&one);
	written = "/local/domain/1/x";
	assert_int_equal(write(ends[1], "", 1), 1); /* readable from now on */
	priority_of_peers(turn);
	assert_int_equal(event_add(turn, &now), 0);
	assert_int_equal(event_add(operator, & now), 0);
	questions = looks = 0;
	alarm(10);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	alarm(0);
	assert_int_equal(before, 0);
	assert_int_equal(turns, 1);
	assert_in_range(looks, 1, 4 * WATCHES);
	assert_int_equal(questions, 1);
	/* but each end of a domain counts */
	written = NULL;
	questions = 0;
	some_domain_ends();
	some_domain_ends();
	assert_int_equal(questions, 2);
	event_free(turn);
	event_free(operator);
	xen_unwatch(xen, &one);
}

int main(void)
{
#define XEN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		XEN_TEST(one_that_dies_hides_none_that_lives),
		XEN_TEST(one_that_dies_is_gone),
		XEN_TEST(two_with_one_uuid),
		XEN_TEST(a_domains_end_costs_little),
		XEN_TEST(no_step_for_each_pair),
		XEN_TEST(one_takes_others_along),
		XEN_TEST(a_domain_that_writes_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
