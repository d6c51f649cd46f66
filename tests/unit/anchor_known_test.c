/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of generations, against folders that grew, shrank, are damaged or cannot
 * be read, and what operators did while the table was not known. */
#include "tests/unit/unit.h"
#include "lib/audit.h"
#include "lib/cursor.h"
#include "tools/vtpmd/anchor_known.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER	CHANNEL_OBJECT_HEADER
#define PERMALL CHANNEL_OBJECT_PERMALL

static char root[64], audit[80];
static struct vtpm one, two;
static struct vtpmd d;
static struct anchor_file file;
static struct anchor_known known;

static int setup(void **state)
{
	strcpy(root, "/tmp/anchor-known-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(audit, sizeof(audit), "%s/audit.log", root);
	one = (struct vtpm){.next = &two, .meta = {.name = "web1", .uuid = {1}}};
	two = (struct vtpm){.meta = {.name = "web2", .uuid = {2}}};
	d = (struct vtpmd){.vtpms = &one, .anchor_dir = root, .audit = audit};
	known = (struct anchor_known){.changes = 0};
	file = (struct anchor_file){.dir = -1};
	return anchor_file_open(&file, root) ||
	       store_open(&one.store, root, one.meta.uuid, true) ||
	       store_open(&two.store, root, two.meta.uuid, true);
}

static int teardown(void **state)
{
	char command[128];

	anchor_known_free(&known);
	anchor_file_close(&file);
	store_close(&one.store);
	store_close(&two.store);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

/* Puts the object's file there as it is, as whoever puts an old one back does. */
static void put(struct vtpm *v, uint16_t object, uint64_t seq)
{
	uint8_t buf[100] = {0};
	struct cursor w = cursor_writer(buf, sizeof(buf));
	int fd = openat(v->store.dir, object == HEADER ? "header" : "permall",
			O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cursor_put(&w, object == HEADER ? "XVTPMHDR" : "XVTPMBLB", 8);
	cursor_put_u16(&w, 1);
	cursor_put_u16(&w, object == HEADER ? 1 : 2);
	cursor_put(&w, v->meta.uuid, 16);
	cursor_put_u64(&w, seq);
	assert_int_equal(write(fd, buf, sizeof(buf)), sizeof(buf));
	close(fd);
}

static void knows(const struct vtpm *v, uint64_t header, uint64_t permall)
{
	const struct anchor_entry *e = anchor_table_find(&known.table, v->meta.uuid);

	assert_non_null(e);
	assert_int_equal(e->header, header);
	assert_int_equal(e->permall, permall);
}

static void claims_what_is_there(void **state)
{
	one.claim = true;
	assert_true(anchor_known_claim(&known, &one));
	knows(&one, 0, 0);
	assert_false(one.claim);
	assert_int_equal(one.claimed, 1);
	put(&one, HEADER, 3);
	put(&one, PERMALL, 9);
	assert_true(anchor_known_claim(&known, &one));
	knows(&one, 3, 9);
	/* an older one that an operator means */
	put(&one, PERMALL, 4);
	assert_true(anchor_known_claim(&known, &one));
	knows(&one, 3, 4);
	assert_int_equal(one.claimed, known.changes);
	/* another vTPM's counts as none */
	put(&two, HEADER, 5);
	two.store.uuid[0]++;
	assert_true(anchor_known_claim(&known, &two));
	knows(&two, 0, 0);
}

static void a_folder_that_cannot_be_read(void **state)
{
	int dir = one.store.dir;

	one.claim = true;
	one.store.dir = -1;
	assert_false(anchor_known_claim(&known, &one));
	assert_true(one.claim);
	assert_int_equal(known.changes, 0);
	assert_null(anchor_table_find(&known.table, one.meta.uuid));
	one.store.dir = dir;
}

static void grows_and_never_shrinks(void **state)
{
	put(&one, HEADER, 3);
	put(&one, PERMALL, 9);
	assert_false(anchor_known_grow(&known, &one));
	assert_int_equal(known.table.count, 0);
	assert_true(anchor_known_claim(&known, &one));
	put(&one, HEADER, 2);
	put(&one, PERMALL, 8);
	assert_true(anchor_known_grow(&known, &one));
	assert_int_equal(known.changes, 1);
	put(&one, PERMALL, 10);
	anchor_known_note(&known, &one); /* its manager has not opened it */
	knows(&one, 3, 9);
	one.opened = true;
	anchor_known_note(&known, &one);
	knows(&one, 3, 10);
	assert_int_equal(known.changes, 2);
	assert_null(anchor_table_find(&known.table, two.meta.uuid));
}

/* Both are in the table that the TPM has. */
static void anchored(uint8_t tpm[ANCHOR_HASH_SIZE])
{
	put(&one, PERMALL, 5);
	put(&two, PERMALL, 6);
	assert_true(anchor_known_claim(&known, &one));
	assert_true(anchor_known_claim(&known, &two));
	assert_int_equal(anchor_file_write(&file, &known.table), 0);
	memcpy(tpm, file.next, ANCHOR_HASH_SIZE);
	anchor_known_free(&known);
	known.changes = 0;
}

static void catches_up_when_the_table_is_known(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t tpm[ANCHOR_HASH_SIZE];

	anchored(tpm);
	put(&one, PERMALL, 2);
	one.claim = true;
	anchor_known_forget_later(&known, &two);
	assert_int_equal(anchor_known_load(&known, &file, tpm, &d, &e), 0);
	assert_int_equal(known.changes, 1);
	knows(&one, 0, 5);
	knows(&two, 0, 6);
	anchor_known_catch_up(&known, &one);
	knows(&one, 0, 2);
	assert_null(anchor_table_find(&known.table, two.meta.uuid));
	assert_int_equal(known.changes, 3);
	assert_int_equal(one.claimed, 3);
	/* once, and what nobody did is not done */
	put(&one, PERMALL, 1);
	anchor_known_catch_up(&known, &one);
	assert_int_equal(known.changes, 3);
	assert_true(anchor_known_forget(&known, one.meta.uuid));
	assert_false(anchor_known_forget(&known, one.meta.uuid));
	assert_int_equal(known.changes, 4);
}

static void a_table_that_the_tpm_does_not_have(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t tpm[ANCHOR_HASH_SIZE];

	anchored(tpm);
	tpm[0] ^= 1;
	assert_int_not_equal(anchor_known_load(&known, &file, tpm, &d, &e), 0);
	assert_int_equal(e.cause, CAUSE_ROLLED_BACK);
	assert_int_equal(known.changes, 0);
}

static void a_new_anchor_takes_the_store_as_it_is(void **state)
{
	uint8_t tpm[ANCHOR_HASH_SIZE], none[ANCHOR_HASH_SIZE] = {0};
	struct audit_result lines;

	anchored(tpm);
	anchor_known_forget_later(&known, &two);
	put(&one, PERMALL, 2);
	anchor_known_adopt(&known, &file, none, &d);
	knows(&one, 0, 2);
	knows(&two, 0, 6);
	assert_int_equal(known.forgotten.count, 0);
	assert_memory_equal(file.hash, none, sizeof(none));
	assert_false(file.pending);
	assert_int_equal(audit_verify(audit, &lines), 0);
	assert_int_equal(lines.lines, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(claims_what_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_read, setup,
						teardown),
		cmocka_unit_test_setup_teardown(grows_and_never_shrinks, setup, teardown),
		cmocka_unit_test_setup_teardown(catches_up_when_the_table_is_known, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_table_that_the_tpm_does_not_have, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_new_anchor_takes_the_store_as_it_is,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
