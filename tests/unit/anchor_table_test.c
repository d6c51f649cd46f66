/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "compiler.h"
#include "tools/vtpmd/anchor_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct anchor_entry entry(uint8_t first, uint64_t permall)
{
	return (struct anchor_entry){
		.uuid = {first}, .header = {1}, .epoch = 7, .permall = permall};
}

static void put(struct anchor_table *t, uint8_t first, uint64_t permall)
{
	struct anchor_entry e = entry(first, permall);

	assert_int_equal(anchor_table_set(t, &e), 0);
}

static uint64_t permall(const struct anchor_table *t, uint8_t first)
{
	const struct anchor_entry *e = anchor_table_find(t, entry(first, 0).uuid);

	return e ? e->permall : 0;
}

static struct anchor_table three(void)
{
	struct anchor_table t = {
		.counter = 7, .audit = {.n = 17, .hash = {1, 2, 3}}, .pool = 0x1122};

	put(&t, 5, 50);
	put(&t, 1, 10);
	put(&t, 9, 90);
	return t;
}

static void entries_are_found_replaced_and_removed(void **state)
{
	struct anchor_table t = three();

	assert_int_equal(t.count, 3);
	put(&t, 5, 51);
	assert_int_equal(t.count, 3);
	assert_int_equal(permall(&t, 1), 10);
	assert_int_equal(permall(&t, 5), 51);
	assert_int_equal(permall(&t, 9), 90);
	assert_null(anchor_table_find(&t, entry(2, 0).uuid));
	assert_false(anchor_table_remove(&t, entry(2, 0).uuid));
	assert_true(anchor_table_remove(&t, entry(1, 0).uuid));
	assert_true(anchor_table_remove(&t, entry(9, 0).uuid));
	assert_int_equal(t.count, 1);
	assert_int_equal(permall(&t, 5), 51);
	assert_true(anchor_table_remove(&t, entry(5, 0).uuid));
	assert_int_equal(t.count, 0);
	anchor_table_free(&t);
}

static void it_comes_back_as_it_was(void **state)
{
	static uint8_t bytes[ANCHOR_TABLE_MAX], again[ANCHOR_TABLE_MAX];
	struct anchor_table t = three(), back;
	size_t len = anchor_table_encode(&t, bytes);

	assert_int_equal(len, ANCHOR_TABLE_HEAD + 3 * ANCHOR_TABLE_ENTRY);
	assert_int_equal(anchor_table_decode(&back, bytes, len), 0);
	assert_int_equal(back.counter, 7);
	assert_int_equal(back.audit.n, 17);
	assert_memory_equal(back.audit.hash, t.audit.hash, sizeof(t.audit.hash));
	assert_int_equal(back.pool, 0x1122);
	assert_int_equal(back.count, 3);
	assert_int_equal(permall(&back, 9), 90);
	assert_int_equal(anchor_table_encode(&back, again), len);
	assert_memory_equal(bytes, again, len);
	anchor_table_free(&back);
	anchor_table_free(&t);
}

/* Of a vtpmd that was updated: without vTPMs in a pool, without marks, and without a pool. */
static void those_of_the_last_versions(void **state)
{
	static uint8_t bytes[ANCHOR_TABLE_MAX];
	struct anchor_table t = three(), back;
	size_t len = anchor_table_encode(&t, bytes);
	const size_t pool = ANCHOR_TABLE_HEAD - 12;
	const size_t flags = ANCHOR_TABLE_HEAD + ANCHOR_TABLE_ENTRY - 2;

	bytes[9] = 6;
	assert_int_equal(anchor_table_decode(&back, bytes, len), 0);
	assert_false(back.entries[2].pooled);
	anchor_table_free(&back);
	bytes[flags] |= 2;
	assert_int_equal(anchor_table_decode(&back, bytes, len), -EBADMSG);
	bytes[9] = 7;
	assert_int_equal(anchor_table_decode(&back, bytes, len), 0);
	assert_true(back.entries[0].pooled && !back.entries[1].pooled);
	anchor_table_free(&back);
	bytes[flags] ^= 2;
	bytes[9] = 5;
	assert_int_equal(anchor_table_decode(&back, bytes, len), -EBADMSG);
	for (size_t i = 3; i > 0; i--) {
		size_t end = ANCHOR_TABLE_HEAD + i * ANCHOR_TABLE_ENTRY;

		memmove(bytes + end - 1, bytes + end, len - end);
		len--;
	}
	assert_int_equal(anchor_table_decode(&back, bytes, len), 0);
	assert_int_equal(back.pool, 0x1122);
	assert_int_equal(permall(&back, 9), 90);
	assert_int_equal(back.entries[2].mark.kind, HANDOVER_NO_MARK);
	anchor_table_free(&back);
	bytes[9] = 4;
	memmove(bytes + pool, bytes + pool + 8, len - pool - 8);
	assert_int_equal(anchor_table_decode(&back, bytes, len), -EBADMSG);
	assert_int_equal(anchor_table_decode(&back, bytes, len - 8), 0);
	assert_int_equal(back.pool, 0);
	assert_int_equal(permall(&back, 9), 90);
	anchor_table_free(&back);
	bytes[9] = 3;
	assert_int_equal(anchor_table_decode(&back, bytes, len - 8), -EBADMSG);
	anchor_table_free(&t);
}

static void mark(struct anchor_table *t, uint8_t first, const char *peer)
{
	struct anchor_entry e = *anchor_table_find(t, entry(first, 0).uuid);

	e.mark.kind = HANDOVER_LEAVING;
	e.mark.txid[0] = 7;
	strcpy(e.mark.peer, peer);
	assert_int_equal(anchor_table_set(t, &e), 0);
}

static void marks_come_back(void **state)
{
	static uint8_t bytes[ANCHOR_TABLE_MAX];
	struct anchor_table t = three(), back;
	const struct anchor_entry *e;
	size_t len, kind, i;

	mark(&t, 9, "beta");
	len = anchor_table_encode(&t, bytes);
	kind = len - 4 - 1 - HANDOVER_TXID_SIZE - 1;
	assert_int_equal(len, ANCHOR_TABLE_HEAD + 3 * ANCHOR_TABLE_ENTRY +
				      HANDOVER_TXID_SIZE + 1 + 4);
	assert_int_equal(anchor_table_decode(&back, bytes, len), 0);
	e = anchor_table_find(&back, entry(9, 0).uuid);
	assert_memory_equal(&e->mark, &t.entries[2].mark, sizeof(e->mark));
	anchor_table_free(&back);
	for (i = 0; i < len; i++)
		assert_int_equal(anchor_table_decode(&back, bytes, i), -EBADMSG);
	/* none of these is written */
	assert_int_equal(bytes[kind], HANDOVER_LEAVING);
	bytes[kind] = HANDOVER_MARKS;
	assert_int_equal(anchor_table_decode(&back, bytes, len), -EBADMSG);
	bytes[kind] = HANDOVER_LEAVING;
	bytes[len - 1] = 0;
	assert_int_equal(anchor_table_decode(&back, bytes, len), -EBADMSG);
	bytes[len - 1] = '\n';
	assert_int_equal(anchor_table_decode(&back, bytes, len), -EBADMSG);
	bytes[len - 5] = 0;
	assert_int_equal(anchor_table_decode(&back, bytes, len - 4), -EBADMSG);
	anchor_table_free(&t);
}

static void an_empty_one(void **state)
{
	static uint8_t bytes[ANCHOR_TABLE_MAX];
	struct anchor_table t = {.counter = 1}, back;

	assert_int_equal(anchor_table_encode(&t, bytes), ANCHOR_TABLE_HEAD);
	assert_int_equal(anchor_table_decode(&back, bytes, ANCHOR_TABLE_HEAD), 0);
	assert_int_equal(back.count, 0);
	anchor_table_free(&back);
}

static void as_many_as_fit(void **state)
{
	static uint8_t bytes[ANCHOR_TABLE_MAX];
	struct anchor_table t = {.counter = 1}, back;
	struct anchor_entry e = entry(0, 1);

	e.mark.kind = HANDOVER_ARRIVING;
	memset(e.mark.peer, 'x', POOL_NAME_MAX);
	for (int i = 0; i < ANCHOR_TABLE_ENTRIES; i++) {
		e.uuid[0] = (uint8_t)i;
		e.uuid[1] = (uint8_t)(i >> 8);
		assert_int_equal(anchor_table_set(&t, &e), 0);
	}
	e.uuid[2] = 1;
	assert_int_equal(anchor_table_set(&t, &e), -ENOSPC);
	assert_int_equal(anchor_table_encode(&t, bytes), ANCHOR_TABLE_MAX);
	assert_int_equal(anchor_table_decode(&back, bytes, ANCHOR_TABLE_MAX), 0);
	assert_int_equal(back.count, ANCHOR_TABLE_ENTRIES);
	anchor_table_free(&back);
	anchor_table_free(&t);
}

/* Each byte that is part of the form, changed; each length that is not right. */
static void what_it_did_not_write_is_refused(void **state)
{
	static const size_t form[] = {0, 7, 8, 9, 66, 67, 68, 69};
	static uint8_t bytes[ANCHOR_TABLE_MAX];
	struct anchor_table t = three(), back;
	size_t len = anchor_table_encode(&t, bytes);

	for (size_t i = 0; i < ARRAY_SIZE(form); i++) {
		bytes[form[i]] ^= 0x40;
		assert_int_equal(anchor_table_decode(&back, bytes, len), -EBADMSG);
		bytes[form[i]] ^= 0x40;
	}
	for (size_t n = 0; n <= len + 1; n++)
		if (n != len) {
			assert_int_equal(anchor_table_decode(&back, bytes, n), -EBADMSG);
			assert_null(back.entries);
		}
	/* a flag that is neither 0 nor 1 */
	bytes[len - 2] = 4;
	assert_int_equal(anchor_table_decode(&back, bytes, len), -EBADMSG);
	bytes[len - 2] = 1;
	assert_int_equal(anchor_table_decode(&back, bytes, len), 0);
	assert_true(back.entries[2].launched && !back.entries[1].launched);
	anchor_table_free(&back);
	/* two of one vTPM, and another order */
	memcpy(bytes + ANCHOR_TABLE_HEAD, bytes + ANCHOR_TABLE_HEAD + ANCHOR_TABLE_ENTRY,
	       16);
	assert_int_equal(anchor_table_decode(&back, bytes, len), -EBADMSG);
	bytes[ANCHOR_TABLE_HEAD] = 200;
	assert_int_equal(anchor_table_decode(&back, bytes, len), -EBADMSG);
	anchor_table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_found_replaced_and_removed),
		cmocka_unit_test(it_comes_back_as_it_was),
		cmocka_unit_test(those_of_the_last_versions),
		cmocka_unit_test(marks_come_back),
		cmocka_unit_test(an_empty_one),
		cmocka_unit_test(as_many_as_fit),
		cmocka_unit_test(what_it_did_not_write_is_refused),
	};

	return cmocka_run_group_tests_name("anchor_table", tests, NULL, NULL);
}
