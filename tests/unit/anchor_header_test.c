/* SPDX-License-Identifier: Apache-2.0 */
/* A new header, in the store and then by its hash in the table and in the TPM, as a rekey, a
 * recovery and a header of a new run make it: a power cut after every step of that, and of
 * the start that follows, on a disk that loses what was not synced.  What opens then is the
 * old header or the new one, and the new one once that was acknowledged. */
#define DISK_BYTES 184
#define DISK_PIECE 184
#include "tests/unit/disk.h"
#include "compiler.h"
#include "lib/cursor.h"
#include "tools/vtpmd/anchor_file.h"
#include "tools/vtpmd/store.h"

#define STEPS_MAX   60
#define HEADER_SIZE 100

/* a cut leaves what was allocated behind, as a real one does */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* A vtpmd that runs. */
struct run {
	struct store store;
	struct anchor_file file;
	uint64_t header; /* the generation of the one that counts */
};

static uint8_t tpm[ANCHOR_HASH_SIZE];
static int cuts;

static void make_header(uint64_t seq, uint8_t out[HEADER_SIZE])
{
	struct cursor w = cursor_writer(out, HEADER_SIZE);
	uint8_t uuid[16] = {1}, rest[60] = {[1] = 1};

	memset(rest + 28, (int)seq, 32);
	rest[19] = 4; /* the slot's length: behind 12 bytes of description */
	cursor_put(&w, "XVTPMHDR", 8);
	cursor_put_u16(&w, 2);
	cursor_put_u16(&w, 1);
	cursor_put(&w, uuid, sizeof(uuid));
	cursor_put_u64(&w, seq);
	cursor_put_u64(&w, 7);
	cursor_put(&w, rest, HEADER_SIZE - w.pos);
}

static int put(struct run *r, uint64_t seq)
{
	uint8_t header[HEADER_SIZE];
	int rc;

	make_header(seq, header);
	rc = store_put(&r->store, CHANNEL_OBJECT_HEADER, seq, header, HEADER_SIZE);
	return rc ? rc
		  : store_know(&r->store, CHANNEL_OBJECT_HEADER, header, HEADER_SIZE);
}

/* The header that the store knows counts: its hash goes to the TPM, whose two steps are of
 * the test. */
static int anchor(struct run *r)
{
	const struct store_known *k = store_known(&r->store, CHANNEL_OBJECT_HEADER);
	struct anchor_entry one = {.uuid = {1}};
	struct anchor_table t = {.counter = k->seq, .count = 1, .entries = &one};
	int rc;

	memcpy(one.header, k->hash, sizeof(one.header));
	rc = anchor_file_write(&r->file, &t);
	if (rc)
		return rc;
	(void)next_step();
	memcpy(tpm, r->file.next, sizeof(tpm));
	(void)next_step();
	anchor_file_done(&r->file);
	r->header = k->seq;
	return 0;
}

static int advance(struct run *r)
{
	int rc = put(r, r->header + 1);

	return rc ? rc : anchor(r);
}

/* What a start finds; what does not open is 0. */
static uint64_t begin_run(struct run *r)
{
	struct anchor_table t;
	int rc;

	*r = (struct run){
		.store = {.ops = &store_folder, .dir = DIR_FD, .lease = -1, .uuid = {1}},
		.file = {.dir = DIR_FD}};
	assert_int_equal(anchor_file_load(&r->file, tpm, &t), 0);
	assert_int_equal(t.count, 1);
	rc = store_find_header(&r->store, t.entries[0].header);
	anchor_table_free(&t);
	if (rc < 0)
		return 0;
	r->header = store_known(&r->store, CHANNEL_OBJECT_HEADER)->seq;
	return r->header;
}

/* A disk and a TPM with header 1. */
static void start_with_one(struct run *r)
{
	new_disk();
	memset(tpm, 0, sizeof(tpm));
	*r = (struct run){
		.store = {.ops = &store_folder, .dir = DIR_FD, .lease = -1, .uuid = {1}},
		.file = {.dir = DIR_FD}};
	assert_int_equal(advance(r), 0);
	assert_int_equal(begin_run(r), 1);
}

static void explore(uint64_t old, int depth);

/* Every disk that the cut may leave opens with the old header, or with the new one. */
static void after_cut(uint64_t old, bool done, int depth)
{
	static struct disk after;
	struct disk *at_cut = malloc(sizeof(*at_cut));
	uint8_t tpm_at_cut[ANCHOR_HASH_SIZE];
	struct run r;
	uint64_t n;

	*at_cut = disk;
	memcpy(tpm_at_cut, tpm, sizeof(tpm));
	for (int c = 0; c <= at_cut->changes; c++) {
		for (int b = 0; b < 3; b++) {
			disk = *at_cut;
			lose(&after, c, b);
			disk = after;
			cut_at = fail_at = -1;
			memcpy(tpm, tpm_at_cut, sizeof(tpm));
			n = begin_run(&r);
			assert_true(n == old + 1 || (!done && n == old));
			/* and that one is the one from then on */
			assert_int_equal(begin_run(&r), n);
			cuts++;
			disk = after;
			if (depth)
				explore(n, depth - 1);
		}
	}
	free(at_cut);
}

/* From this disk and TPM, with that header: a start, and the next header, cut after every
 * step. */
static void explore(uint64_t old, int depth)
{
	struct disk *begin = malloc(sizeof(*begin));
	uint8_t tpm_begin[ANCHOR_HASH_SIZE];
	volatile bool done = false;
	volatile int cut;

	*begin = disk;
	memcpy(tpm_begin, tpm, sizeof(tpm));
	for (cut = 0; !done; cut++) {
		struct run r;

		assert_true(cut < STEPS_MAX);
		disk = *begin;
		memcpy(tpm, tpm_begin, sizeof(tpm));
		step = 0;
		cut_at = cut;
		if (!setjmp(power_cut)) {
			assert_int_equal(begin_run(&r), old);
			assert_int_equal(advance(&r), 0);
			done = true;
		}
		cut_at = -1;
		after_cut(old, done, depth);
	}
	free(begin);
}

static void a_power_cut_after_every_step_and_once_more(void **state)
{
	struct run r;

	cuts = 0;
	start_with_one(&r);
	assert_int_equal(advance(&r), 0);
	explore(2, 1);
	print_message("# %d disks\n", cuts);
	assert_true(cuts > 1000);
}

/* The disk refuses a step, the manager is told, and the power goes. */
static void an_error_at_every_step(void **state)
{
	static const int errors[] = {ENOSPC, EIO};
	struct run r;
	int at, rc;

	for (size_t e = 0; e < ARRAY_SIZE(errors); e++) {
		for (at = 0; at < STEPS_MAX; at++) {
			start_with_one(&r);
			assert_int_equal(advance(&r), 0);
			step = 0;
			fail_at = at;
			fail_with = errors[e];
			rc = put(&r, 3);
			if (step <= at)
				break;
			fail_at = -1;
			assert_true(rc == 0 || rc == -errors[e]);
			after_cut(2, false, 0);
		}
		assert_true(at > 7 && at < STEPS_MAX);
	}
}

static void forget_what_is_known(struct run *r)
{
	r->store = (struct store){
		.ops = &store_folder, .dir = DIR_FD, .lease = -1, .uuid = {1}};
}

/* vtpmd is killed at each step, and the disk is not: the next one reads what may not be
 * durable.  The manager, which had no answer, puts the same again, has its answer, and the
 * power goes. */
static void the_same_put_again_is_durable(void **state)
{
	static struct disk after;
	volatile bool done = false;
	volatile int cut;
	struct run r;

	for (cut = 0; !done; cut++) {
		assert_true(cut < STEPS_MAX);
		start_with_one(&r);
		step = 0;
		cut_at = cut;
		if (!setjmp(power_cut)) {
			assert_int_equal(put(&r, 2), 0);
			done = true;
		}
		cut_at = -1;
		forget_what_is_known(&r);
		assert_int_equal(put(&r, 2), 0);
		lose(&after, 0, 0);
		disk = after;
		forget_what_is_known(&r);
		assert_int_equal(store_seq(&r.store, CHANNEL_OBJECT_HEADER), 2);
	}
	assert_true(cut > 7);
}

/* Why another header has to wait until the last one is anchored (anchor_has_header()): after
 * two of them there is none that the TPM knows. */
static void two_headers_that_are_not_anchored(void **state)
{
	struct run r;

	start_with_one(&r);
	assert_int_equal(put(&r, 2), 0);
	assert_int_equal(begin_run(&r), 1);
	assert_int_equal(put(&r, 2), 0);
	assert_int_equal(put(&r, 3), 0);
	assert_int_equal(begin_run(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_power_cut_after_every_step_and_once_more),
		cmocka_unit_test(an_error_at_every_step),
		cmocka_unit_test(the_same_put_again_is_durable),
		cmocka_unit_test(two_headers_that_are_not_anchored),
	};

	return cmocka_run_group_tests_name("anchor_header", tests, NULL, NULL);
}
