/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include <xen/io/tpmif.h>
#include "tests/unit/backend_fake.h"

#define OTHER_UUID  "7a3f0b52-0d7c-8c5e-9a51-0f9d3d1f2b02"
#define RANDOM_UUID "7a3f0b52-0d7c-4c5e-9a51-0f9d3d1f2b02" /* of version 4 */

static struct fake_world *w;

static int setup(void **state)
{
	w = fake_new();
	return fake_open(w, 1, false);
}

static int teardown(void **state)
{
	fake_free(w);
	return 0;
}

static void look(void)
{
	assert_int_equal(fake_look(w), 0);
	/* Quiet: a second look changes nothing and finds no event of its own. */
	assert_false(w->changed);
	/* Nor does it leave a deadline behind that has passed. */
	assert_int_not_equal(fake_timeout(w), 0);
}

static const char *leaf(const char *name)
{
	static char path[BACKEND_PATH_MAX];

	snprintf(path, sizeof(path), "backend/vtpm/%s", name);
	return fake_get(w, path);
}

#define assert_leaf(name, value) assert_string_equal(leaf(name), value)

/* libxl fails at once when the leaf of a guest that it makes has no state. */
static void refused_at_once(uint32_t domid, const char *words)
{
	char path[BACKEND_PATH_MAX];

	snprintf(path, sizeof(path), "backend/vtpm/%u/0/state", domid);
	assert_null(fake_find(w, path));
	snprintf(path, sizeof(path), "backend/vtpm/%u/0/error", domid);
	assert_non_null(strstr(fake_get(w, path), words));
	snprintf(path, sizeof(path), "error/backend/vtpm/%u/0/error", domid);
	assert_non_null(strstr(fake_get(w, path), words));
}

static void refused_unasked(uint32_t domid, unsigned int times)
{
	assert_int_equal(w->refused, times);
	assert_int_equal(w->refused_domid, domid);
}

static void guest_starts(uint32_t domid)
{
	fake_toolstack(w, domid, 0, FAKE_UUID);
	look();
}

static void driver_connects(uint32_t domid)
{
	fake_driver(w, domid);
	look();
	assert_true(fake_stats(w).connected);
	fake_front(w, domid, "state", "4");
	look();
}

static void submit(uint32_t executed)
{
	static const uint8_t command[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};

	memcpy(fake_page(w, 100) + 8, command, sizeof(command));
	fake_header(w, sizeof(command), TPMIF_STATE_SUBMIT, 0, 0);
	w->events++;
	assert_int_equal(fake_event(w), 0);
	assert_int_equal(w->executed, executed);
}

/* libxl at xl vtpm-detach: the guest's driver has not heard of it yet. */
static void toolstack_detaches(void)
{
	fake_set(w, "backend/vtpm/5/0/online", "0");
	fake_set(w, "backend/vtpm/5/0/state", "5");
	look();
}

/* The toolstack has had its time to see Closed. */
static void time_passes(void)
{
	int ms = fake_timeout(w);

	assert_leaf("5/0/state", "6");
	assert_true(ms > 500 && ms < 5000);
	w->now_ms += (uint64_t)ms - 1;
	look();
	assert_leaf("5/0/state", "6");
	assert_true(fake_stats(w).present);
	w->now_ms++;
	assert_int_equal(fake_timeout(w), 0);
	look();
	assert_int_equal(fake_timeout(w), -1);
}

/* libxl at xl destroy, and at every end of a guest. */
static void toolstack_destroys(uint32_t domid)
{
	char path[BACKEND_PATH_MAX];

	snprintf(path, sizeof(path), "/local/domain/%u", domid);
	fake_remove(w, path);
	snprintf(path, sizeof(path), "backend/vtpm/%u/0/online", domid);
	fake_set(w, path, "0");
	snprintf(path, sizeof(path), "backend/vtpm/%u/0/state", domid);
	fake_set(w, path, "5");
	look();
}

static void a_guest_connects(void **state)
{
	guest_starts(5);
	assert_leaf("5/0/state", "2");
	assert_leaf("5/0/feature-protocol-v2", "1");
	assert_int_equal(w->power_cycles, 1);
	assert_true(fake_stats(w).present);
	assert_false(fake_stats(w).connected);
	driver_connects(5);
	assert_leaf("5/0/state", "4");
	assert_int_equal(fake_stats(w).domid, 5);
	assert_int_equal(w->mapped_domid, 5);
	submit(1);
}

static void a_guest_that_was_there_before_us(void **state)
{
	teardown(state);
	w = fake_new();
	fake_toolstack(w, 5, 0, FAKE_UUID);
	assert_int_equal(fake_open(w, 1, false), 0);
	assert_leaf("5/0/state", "2");
	driver_connects(5);
}

static void a_command_submitted_before_we_connect(void **state)
{
	static const uint8_t command[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};

	guest_starts(5);
	memcpy(fake_page(w, 100) + 8, command, sizeof(command));
	fake_header(w, sizeof(command), TPMIF_STATE_SUBMIT, 0, 0);
	fake_driver(w, 5);
	look();
	assert_int_equal(w->executed, 1);
	assert_int_equal(fake_state(w), TPMIF_STATE_FINISH);
	assert_leaf("5/0/state", "4");
}

static void the_power_cycle_comes_before_initwait(void **state)
{
	w->power_error = -EIO;
	guest_starts(5);
	refused_at_once(5, "vtpmd's sentence");
	assert_false(fake_stats(w).present);
	assert_int_equal(w->maps, 0);
}

static void a_guest_that_was_not_measured_is_refused(void **state)
{
	w->power_error = -EPERM;
	guest_starts(5);
	assert_int_equal(w->power_domid, 5);
	refused_at_once(5, "vtpmctl launch");
	assert_int_equal(w->refused, 0); /* who was asked knows */
	assert_false(fake_stats(w).present);
	fake_remove(w, "backend/vtpm/5");
	w->power_error = 0;
	guest_starts(6);
	assert_int_equal(w->power_domid, 6);
	assert_leaf("6/0/state", "2");
}

static void a_reloaded_driver_keeps_the_pcrs(void **state)
{
	guest_starts(5);
	driver_connects(5);
	for (int i = 0; i < 3; i++) {
		fake_front(w, 5, "state", "6");
		look();
		assert_leaf("5/0/state", "6");
		assert_false(fake_stats(w).connected);
		assert_int_equal(w->maps, w->unmaps);
		if (i != 1) { /* the stock driver goes on to 3 at once */
			fake_front(w, 5, "state", "1");
			look();
			assert_leaf("5/0/state", "2");
		}
		driver_connects(5);
		assert_leaf("5/0/state", "4");
	}
	assert_int_equal(w->power_cycles, 1);
}

static void closing_stops_the_ring(void **state)
{
	guest_starts(5);
	driver_connects(5);
	fake_front(w, 5, "state", "5");
	look();
	assert_leaf("5/0/state", "5");
	assert_false(w->bound);
	assert_int_equal(w->maps, w->unmaps);
	fake_front(w, 5, "state", "6");
	look();
	assert_leaf("5/0/state", "6");
}

static void a_resumed_driver_brings_a_new_page(void **state)
{
	guest_starts(5);
	driver_connects(5);
	fake_front(w, 5, "ring-ref", "101");
	fake_front(w, 5, "event-channel", "9");
	fake_front(w, 5, "state", "3");
	look();
	assert_int_equal(w->maps, 2);
	assert_int_equal(w->unmaps, 1);
	assert_leaf("5/0/state", "4");
	assert_int_equal(w->power_cycles, 1);
}

static void a_driver_back_at_3_is_connected_anew(void **state)
{
	guest_starts(5);
	driver_connects(5);
	fake_front(w, 5, "state", "3"); /* same numbers, maybe another page */
	look();
	assert_int_equal(w->maps, 2);
	assert_int_equal(w->unmaps, 1);
	look();
	assert_int_equal(w->maps, 2);
}

static void a_driver_that_starts_over_from_connected(void **state)
{
	guest_starts(5);
	driver_connects(5);
	fake_front(w, 5, "state", "1");
	look();
	assert_leaf("5/0/state", "2");
	assert_int_equal(w->unmaps, 1);
	driver_connects(5);
}

static void a_detached_driver_is_served_until_it_closes(void **state)
{
	guest_starts(5);
	driver_connects(5);
	toolstack_detaches();
	submit(1);
	submit(2);
	fake_front(w, 5, "state", "5");
	look();
	assert_int_equal(w->maps, w->unmaps);
	assert_int_equal(fake_timeout(w), -1);
	fake_front(w, 5, "state", "6");
	look();
	time_passes();
	assert_null(fake_find(w, "backend/vtpm/5/0"));
	assert_leaf("5/0/state", "");
	assert_false(fake_stats(w).present);
}

static void detach_of_a_guest_without_a_driver(void **state)
{
	guest_starts(5);
	toolstack_detaches();
	time_passes();
	assert_leaf("5/0/state", "");
	assert_false(fake_stats(w).present);
}

/* It is not destroyed twice, nor must anybody wait who does not look any more. */
static void a_detached_guest_that_is_destroyed(void **state)
{
	guest_starts(5);
	driver_connects(5);
	toolstack_detaches();
	fake_front(w, 5, "state", "6");
	look();
	assert_leaf("5/0/state", "6");
	toolstack_destroys(5);
	assert_leaf("5/0/state", "");
	assert_int_equal(fake_timeout(w), -1);
}

/* Whatever the guest writes while its leaf waits for removal, and whenever: the owner
 * does not poll in a circle, and the leaf goes once the guest is closed again. */
static void a_closed_front_that_moves_on_while_it_is_detached(void **state)
{
	static const char *const then[] = {"1", "2", "3", "4", "5",	     "6",
					   "7", "0", "x", "",  "99999999999"};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(then); i++) {
		bool late = i % 2;

		guest_starts(5);
		driver_connects(5);
		toolstack_detaches();
		fake_front(w, 5, "state", "6");
		look();
		if (late)
			w->now_ms += 10000;
		fake_front(w, 5, "state", then[i / 2]);
		look();
		w->now_ms += 10000;
		look();
		fake_front(w, 5, "state", "6");
		look();
		w->now_ms += 10000;
		look();
		assert_leaf("5/0/state", "");
		assert_false(fake_stats(w).present);
		assert_int_equal(w->maps, w->unmaps);
	}
}

/* A number may be another domain's by then: the engine judges. */
static void attach_after_detach_asks_again(void **state)
{
	guest_starts(5);
	driver_connects(5);
	toolstack_detaches();
	fake_front(w, 5, "state", "6");
	look();
	time_passes();
	guest_starts(5);
	driver_connects(5);
	assert_int_equal(w->power_cycles, 2);
	assert_int_equal(w->power_domid, 5);
}

static void a_destroyed_guest_leaves_nothing(void **state)
{
	guest_starts(5);
	driver_connects(5);
	toolstack_destroys(5);
	assert_leaf("5/0/state", "");
	assert_int_equal(xenstore_list(NULL, "backend/vtpm/5", NULL, 0), -ENOENT);
	assert_false(fake_stats(w).present);
	assert_int_equal(w->maps, w->unmaps);
	assert_false(w->bound);
	for (size_t i = 1; i < ARRAY_SIZE(w->watches); i++)
		assert_string_equal(w->watches[i], "");
}

static void a_leaf_that_the_toolstack_removes(void **state)
{
	guest_starts(5);
	driver_connects(5);
	fake_remove(w, "backend/vtpm/5");
	look();
	assert_false(fake_stats(w).present);
	assert_int_equal(w->maps, w->unmaps);
}

static void a_reboot_power_cycles(void **state)
{
	guest_starts(5);
	driver_connects(5);
	submit(1);
	toolstack_destroys(5);
	guest_starts(6);
	assert_int_equal(w->power_cycles, 2);
	driver_connects(6);
	assert_int_equal(fake_stats(w).domid, 6);
	submit(2);
}

static void old_guest_gone_and_new_one_there_in_one_look(void **state)
{
	guest_starts(5);
	driver_connects(5);
	fake_toolstack(w, 6, 0, FAKE_UUID);
	toolstack_destroys(5);
	assert_leaf("6/0/state", "2");
	assert_int_equal(w->power_cycles, 2);
}

static void another_uuid_is_refused(void **state)
{
	fake_toolstack(w, 5, 0, OTHER_UUID);
	look();
	refused_at_once(5, "another uuid");
	refused_unasked(5, 1);
	assert_int_equal(w->power_cycles, 0);
	fake_driver(w, 5);
	look();
	assert_int_equal(w->maps, 0);
	refused_unasked(5, 1);
	toolstack_destroys(5);
	assert_leaf("5/0/state", "");
}

/* As libxl makes one for a vtpm line without uuid=: the owner knows whether it may be. */
static void a_random_uuid_is_asked_for(void **state)
{
	fake_toolstack(w, 5, 0, RANDOM_UUID);
	look();
	assert_leaf("5/0/state", "2");
	assert_int_equal(w->power_cycles, 1);
	assert_int_equal(w->device_len, 16);
	assert_memory_equal(w->device, "\x7a\x3f\x0b\x52\x0d\x7c\x4c\x5e", 8);
	toolstack_destroys(5);
	guest_starts(6);
	assert_int_equal(w->device_len, 0);
	toolstack_destroys(6);
	w->power_error = -EPERM;
	fake_toolstack(w, 7, 0, RANDOM_UUID);
	look();
	refused_at_once(7, "vtpmd's sentence");
	assert_false(fake_stats(w).present);
}

static void a_random_uuid_of_a_driver_that_ran_is_not_asked_for(void **state)
{
	fake_toolstack(w, 5, 0, RANDOM_UUID);
	fake_set(w, "backend/vtpm/5/0/state", "4");
	look();
	assert_leaf("5/0/state", "6");
	assert_true(strstr(leaf("5/0/error"), "was restarted") != NULL);
	assert_int_equal(w->power_cycles, 0);
	guest_starts(6);
	fake_toolstack(w, 7, 0, RANDOM_UUID);
	look();
	refused_at_once(7, "in use");
	assert_int_equal(w->power_cycles, 1);
}

static void a_uuid_of_another_form_is_refused(void **state)
{
	static const char *const bad[] = {"", "7a3f0b520d7c4c5e9a510f9d3d1f2b02",
					  "7a3f0b52-0d7c-4c5e-9a51-0f9d3d1f2b0g",
					  "7a3f0b52-0d7c-4c5e-9a51-0f9d3d1f2b022"};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		fake_toolstack(w, 5, 0, bad[i]);
		look();
		refused_at_once(5, "another uuid");
		assert_int_equal(w->power_cycles, 0);
		toolstack_destroys(5);
	}
}

static void another_uuid_is_ignored_in_a_shared_domain(void **state)
{
	teardown(state);
	w = fake_new();
	assert_int_equal(fake_open(w, 1, true), 0);
	fake_toolstack(w, 5, 0, OTHER_UUID);
	fake_toolstack(w, 8, 0, RANDOM_UUID);
	fake_set(w, "backend/vtpm/4/0/online", "0");
	look();
	assert_leaf("5/0/state", "1");
	assert_leaf("5/0/error", "");
	guest_starts(6);
	assert_leaf("6/0/state", "2");
	fake_set(w, "backend/vtpm/5/0/online", "0");
	look();
	assert_leaf("5/0/state", "1");
}

static void the_uuid_may_be_in_capitals(void **state)
{
	fake_toolstack(w, 5, 0, "7A3F0B52-0D7C-4C5E-9A51-0F9D3D1F2B01");
	look();
	assert_leaf("5/0/state", "2");
}

static void a_second_guest_is_refused(void **state)
{
	guest_starts(5);
	driver_connects(5);
	guest_starts(6);
	refused_at_once(6, "in use");
	refused_unasked(6, 1);
	assert_leaf("5/0/state", "4");
	assert_int_equal(w->power_cycles, 1);
	submit(1);
	toolstack_destroys(6);
	assert_leaf("6/0/state", "");
	submit(2);
}

static void a_second_device_of_the_same_guest_is_refused(void **state)
{
	guest_starts(5);
	fake_toolstack(w, 5, 1, FAKE_UUID);
	look();
	assert_leaf("5/1/state", "");
	assert_true(*leaf("5/1/error"));
	assert_leaf("5/0/state", "2");
	fake_set(w, "backend/vtpm/5/1/online", "0");
	look();
	assert_leaf("5/1/state", "");
	assert_leaf("5/0/state", "2");
	driver_connects(5);
}

static void a_guest_of_an_earlier_process_is_refused(void **state)
{
	fake_toolstack(w, 5, 0, FAKE_UUID);
	fake_set(w, "backend/vtpm/5/0/state", "4");
	fake_driver(w, 5);
	look();
	assert_leaf("5/0/state", "6");
	assert_true(strstr(leaf("5/0/error"), "restart the guest") != NULL);
	refused_unasked(5, 1);
	assert_int_equal(w->maps, 0);
	w->changed = true;
	look();
	refused_unasked(5, 1);
}

/* The toolstack has read InitWait, of an earlier process, and waits no more. */
static void a_guest_that_an_earlier_process_adopted(void **state)
{
	fake_toolstack(w, 5, 0, FAKE_UUID);
	fake_set(w, "backend/vtpm/5/0/state", "2");
	w->power_error = -EPERM;
	look();
	assert_leaf("5/0/state", "6");
	assert_non_null(strstr(leaf("5/0/error"), "vtpmctl launch"));
}

/* Many guests that are refused leave the last one's error, and no more. */
static void refused_guests_cost_one_node(void **state)
{
	char path[BACKEND_PATH_MAX];

	w->power_error = -EPERM;
	for (uint32_t domid = 5; domid < 5 + FAKE_NODES; domid++) {
		guest_starts(domid);
		refused_at_once(domid, "vtpmctl launch");
		snprintf(path, sizeof(path), "backend/vtpm/%u", domid);
		fake_remove(w, path);
		snprintf(path, sizeof(path), "/local/domain/%u", domid);
		fake_remove(w, path);
	}
	assert_int_equal(xenstore_list(NULL, "error/backend/vtpm", NULL, 0), 1);
}

static void a_driver_of_protocol_1(void **state)
{
	guest_starts(5);
	fake_front(w, 5, "ring-ref", "100");
	fake_front(w, 5, "event-channel", "5");
	fake_front(w, 5, "state", "3");
	look();
	assert_leaf("5/0/state", "6");
	assert_int_equal(w->maps, 0);
	/* A better driver is loaded. */
	fake_front(w, 5, "state", "1");
	look();
	assert_leaf("5/0/state", "2");
	driver_connects(5);
}

static void bad_page_and_port_numbers(void **state)
{
	static const char *const bad[] = {
		"",  "-1", "x", "4294967296", "1 ", "0x1", "99999999999999999999",
		"99" /* not granted */};

	guest_starts(5);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fake_driver(w, 5);
		fake_front(w, 5, "ring-ref", bad[i]);
		look();
		assert_leaf("5/0/state", "6");
		assert_true(*leaf("5/0/error"));
		fake_front(w, 5, "state", "1");
		look();
	}
	fake_driver(w, 5);
	w->bind_error = -EINVAL;
	look();
	assert_leaf("5/0/state", "6");
	assert_int_equal(w->maps, w->unmaps);
	w->bind_error = 0;
	fake_front(w, 5, "state", "1");
	look();
	driver_connects(5);
}

static void a_failed_connect_is_not_tried_again_and_again(void **state)
{
	guest_starts(5);
	w->bind_error = -EINVAL;
	fake_driver(w, 5);
	look();
	for (int i = 0; i < 5; i++) {
		w->changed = true;
		look();
	}
	assert_int_equal(w->maps, 1);
	w->bind_error = 0;
	fake_front(w, 5, "event-channel", "6");
	fake_front(w, 5, "state", "3");
	look();
	assert_leaf("5/0/state", "4");
}

static void garbage_in_the_guests_state(void **state)
{
	static const char *const bad[] = {"",	"0", "7",  "99999999999",
					  "-4", "x", "4 ", "8"};

	guest_starts(5);
	driver_connects(5);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fake_front(w, 5, "state", bad[i]);
		look();
		assert_leaf("5/0/state", "4");
		assert_true(fake_stats(w).connected);
	}
	assert_int_equal(w->maps, 1);
}

static void a_guest_that_removes_its_own_state(void **state)
{
	guest_starts(5);
	driver_connects(5);
	fake_remove(w, "/local/domain/5");
	look();
	assert_leaf("5/0/state", "6");
	assert_true(fake_stats(w).present); /* the leaf is the toolstack's to end */
	assert_int_equal(w->maps, w->unmaps);
	fake_driver(w, 5);
	look();
	assert_leaf("5/0/state", "4");
	assert_int_equal(w->power_cycles, 1);
}

static void garbage_in_the_folder(void **state)
{
	fake_set(w, "backend/vtpm/5/0/uuid", FAKE_UUID);
	fake_set(w, "backend/vtpm/6/0/state", "1");
	fake_set(w, "backend/vtpm/7/0/frontend", "relative");
	fake_set(w, "backend/vtpm/7/0/state", "1");
	fake_set(w, "backend/vtpm/7/0/online", "1");
	fake_set(w, "backend/vtpm/7/0/uuid", FAKE_UUID);
	look();
	assert_false(fake_stats(w).present);
	assert_int_equal(w->power_cycles, 0);
}

static void a_lost_xenstore_is_said(void **state)
{
	guest_starts(5);
	driver_connects(5);
	w->xs_error = -EIO;
	w->changed = true;
	assert_int_equal(fake_look(w), -EIO);
	assert_true(fake_stats(w).connected);
	submit(1); /* the ring goes on */
	w->xs_error = 0;
}

static void a_guest_that_writes_without_end(void **state)
{
	fake_toolstack(w, 5, 0, FAKE_UUID);
	fronts_close(&w->fronts);
	w->endless = true;
	assert_int_equal(fake_open(w, 1, false), 0);
	assert_int_equal(fake_look(w), 0);
	assert_true(w->changed); /* and poll() will lead back */
}

static void closing_tells_the_guest(void **state)
{
	guest_starts(5);
	driver_connects(5);
	fronts_close(&w->fronts);
	assert_leaf("5/0/state", "6");
	assert_int_equal(w->maps, w->unmaps);
	assert_false(w->bound);
}

/* Its TPM comes from another host: the toolstack has its backend, the guest nothing yet. */
static void a_guest_waits_for_its_tpm(void **state)
{
	teardown(state);
	w = fake_new();
	fronts_hold(&w->fronts, true);
	assert_int_equal(fake_open(w, 1, false), 0);
	guest_starts(5);
	assert_leaf("5/0/state", "2");
	assert_leaf("5/0/feature-protocol-v2", "1");
	assert_true(fake_stats(w).present);
	fake_driver(w, 5); /* which nobody can have run */
	look();
	assert_leaf("5/0/state", "2");
	assert_int_equal(w->maps, 0);
	fake_front(w, 5, "state", "1");
	look();
	fronts_hold(&w->fronts, false);
	assert_leaf("5/0/state", "2");
	driver_connects(5);
	submit(1);
	assert_int_equal(w->power_cycles, 1);
}

/* Its guest is suspended, to be moved, and goes on where it was. */
static void a_held_tpm_keeps_its_guests_page(void **state)
{
	guest_starts(5);
	driver_connects(5);
	submit(1);
	fronts_hold(&w->fronts, true);
	submit(1); /* by a guest that runs all the same: nothing is executed */
	assert_int_equal(fake_state(w), TPMIF_STATE_SUBMIT);
	fake_front(w, 5, "state", "6");
	look();
	fake_front(w, 5, "state", "3");
	look();
	assert_leaf("5/0/state", "4");
	assert_int_equal(w->maps, 1);
	assert_int_equal(w->unmaps, 0);
	fake_front(w, 5, "state", "4");
	fronts_hold(&w->fronts, false);
	assert_int_equal(w->executed, 2);
	assert_int_equal(fake_state(w), TPMIF_STATE_FINISH);
	assert_int_equal(w->maps, 1);
	assert_int_equal(w->power_cycles, 1);
}

/* It went to another host. */
static void a_guest_of_a_held_tpm_that_is_destroyed(void **state)
{
	guest_starts(5);
	driver_connects(5);
	fronts_hold(&w->fronts, true);
	toolstack_destroys(5);
	assert_null(fake_find(w, "backend/vtpm/5/0/state"));
	assert_false(fake_stats(w).present);
	assert_int_equal(w->maps, w->unmaps);
	assert_false(w->bound);
}

#define XENBUS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		XENBUS_TEST(a_guest_connects),
		XENBUS_TEST(a_guest_that_was_there_before_us),
		XENBUS_TEST(a_command_submitted_before_we_connect),
		XENBUS_TEST(the_power_cycle_comes_before_initwait),
		XENBUS_TEST(a_guest_that_was_not_measured_is_refused),
		XENBUS_TEST(a_reloaded_driver_keeps_the_pcrs),
		XENBUS_TEST(closing_stops_the_ring),
		XENBUS_TEST(a_resumed_driver_brings_a_new_page),
		XENBUS_TEST(a_driver_back_at_3_is_connected_anew),
		XENBUS_TEST(a_driver_that_starts_over_from_connected),
		XENBUS_TEST(a_detached_driver_is_served_until_it_closes),
		XENBUS_TEST(detach_of_a_guest_without_a_driver),
		XENBUS_TEST(a_closed_front_that_moves_on_while_it_is_detached),
		XENBUS_TEST(attach_after_detach_asks_again),
		XENBUS_TEST(a_destroyed_guest_leaves_nothing),
		XENBUS_TEST(a_detached_guest_that_is_destroyed),
		XENBUS_TEST(a_leaf_that_the_toolstack_removes),
		XENBUS_TEST(a_reboot_power_cycles),
		XENBUS_TEST(old_guest_gone_and_new_one_there_in_one_look),
		XENBUS_TEST(another_uuid_is_refused),
		XENBUS_TEST(a_random_uuid_is_asked_for),
		XENBUS_TEST(a_random_uuid_of_a_driver_that_ran_is_not_asked_for),
		XENBUS_TEST(a_uuid_of_another_form_is_refused),
		XENBUS_TEST(another_uuid_is_ignored_in_a_shared_domain),
		XENBUS_TEST(the_uuid_may_be_in_capitals),
		XENBUS_TEST(a_second_guest_is_refused),
		XENBUS_TEST(a_second_device_of_the_same_guest_is_refused),
		XENBUS_TEST(a_guest_of_an_earlier_process_is_refused),
		XENBUS_TEST(a_guest_that_an_earlier_process_adopted),
		XENBUS_TEST(refused_guests_cost_one_node),
		XENBUS_TEST(a_driver_of_protocol_1),
		XENBUS_TEST(bad_page_and_port_numbers),
		XENBUS_TEST(a_failed_connect_is_not_tried_again_and_again),
		XENBUS_TEST(garbage_in_the_guests_state),
		XENBUS_TEST(a_guest_that_removes_its_own_state),
		XENBUS_TEST(garbage_in_the_folder),
		XENBUS_TEST(a_lost_xenstore_is_said),
		XENBUS_TEST(a_guest_that_writes_without_end),
		XENBUS_TEST(closing_tells_the_guest),
		XENBUS_TEST(a_guest_waits_for_its_tpm),
		XENBUS_TEST(a_held_tpm_keeps_its_guests_page),
		XENBUS_TEST(a_guest_of_a_held_tpm_that_is_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
