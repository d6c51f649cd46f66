/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a twin file on a disk that loses what was not synced: a power cut after every
 * step, whatever of a write's bytes had reached the disk, and every error at every step. */
#define DISK_BYTES 32768
#define DISK_PIECE 512
#define INODES	   20
#include "tests/unit/disk.h"
#include "lib/twin.h"
#include "lib/atomic.h"

#define F	  "f"
#define MAX	  8000
#define STEPS_MAX 400
#define SMALL	  1400 /* three sectors and a head */
#define LARGE	  8200 /* does not fit into a side that was made for a small one */
#define NOTHING	  (-1)

/* a cut leaves what was allocated behind, as a real one does */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* What is done with a file, one after the other; the value is a number in all bytes. */
static const struct act {
	enum { WRITE, SETTLE } kind;
	size_t len;
} life[] = {
	{WRITE, SMALL}, /* plain */
	{WRITE, SMALL}, /* becomes a twin */
	{WRITE, SMALL}, /* in place: the second side */
	{WRITE, 700},	/* the first again */
	{WRITE, SMALL}, /* the second */
	{SETTLE, 0},	/* plain */
	{WRITE, SMALL}, /* a twin */
	{WRITE, LARGE}, /* another twin */
	{WRITE, SMALL}, /* in place */
	{SETTLE, 0},	/* plain */
	{WRITE, SMALL}, /* becomes a twin */
	{SETTLE, 0},	/* plain */
};
#define ACTS ((int)(sizeof(life) / sizeof(*life)))

/* a file becomes a twin, has each side written, is plain, and a twin again */
#define KILL_ACTS 7

/* of the process that writes */
static struct twin_own own;

/* Another process, or the same system after a power cut. */
static void begin_process(void)
{
	own = (struct twin_own){.side = 0};
}

static void start_anew(void)
{
	new_disk();
	begin_process();
}

/* The value that a reader gets: its number, or NOTHING; fails on any other bytes. */
static int value(void)
{
	int at = cut_at, fail = fail_at, steps = step, number;
	uint8_t *buf;
	size_t len;
	int rc;

	cut_at = fail_at = -1;
	rc = twin_read(DIR_FD, F, TWIN_VALUE_MAX, &buf, &len);
	cut_at = at;
	fail_at = fail;
	step = steps;
	if (rc == -ENOENT)
		return NOTHING;
	assert_int_equal(rc, 0);
	assert_true(len);
	number = buf[0];
	for (size_t i = 0; i < len; i++)
		assert_int_equal(buf[i], number);
	free(buf);
	return number;
}

static int write_value(int number, size_t len)
{
	static uint8_t buf[DISK_BYTES];

	memset(buf, number, len);
	return twin_write(&own, DIR_FD, F, buf, len);
}

static int do_act(int i)
{
	return life[i].kind == WRITE ? write_value(i + 1, life[i].len)
				     : twin_settle(DIR_FD, F);
}

/* The value once the first n acts are done. */
static int value_after(int n)
{
	while (n && life[n - 1].kind != WRITE)
		n--;
	return n ? n : NOTHING;
}

static bool is_of(int number, int before, int after)
{
	return number == value_after(before) || number == value_after(after);
}

/* Whatever lies about, the next writes go well, and are what is read, and durable. */
static void goes_on(void)
{
	static struct disk after;

	cut_at = fail_at = -1;
	begin_process();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write_value(100 + i, SMALL), 0);
		lose(&after, 0, 0);
		copy_disk(&disk, &after);
		assert_int_equal(value(), 100 + i);
	}
	assert_int_equal(twin_settle(DIR_FD, F), 0);
	lose(&after, 0, 0);
	copy_disk(&disk, &after);
	assert_int_equal(value(), 102);
}

/* Of all disks that a cut may leave now: the value is that after `before` or `after` acts. */
static int check_cut(int before, int after)
{
	static struct disk at_cut, left;
	const struct twin_own writer = own;
	int n = 0;

	copy_disk(&at_cut, &disk);
	for (int c = 0; c <= at_cut.changes; c++)
		for (int b = 0; b < 4; b++, n++) {
			copy_disk(&disk, &at_cut);
			lose(&left, c, b);
			copy_disk(&disk, &left);
			assert_true(is_of(value(), before, after));
			goes_on();
		}
	copy_disk(&disk, &at_cut);
	own = writer;
	return n;
}

static void a_power_cut_after_every_step(void **state)
{
	static int i, cuts, disks;

	for (cuts = 0; cuts < STEPS_MAX; cuts++) {
		start_anew();
		cut_at = cuts;
		if (setjmp(power_cut)) {
			disks += check_cut(i, i + 1);
			continue;
		}
		for (i = 0; i < ACTS; i++) {
			assert_int_equal(do_act(i), 0);
			/* acknowledged: a cut from here on leaves it */
			assert_int_equal(value(), value_after(i + 1));
		}
		break;
	}
	assert_true(cuts > 100 && cuts < STEPS_MAX);
	print_message("# %d power cuts, %d disks\n", cuts, disks);
}

/* Does acts until the one that is cut at its step `kill`, as by a kill: what is not synced
 * is there for who reads.  The act's number; ACTS: there is no such step. */
static int live_until(int kill)
{
	static int i;

	start_anew();
	cut_at = kill;
	if (!setjmp(power_cut))
		for (i = 0; i < ACTS; i++)
			assert_int_equal(do_act(i), 0);
	cut_at = -1;
	begin_process();
	return i;
}

/* The writer is killed at each step, and the disk is not: what it did not sync is read until
 * the power goes.  Another one does the same act again, and the next. */
static void a_kill_after_every_step(void **state)
{
	int i, kills;

	for (kills = 0; (i = live_until(kills)) < ACTS; kills++) {
		assert_true(is_of(value(), i, i + 1));
		for (int next = i; next < i + 3 && next < ACTS; next++) {
			assert_int_equal(do_act(next), 0);
			assert_int_equal(value(), value_after(next + 1));
			check_cut(next + 1, next + 1);
		}
	}
	assert_true(kills > 100 && kills < STEPS_MAX);
}

/* Of all disks that a cut may leave in what the process after a killed one does: when what it
 * saw is synced, that or what it writes, 99; before, what was there before the act or after. */
static int check_next(int act, int seen, bool is_synced)
{
	static struct disk at_cut, left;
	int n = 0, number;

	copy_disk(&at_cut, &disk);
	for (int c = 0; c <= at_cut.changes; c++)
		for (int b = 0; b < 4; b++, n++) {
			copy_disk(&disk, &at_cut);
			lose(&left, c, b);
			copy_disk(&disk, &left);
			number = value();
			assert_true(is_synced ? number == seen || number == 99
					      : is_of(number, act, act + 1));
			if (!b && !c)
				goes_on();
		}
	return n;
}

/* The same, and the power goes at each step of what the next process does: it sees a value,
 * syncs it, and writes one. */
static void a_kill_and_then_a_power_cut(void **state)
{
	static int act, kills, cuts, seen, disks;
	static bool is_synced, is_over;

	for (kills = 0; live_until(kills) < KILL_ACTS; kills++)
		for (cuts = 0, is_over = false; !is_over; cuts++) {
			act = live_until(kills);
			seen = value();
			is_synced = false;
			cut_at = step + cuts;
			if (!setjmp(power_cut)) {
				assert_int_equal(twin_sync(DIR_FD, F), 0);
				is_synced = true;
				assert_int_equal(write_value(99, SMALL), 0);
				is_over = true;
			}
			cut_at = -1;
			disks += check_next(act, seen, is_synced);
		}
	assert_true(kills > 60 && kills < STEPS_MAX);
	print_message("# %d kills, then %d disks\n", kills, disks);
}

/* The writer is killed at each step, and the disk fails the next one's sync of what it sees, at
 * each step of that: it syncs again, and what it saw is durable then. */
static void a_kill_and_then_a_sync_that_fails(void **state)
{
	int act, kills, fails, seen, disks = 0, rc;

	for (kills = 0; live_until(kills) < KILL_ACTS; kills++)
		for (fails = 0; fails < 3; fails++) {
			act = live_until(kills);
			seen = value();
			fail_at = step + fails;
			fail_with = EIO;
			rc = twin_sync(DIR_FD, F);
			fail_at = -1;
			assert_int_equal(value(), seen);
			if (rc)
				assert_int_equal(twin_sync(DIR_FD, F), 0);
			disks += check_next(act, seen, true);
		}
	print_message("# %d kills, then %d disks\n", kills, disks);
}

/* After each act, acknowledged, no cut leaves anything but its value. */
static void what_is_acknowledged_is_durable(void **state)
{
	start_anew();
	for (int i = 0; i < ACTS; i++) {
		assert_int_equal(do_act(i), 0);
		check_cut(i + 1, i + 1);
	}
}

/* An in-place write that has not been synced: which of its sectors, or bytes, are there. */
static struct inode *torn(struct disk *before)
{
	struct inode *f;

	start_anew();
	for (int i = 0; i < 4; i++)
		assert_int_equal(do_act(i), 0);
	*before = disk;
	/* the write's bytes, and no fdatasync */
	cut_at = step + (TWIN_HEAD + SMALL + DISK_PIECE - 1) / DISK_PIECE;
	if (!setjmp(power_cut))
		assert_true(do_act(4) && false);
	cut_at = -1;
	f = &disk.inodes[now()->inode[find(now(), F)]];
	assert_int_equal(value(), value_after(5));
	return f;
}

static void every_torn_length(void **state)
{
	static struct disk before;
	struct inode *f = torn(&before);
	char whole[DISK_BYTES];
	int n = 0;

	memcpy(whole, f->bytes, sizeof(whole));
	for (size_t at = 0; at <= f->len; at++) {
		/* a prefix, then a suffix */
		memcpy(f->bytes, whole, at);
		memcpy(f->bytes + at, f->synced + at, f->len - at);
		assert_true(is_of(value(), 4, 5));
		memcpy(f->bytes, f->synced, at);
		memcpy(f->bytes + at, whole + at, f->len - at);
		assert_true(is_of(value(), 4, 5));
		n += 2;
	}
	print_message("# %d torn writes\n", n);
}

/* Disks write sectors in any order, and leave garbage in the one that they were at. */
static void every_set_of_sectors(void **state)
{
	static struct disk before;
	struct inode *f = torn(&before);
	char whole[DISK_BYTES];
	int all = 1, older = 0;
	size_t begin = 0, sectors = (TWIN_HEAD + SMALL + 511) / 512;

	memcpy(whole, f->bytes, sizeof(whole));
	while (!memcmp(f->bytes + begin, f->synced + begin, 512))
		begin += 512;
	for (size_t i = 0; i < sectors; i++)
		all *= 3;
	for (int mask = 0; mask < all; mask++) {
		int m = mask, number;

		for (size_t i = 0; i < sectors; i++, m /= 3) {
			char *at = f->bytes + begin + 512 * i;

			memset(at, 0x5a, 512);
			if (m % 3)
				memcpy(at,
				       (m % 3 == 1 ? f->synced : whole) + (at - f->bytes),
				       512);
		}
		number = value();
		assert_true(is_of(number, 4, 5));
		older += number == value_after(4);
	}
	assert_int_equal(older, all - 1);
}

static void is_unreadable(const struct inode *f, int side)
{
	size_t page = f->len / 2 * (size_t)side;

	memset(bad[f - disk.inodes] + page, true, TWIN_BLOCK);
}

/* Many disks, and dm-integrity, do not read a sector again that they were writing: the system
 * reads nothing of that page then. */
static void a_torn_sector_that_cannot_be_read(void **state)
{
	static struct disk before;
	struct inode *f;
	uint8_t *buf;
	size_t len;

	/* the fifth act is written to the second side; the fourth is on the first */
	f = torn(&before);
	is_unreadable(f, 1);
	assert_int_equal(value(), value_after(4));
	goes_on();
	f = torn(&before);
	is_unreadable(f, 1);
	assert_int_equal(twin_settle(DIR_FD, F), 0);
	assert_int_equal(value(), value_after(4));
	/* of both nothing is made up, nor of a plain file */
	f = torn(&before);
	is_unreadable(f, 0);
	is_unreadable(f, 1);
	assert_int_equal(twin_read(DIR_FD, F, MAX, &buf, &len), -EIO);
	assert_int_equal(twin_settle(DIR_FD, F), -EIO);
	start_anew();
	assert_int_equal(do_act(0), 0);
	is_unreadable(&disk.inodes[now()->inode[find(now(), F)]], 0);
	assert_int_equal(twin_read(DIR_FD, F, MAX, &buf, &len), -EIO);
	assert_int_equal(twin_settle(DIR_FD, F), -EIO);
}

/* The disk reports an error at one step, or from that one on: the value is the one before
 * or the new one, also after a cut, and a 0 means that it is the new one. */
static void an_error_at_every_step(void **state)
{
	static const int errors[] = {ENOSPC, EIO, EROFS};
	int steps, i, rc;

	for (int way = 0; way < 6; way++)
		for (steps = 0; steps < STEPS_MAX; steps++) {
			start_anew();
			fail_at = steps;
			fail_with = errors[way / 2];
			fails_for_good = way & 1;
			for (i = 0, rc = 0; i < ACTS && !rc; i++)
				rc = do_act(i);
			if (!rc && step <= steps)
				break;
			fail_at = -1;
			if (!rc)
				assert_int_equal(value(), value_after(ACTS));
			check_cut(rc ? i - 1 : i, i);
			/* the same again */
			if (rc && life[i - 1].kind == WRITE) {
				assert_int_equal(do_act(i - 1), 0);
				assert_int_equal(value(), i);
				check_cut(i, i);
			}
			goes_on();
		}
	assert_true(steps > 100);
}

/* Who puts both sides of an earlier time back gets that, as with any file; the highest count
 * there can be is no end of the counting. */
static void counts_begin_anew(void **state)
{
	struct inode *f;
	uint8_t *file;
	size_t len;
	struct twin t;

	start_anew();
	for (int i = 0; i < 3; i++)
		assert_int_equal(do_act(i), 0);
	assert_int_equal(atomic_read(DIR_FD, F, DISK_BYTES, &file, &len), 0);
	assert_int_equal(twin_parse(file, len, &t), 0);
	assert_int_equal(t.count, 2);
	assert_int_equal(t.newest, 1);
	free(file);
	f = &disk.inodes[now()->inode[find(now(), F)]];
	/* damage: then the other one is it, until the next write */
	f->bytes[t.side + 100] ^= 1;
	assert_int_equal(value(), 2);
	assert_int_equal(write_value(9, SMALL), 0);
	assert_int_equal(value(), 9);
	/* neither is whole: the file is given out, for whoever opens it to refuse */
	f->bytes[100] ^= 1;
	assert_int_equal(twin_read(DIR_FD, F, 1000, &file, &len), 0);
	assert_int_equal(len, 1000);
	assert_memory_equal(file, "XVTPMTWN", 8);
	free(file);
}

/* Another name of the file is somebody's copy, which stays as it was. */
static void a_file_with_two_names_is_not_overwritten(void **state)
{
	struct inode *f;
	char was[DISK_BYTES];

	start_anew();
	for (int i = 0; i < 4; i++)
		assert_int_equal(do_act(i), 0);
	f = &disk.inodes[now()->inode[find(now(), F)]];
	memcpy(was, f->bytes, sizeof(was));
	assert_int_equal(__wrap_linkat(DIR_FD, F, DIR_FD, "kept", 0), 0);
	assert_int_equal(write_value(9, SMALL), 0);
	assert_int_equal(value(), 9);
	assert_memory_equal(was, f->bytes, sizeof(was));
}

/* What another process wrote may be in memory alone, on either side: nothing in it is
 * overwritten. */
static void a_file_of_another_process_is_not_overwritten(void **state)
{
	struct inode *f;
	char was[DISK_BYTES];
	int inode;

	for (int way = 0; way < 3; way++) {
		start_anew();
		for (int i = 0; i < 4; i++)
			assert_int_equal(do_act(i), 0);
		inode = now()->inode[find(now(), F)];
		f = &disk.inodes[inode];
		if (way == 0)
			begin_process();
		/* somebody else's write into our own: either head */
		if (way)
			f->bytes[way == 1 ? 16 : f->len / 2 + 16] ^= 1;
		memcpy(was, f->bytes, sizeof(was));
		assert_int_equal(write_value(9, SMALL), 0);
		assert_int_equal(value(), 9);
		assert_memory_equal(was, f->bytes, sizeof(was));
		assert_int_not_equal(now()->inode[find(now(), F)], inode);
	}
}

static void values_that_are_too_long(void **state)
{
	uint8_t *buf;
	size_t len;

	start_anew();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(do_act(i), 0);
		assert_int_equal(twin_read(DIR_FD, F, SMALL - 1, &buf, &len), -EFBIG);
		assert_int_equal(twin_read(DIR_FD, F, SMALL, &buf, &len), 0);
		assert_int_equal(len, SMALL);
		free(buf);
	}
	assert_int_equal(twin_settle(DIR_FD, "other"), 0);
	assert_int_equal(twin_sync(DIR_FD, "other"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_power_cut_after_every_step),
		cmocka_unit_test(a_kill_after_every_step),
		cmocka_unit_test(a_kill_and_then_a_power_cut),
		cmocka_unit_test(a_kill_and_then_a_sync_that_fails),
		cmocka_unit_test(what_is_acknowledged_is_durable),
		cmocka_unit_test(every_torn_length),
		cmocka_unit_test(every_set_of_sectors),
		cmocka_unit_test(a_torn_sector_that_cannot_be_read),
		cmocka_unit_test(an_error_at_every_step),
		cmocka_unit_test(counts_begin_anew),
		cmocka_unit_test(a_file_with_two_names_is_not_overwritten),
		cmocka_unit_test(a_file_of_another_process_is_not_overwritten),
		cmocka_unit_test(values_that_are_too_long),
	};

	return cmocka_run_group_tests_name("twin", tests, NULL, NULL);
}
