/* SPDX-License-Identifier: Apache-2.0 */
/* The table on the disk and its hash in the TPM: a power cut after every step, on a disk
 * that loses what was not synced, and once more while it recovers; every error of the
 * disk at every step; a TPM that did, or did not, take what it was told. */
#define DISK_BYTES 184
#define DISK_PIECE 72
#include "tests/unit/disk.h"
#include "compiler.h"
#include "tools/vtpmd/anchor_file.h"

#define STEPS_MAX 40

/* a cut leaves what was allocated behind, as a real one does */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static uint8_t tpm[ANCHOR_HASH_SIZE];
static int cuts;

static int step1(struct anchor_file *f, uint64_t n)
{
	struct anchor_entry one = {.uuid = {1}, .header = {1}, .permall = n};
	struct anchor_table t = {.counter = n, .count = 1, .entries = &one};

	return anchor_file_write(f, &t);
}

/* All three steps; the TPM is two of the test's: before and after it has it. */
static int advance(struct anchor_file *f, uint64_t n)
{
	int rc = step1(f, n);

	if (rc)
		return rc;
	(void)next_step();
	memcpy(tpm, f->next, sizeof(tpm));
	(void)next_step();
	anchor_file_done(f);
	return 0;
}

/* What a start finds. */
static uint64_t found(struct anchor_file *f)
{
	struct anchor_table t;
	uint64_t n;

	*f = (struct anchor_file){.dir = DIR_FD};
	assert_int_equal(anchor_file_load(f, tpm, &t), 0);
	assert_int_equal(t.count, 1);
	assert_int_equal(t.entries[0].permall, t.counter);
	n = t.counter;
	anchor_table_free(&t);
	return n;
}

/* A disk and a TPM with table 1. */
static void start_with_one(struct anchor_file *f)
{
	new_disk();
	memset(tpm, 0, sizeof(tpm));
	*f = (struct anchor_file){.dir = DIR_FD};
	assert_int_equal(advance(f, 1), 0);
}

static void explore(struct anchor_file f, uint64_t old, int depth);

/* Every disk that the cut may leave: it starts with the old table or the new one. */
static void after_cut(uint64_t old, bool done, int depth)
{
	static struct disk after;
	struct disk *at_cut = malloc(sizeof(*at_cut));
	uint8_t tpm_at_cut[ANCHOR_HASH_SIZE];
	struct anchor_file f;
	uint64_t n;

	*at_cut = disk;
	memcpy(tpm_at_cut, tpm, sizeof(tpm));
	for (int c = 0; c <= at_cut->changes; c++) {
		for (int b = 0; b < 3; b++) {
			disk = *at_cut;
			memcpy(tpm, tpm_at_cut, sizeof(tpm));
			lose(&after, c, b);
			disk = after;
			cut_at = fail_at = -1;
			n = found(&f);
			assert_true(n == old + 1 || (!done && n == old));
			cuts++;
			if (depth)
				explore(f, n, depth - 1);
		}
	}
	free(at_cut);
}

/* From this disk and TPM, table old: the next one, cut after every step. */
static void explore(struct anchor_file f, uint64_t old, int depth)
{
	struct disk *begin = malloc(sizeof(*begin));
	uint8_t tpm_begin[ANCHOR_HASH_SIZE];
	volatile bool done = false;
	volatile int cut;

	*begin = disk;
	memcpy(tpm_begin, tpm, sizeof(tpm));
	for (cut = 0; !done; cut++) {
		struct anchor_file own = f;

		assert_true(cut < STEPS_MAX);
		disk = *begin;
		memcpy(tpm, tpm_begin, sizeof(tpm));
		step = 0;
		cut_at = cut;
		if (!setjmp(power_cut)) {
			assert_int_equal(advance(&own, old + 1), 0);
			done = true;
		}
		cut_at = -1;
		after_cut(old, done, depth);
	}
	free(begin);
}

static void a_power_cut_after_every_step_and_once_more(void **state)
{
	struct anchor_file f;

	cuts = 0;
	start_with_one(&f);
	explore(f, 1, 1);
	print_message("# %d disks\n", cuts);
	assert_true(cuts > 1000);
}

static void an_error_at_every_step(void **state)
{
	static const int errors[] = {ENOSPC, EIO, EROFS};
	struct anchor_file f;
	int at, rc;

	for (size_t e = 0; e < ARRAY_SIZE(errors); e++) {
		for (at = 0; at < STEPS_MAX; at++) {
			start_with_one(&f);
			assert_int_equal(advance(&f, 2), 0);
			step = 0;
			fail_at = at;
			fail_with = errors[e];
			rc = step1(&f, 3);
			if (step <= at)
				break;
			fail_at = -1;
			assert_true(rc == 0 || rc == -errors[e]);
			/* the TPM was not told: every disk has the table that it knows */
			after_cut(2, false, 0);
		}
		assert_true(at > 7 && at < STEPS_MAX);
	}
}

/* After an error the same vtpmd tries again, and is cut then. */
static void a_power_cut_after_an_error(void **state)
{
	struct anchor_file f;
	int at;

	for (at = 0; at < STEPS_MAX; at++) {
		start_with_one(&f);
		step = 0;
		fail_at = at;
		fail_with = EIO;
		if (step1(&f, 2) == 0 && step <= at)
			break;
		fail_at = -1;
		if (!f.pending)
			explore(f, 1, 0);
	}
	assert_true(at > 7 && at < STEPS_MAX);
}

/* Which of the two files counts cannot be seen: then neither goes. */
static void a_disk_that_does_not_read(void **state)
{
	struct anchor_file f;

	start_with_one(&f);
	assert_int_equal(advance(&f, 2), 0);
	reads_fail = true;
	assert_int_equal(step1(&f, 3), -EIO);
	reads_fail = false;
	after_cut(2, false, 0);
}

/* The TPM's answer was lost: until it is known, no file may go. */
static void a_tpm_that_may_have_taken_it(void **state)
{
	struct anchor_file f, again;

	for (int took = 0; took < 2; took++) {
		start_with_one(&f);
		assert_int_equal(step1(&f, 2), 0);
		assert_int_equal(step1(&f, 3), -EBUSY);
		if (took)
			memcpy(tpm, f.next, sizeof(tpm));
		assert_int_equal(found(&again), took ? 2 : 1);
		assert_int_equal(advance(&again, 3), 0);
		assert_int_equal(found(&again), 3);
	}
}

static void files_that_do_not_fit(void **state)
{
	struct anchor_file f;
	struct anchor_table t;

	new_disk();
	memset(tpm, 7, sizeof(tpm));
	f = (struct anchor_file){.dir = DIR_FD};
	assert_int_equal(anchor_file_load(&f, tpm, &t), -ENOENT);
	start_with_one(&f);
	assert_int_equal(advance(&f, 2), 0);
	tpm[0] ^= 1;
	assert_int_equal(anchor_file_load(&f, tpm, &t), -ESTALE);
	tpm[0] ^= 1;
	disk.inodes[now()->inode[find(now(), "anchor")]].bytes[30] ^= 1;
	assert_int_equal(anchor_file_load(&f, tpm, &t), -ESTALE);
	disk.inodes[now()->inode[find(now(), "anchor")]].bytes[30] ^= 1;
	assert_int_equal(found(&f), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_power_cut_after_every_step_and_once_more),
		cmocka_unit_test(an_error_at_every_step),
		cmocka_unit_test(a_power_cut_after_an_error),
		cmocka_unit_test(a_disk_that_does_not_read),
		cmocka_unit_test(a_tpm_that_may_have_taken_it),
		cmocka_unit_test(files_that_do_not_fit),
	};

	return cmocka_run_group_tests_name("anchor_file", tests, NULL, NULL);
}
