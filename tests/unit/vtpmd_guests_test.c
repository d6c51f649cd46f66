/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a TPM is started again for a domain that comes, on a Xen whose domains the test
 * makes, ends and renames: numbers come back, domains do not. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/guests.h"
#include "tools/vtpmd/launch.h"
#include "tools/vtpmd/xen.h"
#include "lib/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define DOMAINS 40

static struct domain {
	bool lives;
	uint8_t uuid[16];
	char name[48];
} domains[DOMAINS];

static const uint8_t vtpm[16] = {0xf0};
static uint8_t list[MEASURE_MAX], measured[400];
static char folder[] = "/tmp/guests-unit.XXXXXX";
static struct guests guests;
static struct guests_place place;
static struct guests_verdict verdict;
static int lock = -1;
static uint64_t on; /* the manager's */

int xen_uuid(struct xen *x, uint32_t domid, uint8_t uuid[16])
{
	if (domid >= DOMAINS || !domains[domid].lives)
		return -ENOENT;
	memcpy(uuid, domains[domid].uuid, 16);
	return 0;
}

bool xen_is_alone(struct xen *x, const uint8_t uuid[16])
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < DOMAINS; i++)
		count += domains[i].lives && !memcmp(domains[i].uuid, uuid, 16);
	return count == 1;
}

int xen_read(struct xen *x, const char *path, char *out, size_t room)
{
	unsigned int domid;

	if (sscanf(path, "/local/domain/%u/name", &domid) != 1 || domid >= DOMAINS ||
	    !domains[domid].name[0])
		return -ENOENT;
	snprintf(out, room, "%s", domains[domid].name);
	return 0;
}

static void starts(uint32_t domid, uint8_t who, const char *name)
{
	struct domain *d = &domains[domid];

	d->lives = true;
	memset(d->uuid, who, sizeof(d->uuid));
	strcpy(d->name, name);
}

/* Xen's @releaseDomain follows. */
static void ends(uint32_t domid)
{
	domains[domid].lives = false;
	guests_released(&guests);
}

/* What the manager does with the answer. */
static int comes_with(uint32_t domid, enum guests_served served)
{
	struct cursor w = cursor_writer(list, sizeof(list));
	int rc = guests_judge(&guests, domid, on, served, &verdict, &w);

	assert_true(!rc == !verdict.why);
	if (!rc && verdict.what == CHANNEL_GUEST_NEW)
		assert_int_not_equal(verdict.on, on);
	else if (!rc)
		assert_int_equal(verdict.on, on);
	if (!rc)
		on = verdict.on;
	return rc;
}

static int comes(uint32_t domid)
{
	return comes_with(domid, GUESTS_ALL);
}

static void is(uint32_t domid, enum channel_guest what)
{
	assert_int_equal(comes(domid), 0);
	assert_int_equal(verdict.what, what);
}

static void another_vtpmd(void)
{
	memset(&guests, 0xff, sizeof(guests));
	guests_load(&guests, &place);
}

/* Domain of the uuid who is launched with the vTPM; its xl has the lock. */
static void launch(uint8_t who)
{
	static const uint8_t digests[MEASURE_DIGESTS];
	struct measure_event e = {4, MEASURE_EV_IPL, digests, (const uint8_t *)"k", 1};
	struct cursor w = cursor_writer(measured, sizeof(measured));
	struct launch l = {.vtpms = 1};
	char name[LAUNCH_NAME_SIZE];

	measure_put(&w, &e);
	memset(l.domain, who, sizeof(l.domain));
	memcpy(l.vtpm[0], vtpm, sizeof(vtpm));
	l.list = measured;
	l.len = w.pos;
	assert_int_equal(launch_keep(place.run_dir, &l), 0);
	launch_name(l.domain, name);
	lock = openat(place.run_dir, name, O_RDONLY);
	assert_int_equal(flock(lock, LOCK_SH | LOCK_NB), 0);
}

static void xl_ends(void)
{
	if (lock >= 0)
		close(lock);
	lock = -1;
}

static int setup(void **state)
{
	static int any;

	memset(domains, 0, sizeof(domains));
	memset(&guests, 0, sizeof(guests));
	on = 0;
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	place.xen = (struct xen *)&any;
	place.vtpm = vtpm;
	place.run_dir = mkdtemp(folder) ? open(folder, O_RDONLY | O_DIRECTORY) : -1;
	guests.at = place;
	return place.run_dir < 0;
}

static int teardown(void **state)
{
	char command[64];

	xl_ends();
	close(place.run_dir);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static void one_domain_has_one_power_on(void **state)
{
	starts(5, 1, "a");
	is(5, CHANNEL_GUEST_NEW);
	for (int i = 0; i < 40; i++)
		is(5, CHANNEL_GUEST_SAME);
	another_vtpmd();
	is(5, CHANNEL_GUEST_SAME);
	ends(5);
	starts(6, 1, "a"); /* it rebooted */
	is(6, CHANNEL_GUEST_NEW);
}

/* vtpmd dies when it has kept what it judged, and the manager did not get the answer. */
static void answer_is_lost(uint32_t domid, enum guests_served served)
{
	uint64_t before = on;

	assert_int_equal(comes_with(domid, served), 0);
	on = before;
	another_vtpmd();
}

static void a_lost_answer_is_given_again(void **state)
{
	uint64_t lost, first;

	on = 77; /* the manager drew it */
	starts(5, 1, "a");
	answer_is_lost(5, GUESTS_ALL);
	answer_is_lost(5, GUESTS_ALL);
	lost = verdict.on;
	is(5, CHANNEL_GUEST_NEW);
	assert_int_not_equal(on, lost);
	is(5, CHANNEL_GUEST_SAME);
	assert_int_equal(guests.count, 1);
	first = on;
	on = lost; /* of an answer that nobody got */
	assert_int_equal(comes(5), -EPERM);
	on = 78; /* the stub domain was restarted while the guest ran */
	assert_int_equal(comes(5), -EPERM);
	on = first;
	is(5, CHANNEL_GUEST_SAME);
}

static void a_lost_answer_is_the_last_guests(void **state)
{
	on = 77;
	starts(5, 1, "a");
	starts(6, 2, "b");
	answer_is_lost(5, GUESTS_ALL);
	answer_is_lost(6, GUESTS_ALL); /* another comes before it asks again */
	assert_int_equal(comes(5), -EPERM);
	is(6, CHANNEL_GUEST_NEW);
	assert_int_equal(guests.count, 2);
	ends(6);
	/* a manager that has no number cannot say which guest it started for */
	on = 0;
	starts(7, 3, "c");
	answer_is_lost(7, GUESTS_ALL);
	assert_int_equal(comes(7), -EPERM);
	assert_non_null(strstr(verdict.why, "reboot"));
}

/* With its measurements, which are asked for again. */
static void a_lost_answer_measures_again(void **state)
{
	on = 77;
	launch(1);
	starts(5, 1, "a");
	answer_is_lost(5, GUESTS_MEASURED);
	is(5, CHANNEL_GUEST_NEW);
	assert_true(verdict.measured);
	ends(5);
	starts(6, 1, "a");
	answer_is_lost(6, GUESTS_MEASURED);
	xl_ends();
	assert_int_equal(comes_with(6, GUESTS_MEASURED), -EPERM);
}

static void the_last_ones_number_is_not_the_last_one(void **state)
{
	starts(5, 1, "a");
	is(5, CHANNEL_GUEST_NEW);
	domains[5].lives = false; /* vtpmd heard of nothing in between */
	starts(5, 2, "b");
	is(5, CHANNEL_GUEST_NEW);
	ends(5);
	starts(5, 2, "b"); /* the same uuid and number, another life */
	is(5, CHANNEL_GUEST_NEW);
}

static void a_living_domain_gets_no_second_power_on(void **state)
{
	starts(5, 1, "a");
	starts(6, 2, "b");
	is(5, CHANNEL_GUEST_NEW);
	is(6, CHANNEL_GUEST_NEW);
	assert_int_equal(comes(5), -EPERM);
	assert_non_null(strstr(verdict.why, "reboot"));
	another_vtpmd();
	assert_int_equal(comes(5), -EPERM);
	is(6, CHANNEL_GUEST_SAME);
	ends(5);
	starts(7, 1, "a");
	is(7, CHANNEL_GUEST_NEW);
	assert_int_equal(comes(6), -EPERM);
	on = 0; /* the stub domain was restarted */
	assert_int_equal(comes(7), -EPERM);
	ends(7);
	starts(8, 1, "a");
	is(8, CHANNEL_GUEST_NEW);
}

static void no_domain_no_power_on(void **state)
{
	assert_int_equal(comes(5), -ENOENT);
	assert_int_equal(comes(4000000000), -ENOENT);
	starts(5, 1, ""); /* without a name nobody knows whether it comes in */
	assert_int_equal(comes(5), -EPERM);
	for (uint32_t i = 0; i < GUESTS_MAX; i++) {
		starts(5 + i, (uint8_t)(1 + i), "a");
		is(5 + i, CHANNEL_GUEST_NEW);
	}
	starts(30, 30, "a");
	assert_int_equal(comes(30), -EPERM);
	ends(7);
	is(30, CHANNEL_GUEST_NEW);
}

static void who_comes_in_by_migration_is_refused(void **state)
{
	starts(5, 1, "web1--incoming");
	assert_int_equal(comes(5), -EPERM);
	assert_non_null(strstr(verdict.why, "xl migrate"));
	starts(6, 2, "--incoming");
	assert_int_equal(comes(6), -EPERM);
	starts(7, 3, "web1--incoming2");
	is(7, CHANNEL_GUEST_NEW);
	starts(5, 1, "web1"); /* it never had it, so it may */
	is(5, CHANNEL_GUEST_NEW);
}

/* All but the one that comes along waits. */
static void who_comes_with_its_vtpm_goes_on(void **state)
{
	uint8_t one[16];
	uint64_t own = on = 4711; /* the manager's, which has started no guest */

	memset(one, 1, sizeof(one));
	guests_arrive(&guests, true, one);
	starts(4, 2, "web2--incoming");
	assert_int_equal(comes(4), -EPERM);
	starts(5, 1, "web1"); /* one of the same file, that was started here */
	assert_int_equal(comes(5), -EBUSY);
	assert_non_null(strstr(verdict.why, "another host"));
	strcpy(domains[5].name, "web1--incoming");
	assert_int_equal(comes_with(5, GUESTS_MEASURED), 0);
	assert_int_equal(verdict.what, CHANNEL_GUEST_RESUMED);
	assert_false(verdict.measured);
	is(5, CHANNEL_GUEST_SAME);
	starts(6, 1, "web1--incoming"); /* a second one of that uuid */
	assert_int_equal(comes(6), -EPERM);
	ends(6);
	guests_arrive(&guests, false, NULL);
	strcpy(domains[5].name, "web1");
	is(5, CHANNEL_GUEST_SAME);
	assert_int_equal(on, own);
	ends(5);
	starts(7, 1, "web1"); /* its reboot */
	is(7, CHANNEL_GUEST_NEW);
	starts(8, 3, "db1--incoming"); /* nothing is announced any more */
	assert_int_equal(comes(8), -EPERM);
}

static void a_vtpm_comes_without_a_guest(void **state)
{
	guests_arrive(&guests, true, NULL);
	starts(5, 1, "web1--incoming");
	assert_int_equal(comes(5), -EPERM);
	starts(6, 2, "web2");
	assert_int_equal(comes(6), -EBUSY);
	guests_arrive(&guests, false, NULL);
	is(6, CHANNEL_GUEST_NEW);
}

static void only_measured_ones(void **state)
{
	starts(5, 1, "a");
	assert_int_equal(comes_with(5, GUESTS_MEASURED_UNTIL_STOPPED), -EPERM);
	assert_non_null(strstr(verdict.why, "vtpmctl launch"));
	launch(1);
	assert_int_equal(comes_with(5, GUESTS_MEASURED_UNTIL_STOPPED), 0);
	assert_true(verdict.measured);
	assert_memory_equal(list, measured, 8);
	assert_int_equal(comes_with(5, GUESTS_MEASURED_UNTIL_STOPPED),
			 0); /* attached again */
	ends(5);
	starts(6, 2, "b");
	assert_int_equal(comes_with(6, GUESTS_MEASURED_UNTIL_STOPPED), -EPERM);
	starts(7, 1, "a"); /* rebooted by the same xl */
	assert_int_equal(comes_with(7, GUESTS_MEASURED_UNTIL_STOPPED), 0);
	assert_true(verdict.measured);
	ends(7);
	xl_ends();
	starts(8, 1, "a");
	assert_int_equal(comes_with(8, GUESTS_MEASURED_UNTIL_STOPPED), -EPERM);
}

/* Xen lets several domains have one uuid, and it is by this that a launch is known. */
static void a_launch_is_for_one_domain(void **state)
{
	launch(1);
	starts(5, 1, "a");
	assert_int_equal(comes_with(5, GUESTS_MEASURED_UNTIL_STOPPED),
			 0); /* and is detached */
	starts(6, 1, "b");
	assert_int_equal(comes_with(6, GUESTS_MEASURED_UNTIL_STOPPED), -EPERM);
	assert_non_null(strstr(verdict.why, "another domain has its uuid"));
	is(5, CHANNEL_GUEST_SAME);
	ends(6);
	ends(5);
	starts(7, 1, "a"); /* rebooted */
	assert_int_equal(comes_with(7, GUESTS_MEASURED_UNTIL_STOPPED), 0);
	assert_true(verdict.measured);
}

static int resume(const uint8_t *launched)
{
	return guests_resume(&guests, on, launched);
}

static void saved(uint32_t domid)
{
	ends(domid);
	assert_int_equal(resume(NULL), 0);
}

static void a_restored_guest_goes_on(void **state)
{
	assert_int_equal(resume(NULL), -ESTALE);
	starts(5, 1, "a");
	is(5, CHANNEL_GUEST_NEW);
	saved(5);
	another_vtpmd();
	starts(6, 1, "a");
	is(6, CHANNEL_GUEST_RESUMED);
	is(6, CHANNEL_GUEST_SAME);
	ends(6);
	starts(7, 1, "a"); /* once only */
	is(7, CHANNEL_GUEST_NEW);
	ends(7);
	on = 0; /* the stub domain was restarted */
	assert_int_equal(resume(NULL), -ESTALE);
}

static void nobody_else_is_resumed(void **state)
{
	starts(5, 1, "a");
	is(5, CHANNEL_GUEST_NEW);
	saved(5);
	starts(6, 2, "b"); /* ends it, too */
	is(6, CHANNEL_GUEST_NEW);
	ends(6);
	starts(7, 1, "a");
	is(7, CHANNEL_GUEST_NEW);
	saved(7);
	guests_revoke(&guests);
	starts(8, 1, "a");
	is(8, CHANNEL_GUEST_NEW);
	saved(8);
	guests.until = 0; /* ten minutes later */
	assert_false(guests_resumes(&guests));
	starts(9, 1, "a");
	is(9, CHANNEL_GUEST_NEW);
}

/* `vtpmctl launch --restore`: as long as that xl is there. */
static void a_launched_restore(void **state)
{
	uint8_t other[16];

	memset(other, 3, sizeof(other));
	starts(5, 1, "a");
	is(5, CHANNEL_GUEST_NEW);
	ends(5);
	launch(3);
	assert_int_equal(resume(other), 0);
	xl_ends(); /* xl restore failed */
	starts(6, 3, "a");
	is(6, CHANNEL_GUEST_NEW);
	ends(6);
	launch(3);
	assert_int_equal(resume(other), 0);
	starts(7, 3, "a");
	assert_int_equal(comes_with(7, GUESTS_MEASURED_UNTIL_STOPPED), 0);
	assert_int_equal(verdict.what, CHANNEL_GUEST_RESUMED);
	assert_true(verdict.measured);
}

/* What runs already was not booted by this launch: it gets its PCRs back, or none. */
static void a_launched_restore_is_no_boot(void **state)
{
	uint8_t other[16];

	memset(other, 3, sizeof(other));
	starts(5, 1, "a");
	is(5, CHANNEL_GUEST_NEW);
	ends(5);
	launch(3);
	assert_int_equal(resume(other), 0);
	on = 0; /* the stub domain ends while xl reads the file */
	starts(6, 3, "a");
	assert_int_equal(comes_with(6, GUESTS_MEASURED_UNTIL_STOPPED), -EPERM);
	assert_non_null(strstr(verdict.why, "without --restore"));
	another_vtpmd();
	assert_int_equal(comes_with(6, GUESTS_MEASURED_UNTIL_STOPPED), -EPERM);
	ends(6);
	guests_revoke(&guests); /* xl has what it was */
	starts(6, 3, "a");
	assert_int_equal(comes_with(6, GUESTS_MEASURED_UNTIL_STOPPED), -EPERM);
	ends(6);
	xl_ends(); /* it failed, and the guest is launched to boot */
	launch(3);
	guests_boots(&guests, other);
	starts(7, 3, "a");
	assert_int_equal(comes_with(7, GUESTS_MEASURED_UNTIL_STOPPED), 0);
	assert_int_equal(verdict.what, CHANNEL_GUEST_NEW);
	assert_true(verdict.measured);
}

static void a_launched_restore_behind_another(void **state)
{
	uint8_t other[16], third[16];

	memset(other, 3, sizeof(other));
	memset(third, 4, sizeof(third));
	starts(5, 1, "a");
	is(5, CHANNEL_GUEST_NEW);
	ends(5);
	launch(3);
	assert_int_equal(resume(other), 0);
	assert_true(guests_was_last(&guests, guests.last.uuid));
	assert_false(guests_was_last(&guests, other));
	assert_int_equal(resume(third), -EBUSY); /* it would be forgotten */
	assert_int_equal(resume(NULL), -EBUSY);
	starts(6, 2, "b"); /* has the vTPM in between */
	is(6, CHANNEL_GUEST_NEW);
	ends(6);
	assert_int_equal(resume(third), -EBUSY);
	starts(7, 3, "a");
	assert_int_equal(comes_with(7, GUESTS_MEASURED_UNTIL_STOPPED), -EPERM);
	ends(7);
	xl_ends();
	assert_int_equal(resume(NULL), 0);
}

static void a_restored_guest_reboots_measured(void **state)
{
	uint8_t other[16];

	memset(other, 3, sizeof(other));
	starts(5, 1, "a");
	is(5, CHANNEL_GUEST_NEW);
	ends(5);
	launch(3);
	assert_int_equal(resume(other), 0);
	starts(6, 3, "a");
	is(6, CHANNEL_GUEST_RESUMED);
	ends(6);
	starts(7, 3, "a");
	assert_int_equal(comes_with(7, GUESTS_MEASURED_UNTIL_STOPPED), 0);
	assert_int_equal(verdict.what, CHANNEL_GUEST_NEW);
	assert_true(verdict.measured);
}

/* Also a saved guest is asked for its launch. */
static void expects(uint32_t domid, enum guests_restored what)
{
	assert_int_equal(guests_expect(&guests, domid, on), what);
}

/* Before it is judged, and without a change by that. */
static void what_a_restored_guest_will_find(void **state)
{
	starts(5, 1, "a");
	expects(5, GUESTS_HAS_LOST); /* the vTPM never had it */
	is(5, CHANNEL_GUEST_NEW);
	expects(5, GUESTS_GOES_ON);
	ends(5);
	starts(6, 1, "a");
	expects(6, GUESTS_MAY_RESUME);
	ends(6);
	assert_int_equal(resume(NULL), 0);
	starts(7, 2, "b");
	expects(7, GUESTS_HAS_LOST);
	ends(7);
	starts(8, 1, "a");
	expects(8, GUESTS_GOES_ON);
	is(8, CHANNEL_GUEST_RESUMED);
	ends(8);
	starts(9, 2, "b");
	is(9, CHANNEL_GUEST_NEW);
	ends(9);
	starts(10, 1, "a");
	expects(10, GUESTS_HAS_LOST);
}

static void a_resume_measures_nobody(void **state)
{
	starts(5, 1, "a");
	is(5, CHANNEL_GUEST_NEW);
	saved(5);
	starts(6, 1, "a");
	assert_int_equal(comes_with(6, GUESTS_MEASURED_UNTIL_STOPPED), -EPERM);
}

/* Who was refused is told what helps: a stop changes nothing for a vTPM that was made so. */
static void what_an_unmeasured_guest_can_do(void **state)
{
	starts(5, 1, "a");
	assert_int_equal(comes_with(5, GUESTS_MEASURED_UNTIL_STOPPED), -EPERM);
	assert_non_null(strstr(verdict.why, "vtpmctl launch"));
	/* of one that was saved, a stop would lose what its TPM holds for it */
	assert_non_null(strstr(verdict.why, "a saved one with --restore"));
	assert_non_null(strstr(verdict.why, "stop and start"));
	assert_int_equal(comes_with(5, GUESTS_MEASURED), -EPERM);
	assert_non_null(strstr(verdict.why, "it was not measured"));
	assert_non_null(strstr(verdict.why, "vtpmctl launch"));
	assert_null(strstr(verdict.why, "stop"));
	launch(1);
	assert_int_equal(comes_with(5, GUESTS_MEASURED), 0);
	assert_true(verdict.measured);
}

/* Whether measured guests only are served is still known to the next vtpmd. */
static void a_launch_outlives_vtpmd(void **state)
{
	assert_int_equal(guests_set_launched(&guests, true), 0);
	another_vtpmd();
	assert_true(guests.launched);
	starts(5, 1, "a");
	is(5, CHANNEL_GUEST_NEW);
	another_vtpmd();
	assert_true(guests.launched);
	assert_int_equal(guests_set_launched(&guests, false), 0);
	another_vtpmd();
	assert_false(guests.launched);
}

static void a_broken_file_knows_nobody(void **state)
{
	char path[128], command[256];

	starts(5, 1, "a");
	is(5, CHANNEL_GUEST_NEW);
	snprintf(path, sizeof(path), "%s/guests-f0000000-0000-0000-0000-000000000000",
		 folder);
	assert_int_equal(access(path, R_OK), 0);
	snprintf(command, sizeof(command), "truncate -s -1 %s", path);
	assert_int_equal(system(command), 0);
	another_vtpmd();
	assert_int_equal(guests.count, 0);
	assert_int_equal(guests.last.on, 0);
}

int main(void)
{
#define GUESTS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		GUESTS_TEST(one_domain_has_one_power_on),
		GUESTS_TEST(a_lost_answer_is_given_again),
		GUESTS_TEST(a_lost_answer_is_the_last_guests),
		GUESTS_TEST(a_lost_answer_measures_again),
		GUESTS_TEST(the_last_ones_number_is_not_the_last_one),
		GUESTS_TEST(a_living_domain_gets_no_second_power_on),
		GUESTS_TEST(no_domain_no_power_on),
		GUESTS_TEST(who_comes_in_by_migration_is_refused),
		GUESTS_TEST(who_comes_with_its_vtpm_goes_on),
		GUESTS_TEST(a_vtpm_comes_without_a_guest),
		GUESTS_TEST(only_measured_ones),
		GUESTS_TEST(a_launch_is_for_one_domain),
		GUESTS_TEST(a_restored_guest_goes_on),
		GUESTS_TEST(nobody_else_is_resumed),
		GUESTS_TEST(a_launched_restore),
		GUESTS_TEST(a_launched_restore_is_no_boot),
		GUESTS_TEST(a_launched_restore_behind_another),
		GUESTS_TEST(a_restored_guest_reboots_measured),
		GUESTS_TEST(what_a_restored_guest_will_find),
		GUESTS_TEST(a_resume_measures_nobody),
		GUESTS_TEST(what_an_unmeasured_guest_can_do),
		GUESTS_TEST(a_launch_outlives_vtpmd),
		GUESTS_TEST(a_broken_file_knows_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
