/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

/* The guest's chance to change the page before each access of the product's. */
static void shared_access(const volatile uint8_t *address);
#define SHARED_ACCESS(address) shared_access(address)
#include "backend/ring.c"
#include "tests/unit/backend_fake.h"

static struct {
	volatile uint8_t *page; /* watched, or NULL */
	unsigned int accesses, length_reads, state_reads;
	void (*hook)(void);
} peer;

static void shared_access(const volatile uint8_t *address)
{
	if (!peer.page)
		return;
	peer.accesses++;
	peer.length_reads += address == peer.page;
	peer.state_reads += address == peer.page + 4;
	if (peer.hook)
		peer.hook();
}

static struct fake_world *w;

static int setup_as(uint8_t localities, bool tpm12)
{
	memset(&peer, 0, sizeof(peer));
	w = fake_new();
	w->tpm12 = tpm12;
	fake_toolstack(w, 5, 0, FAKE_UUID);
	fake_driver(w, 5);
	if (fake_open(w, localities, false))
		return -1;
	peer.page = fake_page(w, 100);
	return 0;
}

static int setup_localities(uint8_t localities)
{
	return setup_as(localities, false);
}

static int setup(void **state)
{
	return setup_localities(1);
}

static int teardown(void **state)
{
	peer.page = NULL;
	fake_free(w);
	return 0;
}

/* TPM2_GetRandom(32), padded up to len with a pattern. */
static void packet(uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(i * 7 + i / 256);
	memcpy(out, "\x80\x01\0\0\0\0\0\0\x01\x7b\0\x20", 12);
	out[2] = (uint8_t)(len >> 24);
	out[3] = (uint8_t)(len >> 16);
	out[4] = (uint8_t)(len >> 8);
	out[5] = (uint8_t)len;
}

static void event(void)
{
	w->events++;
	assert_int_equal(fake_event(w), 0);
}

static void submit(size_t len, uint8_t locality)
{
	packet(fake_page(w, 100) + 8, len);
	fake_header(w, (uint32_t)len, TPMIF_STATE_SUBMIT, locality, 0);
	event();
}

static void one_command(void **state)
{
	submit(12, 0);
	assert_int_equal(fake_state(w), TPMIF_STATE_FINISH);
	assert_int_equal(fake_length(w), 10);
	assert_int_equal(fake_code(w, 0), 0);
	assert_int_equal(w->notifications, 1);
	assert_int_equal(w->executed, 1);
	assert_int_equal(w->power_cycles, 1);
	assert_int_equal(w->last_len, 12);
	assert_int_equal(w->last[9], 0x7b);
	assert_int_equal(fake_stats(w).commands, 1);
	assert_int_equal(fake_stats(w).refused, 0);
}

static void nothing_of_a_failed_command_is_shown(void **state)
{
	submit(12, 0);
	w->execute_error = -EIO;
	w->rsp_len = 200;
	memset(w->rsp, 0x5a, sizeof(w->rsp));
	submit(12, 0);
	assert_int_equal(fake_state(w), TPMIF_STATE_FINISH);
	assert_int_equal(fake_length(w), 10);
	assert_int_equal(fake_code(w, 0), TPM2_RC_FAILURE);
	assert_int_not_equal(fake_page(w, 100)[8 + 10], 0x5a);
}

static void lengths_that_are_refused(void **state)
{
	static const uint32_t lengths[] = {0, 1, 9, 4089, 4097, 0x7fffffff, 0xffffffff};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		packet(fake_page(w, 100) + 8, 12);
		fake_header(w, lengths[i], TPMIF_STATE_SUBMIT, 0, 0);
		event();
		assert_int_equal(fake_state(w), TPMIF_STATE_FINISH);
		assert_int_equal(fake_length(w), 10);
		assert_int_equal(fake_code(w, 0), TPM2_RC_COMMAND_SIZE);
		assert_int_equal(w->notifications, i + 1);
	}
	assert_int_equal(w->executed, 0);
	assert_int_equal(fake_stats(w).refused, ARRAY_SIZE(lengths));
	submit(12, 0);
	assert_int_equal(fake_code(w, 0), 0);
}

static void lengths_that_disagree_with_the_packet(void **state)
{
	packet(fake_page(w, 100) + 8, 12);
	fake_header(w, 13, TPMIF_STATE_SUBMIT, 0, 0);
	event();
	assert_int_equal(fake_code(w, 0), TPM2_RC_COMMAND_SIZE);
	assert_int_equal(w->executed, 0);
}

static void the_longest_packet_of_one_page(void **state)
{
	uint8_t want[4088];

	packet(want, sizeof(want));
	w->rsp_len = 4088;
	submit(4088, 0);
	assert_int_equal(w->last_len, 4088);
	assert_memory_equal(w->last, want, 4088);
	assert_int_equal(fake_length(w), 4088);
}

static void a_response_that_does_not_fit(void **state)
{
	w->rsp_len = 4089;
	submit(12, 0);
	assert_int_equal(fake_length(w), 10);
	assert_int_equal(fake_code(w, 0), TPM2_RC_FAILURE);
	w->rsp_len = RING_PACKET_MAX + 1;
	submit(12, 0);
	assert_int_equal(fake_code(w, 0), TPM2_RC_FAILURE);
	w->rsp_len = 9;
	submit(12, 0);
	assert_int_equal(fake_code(w, 0), TPM2_RC_FAILURE);
}

/* Writes len bytes of packet behind n references, across the pages. */
static void submit_extra(size_t len, uint8_t n, uint32_t first_ref)
{
	static uint8_t all[3 * BACKEND_PAGE_SIZE];
	size_t at = 8 + 4 * (size_t)n, first = BACKEND_PAGE_SIZE - at;

	packet(all, len);
	memcpy(fake_page(w, 100) + at, all, len < first ? len : first);
	if (len > first)
		memcpy(fake_page(w, first_ref), all + first, len - first);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t ref = first_ref + i;

		memcpy(fake_page(w, 100) + 8 + 4 * i, &ref, 4);
	}
	fake_header(w, (uint32_t)len, TPMIF_STATE_SUBMIT, 0, n);
	event();
}

static void a_full_packet_both_ways_over_extra_pages(void **state)
{
	uint8_t want[RING_PACKET_MAX];
	size_t first = BACKEND_PAGE_SIZE - 12;

	packet(want, sizeof(want));
	for (size_t i = 10; i < RING_PACKET_MAX; i++)
		w->rsp[i] = (uint8_t)(i * 13);
	w->rsp_len = RING_PACKET_MAX;
	submit_extra(RING_PACKET_MAX, 1, 101);
	assert_int_equal(w->last_len, RING_PACKET_MAX);
	assert_memory_equal(w->last, want, RING_PACKET_MAX);
	assert_int_equal(fake_length(w), RING_PACKET_MAX);
	assert_memory_equal(fake_page(w, 100) + 12, w->rsp, first);
	assert_memory_equal(fake_page(w, 101), w->rsp + first, RING_PACKET_MAX - first);
}

static void extra_pages_stay_mapped_while_they_are_the_same(void **state)
{
	int maps = w->maps;

	submit_extra(4096, 2, 101);
	assert_int_equal(w->maps, maps + 1);
	submit_extra(4096, 2, 101);
	submit_extra(100, 2, 101);
	assert_int_equal(w->maps, maps + 1);
	submit_extra(4096, 2, 102);
	assert_int_equal(w->maps, maps + 2);
	assert_int_equal(w->unmaps, 1);
	submit(12, 0);
	assert_int_equal(w->unmaps, 2);
	assert_int_equal(fake_code(w, 0), 0);
}

static void a_packet_longer_than_ours_over_extra_pages(void **state)
{
	submit_extra(4097, 1, 101);
	assert_int_equal(fake_code(w, 1), TPM2_RC_COMMAND_SIZE);
	submit_extra(5000, 2, 101);
	assert_int_equal(fake_code(w, 2), TPM2_RC_COMMAND_SIZE);
	assert_int_equal(w->maps, 1);
}

static void too_many_extra_pages_are_refused_unmapped(void **state)
{
	for (unsigned int n = 3; n <= 255; n++) {
		fake_header(w, 12, TPMIF_STATE_SUBMIT, 0, (uint8_t)n);
		event();
		assert_int_equal(fake_state(w), TPMIF_STATE_FINISH);
		assert_int_equal(fake_length(w), 10);
		assert_int_equal(fake_code(w, (uint8_t)n), TPM2_RC_COMMAND_SIZE);
	}
	assert_int_equal(w->maps, 1);
	assert_int_equal(w->executed, 0);
}

static void bad_references_are_refused(void **state)
{
	submit_extra(4096, 1, 101);
	fake_header(w, 4096, TPMIF_STATE_SUBMIT, 0, 1);
	memcpy(fake_page(w, 100) + 8, "\xff\xff\xff\xff", 4);
	event();
	assert_int_equal(fake_code(w, 1), TPM2_RC_FAILURE);
	w->map_error = -EINVAL; /* one of another domain's */
	fake_header(w, 12, TPMIF_STATE_SUBMIT, 0, 1);
	memcpy(fake_page(w, 100) + 8, "\x65\0\0\0", 4);
	event();
	assert_int_equal(fake_code(w, 1), TPM2_RC_FAILURE);
	w->map_error = 0;
	submit_extra(4096, 1, 101);
	assert_int_equal(fake_code(w, 1), 0);
	assert_int_equal(w->mapped_domid, 5);
}

static void garbage_states_are_left_alone(void **state)
{
	packet(fake_page(w, 100) + 8, 12);
	for (unsigned int s = 4; s <= 255; s++) {
		fake_header(w, 12, (uint8_t)s, 0, 0);
		event();
		assert_int_equal(fake_state(w), s);
	}
	fake_header(w, 12, TPMIF_STATE_IDLE, 0, 0);
	event();
	fake_header(w, 12, TPMIF_STATE_FINISH, 0, 0);
	event();
	assert_int_equal(w->executed, 0);
	assert_int_equal(w->notifications, 0);
}

static void localities(void **state)
{
	unsigned int refused = 0;

	for (unsigned int l = 1; l <= 255; l++) {
		submit(12, (uint8_t)l);
		assert_int_equal(fake_code(w, 0), TPM2_RC_LOCALITY);
		refused++;
	}
	assert_int_equal(w->executed, 0);
	assert_int_equal(fake_stats(w).refused, refused);
	submit(12, 0);
	assert_int_equal(fake_code(w, 0), 0);
	teardown(state);
	setup_localities(0xff);
	for (unsigned int l = 0; l < 5; l++) {
		submit(12, (uint8_t)l);
		assert_int_equal(fake_code(w, 0), 0);
		assert_int_equal(w->last_locality, l);
	}
	submit(12, 5);
	assert_int_equal(fake_code(w, 0), TPM2_RC_LOCALITY);
}

/* What never reaches a TPM 1.2 is answered in its words all the same. */
static void refusals_of_a_tpm12(void **state)
{
	const uint8_t *page;

	teardown(state);
	assert_int_equal(setup_as(1, true), 0);
	page = fake_page(w, 100) + 8;
	submit(12, 1);
	assert_int_equal(fake_code(w, 0), TPM_BAD_LOCALITY);
	assert_int_equal(page[0] << 8 | page[1], 0x00c4);
	submit(9, 0); /* the ring's own: shorter than a header */
	assert_int_equal(fake_code(w, 0), TPM_BAD_PARAM_SIZE);
	assert_int_equal(page[0] << 8 | page[1], 0x00c4);
	w->execute_error = -EIO;
	submit(12, 0);
	assert_int_equal(fake_code(w, 0), TPM_FAIL);
	assert_int_equal(page[0] << 8 | page[1], 0x00c4);
}

static void cancel_of_nothing_is_idle(void **state)
{
	fake_header(w, 12, TPMIF_STATE_CANCEL, 0, 0);
	event();
	assert_int_equal(fake_state(w), TPMIF_STATE_IDLE);
	assert_int_equal(w->notifications, 1);
	assert_int_equal(w->executed, 0);
	fronts_check_cancel(&w->fronts);
	assert_int_equal(w->cancels, 0);
}

static void guest_cancels(struct fake_world *world)
{
	fake_page(world, 100)[4] = TPMIF_STATE_CANCEL;
	world->events++;
	fronts_check_cancel(&world->fronts);
}

static void cancel_while_executing_reaches_the_engine(void **state)
{
	submit(12, 0);
	w->during = guest_cancels;
	submit(12, 0);
	assert_int_equal(w->cancels, 1);
	assert_int_equal(fake_state(w), TPMIF_STATE_FINISH);
	w->during = NULL;
	event(); /* the cancel's own: too late, the answer stands */
	assert_int_equal(fake_state(w), TPMIF_STATE_FINISH);
	assert_int_equal(w->executed, 2);
}

static void an_event_storm_does_no_work(void **state)
{
	fake_header(w, 12, TPMIF_STATE_IDLE, 0, 0);
	peer.state_reads = 0;
	for (unsigned int i = 0; i < 100000; i++)
		event();
	assert_int_equal(peer.state_reads, 100000);
	assert_int_equal(w->notifications, 0);
	assert_int_equal(w->executed, 0);
}

static void an_event_without_a_guest_is_dropped(void **state)
{
	fake_front(w, 5, "state", "6");
	assert_int_equal(fake_look(w), 0);
	peer.page = NULL;
	event();
	assert_false(fake_stats(w).connected);
}

/* The header is read once: two words and the references. */
static void each_field_is_read_once(void **state)
{
	packet(fake_page(w, 100) + 8, 12);
	fake_header(w, 12, TPMIF_STATE_SUBMIT, 0, 0);
	peer.length_reads = 0;
	peer.state_reads = 0;
	event();
	/* One read each, and the write of the answer. */
	assert_int_equal(peer.length_reads, 2);
	assert_int_equal(peer.state_reads, 2);
}

static unsigned int flip_at;
static uint32_t flip_to;

static void flip_length(void)
{
	if (peer.accesses >= flip_at)
		memcpy((void *)peer.page, &flip_to, 4);
}

/* The length changes before access number n, for every n there is. */
static void a_length_that_changes_after_submit(void **state)
{
	static const uint32_t lengths[] = {0, 9, 4089, 4097, 0xffffffff};

	submit(12, 0);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (flip_at = 1; flip_at < 32; flip_at++) {
			flip_to = lengths[i];
			packet(fake_page(w, 100) + 8, 12);
			fake_header(w, 12, TPMIF_STATE_SUBMIT, 0, 0);
			w->last_len = 0;
			peer.accesses = 0;
			peer.hook = flip_length;
			event();
			peer.hook = NULL;
			assert_int_equal(fake_state(w), TPMIF_STATE_FINISH);
			assert_true(w->last_len == 0 || w->last_len == 12);
		}
	}
}

static unsigned int chaos_seed;

static void chaos(void)
{
	volatile uint8_t *p = peer.page + rand_r(&chaos_seed) % 24;

	if (rand_r(&chaos_seed) % 40 == 0)
		*p = (uint8_t)(rand_r(&chaos_seed) % 6);
	if (rand_r(&chaos_seed) % 40 == 1)
		peer.page[4] = TPMIF_STATE_SUBMIT;
}

/* Everything changes all the time: nothing to assert but what ASan does, and that
 * the engine only ever sees packets of sane length (in fake_execute()). */
static void a_page_that_never_holds_still(void **state)
{
	for (unsigned int i = 0; i < 20000; i++) {
		chaos_seed = i;
		packet(fake_page(w, 100) + 8, 12);
		fake_header(w, 12, TPMIF_STATE_SUBMIT, 0, (uint8_t)(i % 3));
		peer.hook = chaos;
		event();
		peer.hook = NULL;
	}
	assert_true(w->executed > 100);
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(one_command),
		RING_TEST(nothing_of_a_failed_command_is_shown),
		RING_TEST(lengths_that_are_refused),
		RING_TEST(lengths_that_disagree_with_the_packet),
		RING_TEST(the_longest_packet_of_one_page),
		RING_TEST(a_response_that_does_not_fit),
		RING_TEST(a_full_packet_both_ways_over_extra_pages),
		RING_TEST(extra_pages_stay_mapped_while_they_are_the_same),
		RING_TEST(a_packet_longer_than_ours_over_extra_pages),
		RING_TEST(too_many_extra_pages_are_refused_unmapped),
		RING_TEST(bad_references_are_refused),
		RING_TEST(garbage_states_are_left_alone),
		RING_TEST(localities),
		RING_TEST(refusals_of_a_tpm12),
		RING_TEST(cancel_of_nothing_is_idle),
		RING_TEST(cancel_while_executing_reaches_the_engine),
		RING_TEST(an_event_storm_does_no_work),
		RING_TEST(an_event_without_a_guest_is_dropped),
		RING_TEST(each_field_is_read_once),
		RING_TEST(a_length_that_changes_after_submit),
		RING_TEST(a_page_that_never_holds_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
