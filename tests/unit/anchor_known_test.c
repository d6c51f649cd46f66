/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of generations, against folders that grew, shrank, are damaged or cannot
 * be read, and what operators did while the table was not known. */
#include "tests/unit/unit.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "tools/vtpmd/anchor_known.h"
#include "tools/vtpmd/trail.h"

#include <errno.h>
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

static const struct anchor_entry *entry(const struct vtpm *v)
{
	return anchor_table_find(&known.table, v->meta.uuid);
}

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
static void put(struct vtpm *v, uint16_t object, uint64_t seq, uint64_t epoch)
{
	uint8_t buf[100] = {0};
	struct cursor w = cursor_writer(buf, sizeof(buf));
	int fd = openat(v->store.dir, object == HEADER ? "header" : "permall",
			O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cursor_put(&w, object == HEADER ? "XVTPMHDR" : "XVTPMBLB", 8);
	cursor_put_u16(&w, 2);
	cursor_put_u16(&w, object == HEADER ? 1 : 2);
	cursor_put(&w, v->meta.uuid, 16);
	cursor_put_u64(&w, seq);
	cursor_put_u64(&w, epoch);
	assert_int_equal(write(fd, buf, sizeof(buf)), sizeof(buf));
	close(fd);
}

/* As its manager does, in its epoch. */
static void store_next(struct vtpm *v, uint16_t object, uint64_t seq)
{
	uint8_t *buf;
	size_t len;

	store_know_nothing(&v->store);
	put(v, object, seq, entry(v)->epoch);
	assert_int_equal(store_get(&v->store, object, &buf, &len), 0);
	assert_int_equal(store_know(&v->store, object, buf, len), 0);
	free(buf);
}

/* 0: its folder opens; then it is what the store gives out. */
static int opens(struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = anchor_check_folder(entry(v), v, &e);

	assert_int_equal(e.cause != CAUSE_NONE, rc != 0);
	return rc;
}

static void begin(struct vtpm *v)
{
	assert_int_equal(opens(v), 0);
	assert_int_equal(anchor_known_raise(&known, v), 0);
}

static void keep(struct vtpm *v, const char *as)
{
	char command[300];

	snprintf(command, sizeof(command), "cp %s/01*/permall %s/%s", root, root, as);
	store_know_nothing(&v->store);
	assert_int_equal(system(command), 0);
}

static void put_back(struct vtpm *v, const char *what)
{
	char command[300];

	snprintf(command, sizeof(command), "cp %s/%s %s/01*/permall", root, what, root);
	store_know_nothing(&v->store);
	assert_int_equal(system(command), 0);
}

static void claims_what_is_there(void **state)
{
	uint64_t epoch;

	one.anchor.untold = UNTOLD_FOLDER;
	assert_true(anchor_known_claim(&known, &one));
	assert_true(anchor_entry_unmade(entry(&one)));
	assert_false(one.anchor.untold);
	assert_int_equal(one.anchor.claimed, 1);
	assert_int_equal(opens(&one), -ENOENT);
	put(&one, HEADER, 3, 1);
	put(&one, PERMALL, 9, 1);
	assert_true(anchor_known_claim(&known, &one));
	assert_int_equal(opens(&one), 0);
	assert_int_equal(anchor_entry_seq(entry(&one)), 9);
	epoch = entry(&one)->epoch;
	assert_true(epoch > 1); /* a new one, in which nothing is yet */
	/* an older one that an operator means; the newer one does not open then */
	store_know_nothing(&one.store);
	put(&one, PERMALL, 4, 1);
	assert_int_equal(opens(&one), -ESTALE);
	store_know_nothing(&one.store);
	assert_true(anchor_known_claim(&known, &one));
	assert_int_equal(opens(&one), 0);
	assert_int_not_equal(entry(&one)->epoch, epoch);
	assert_int_equal(one.anchor.claimed, known.changes);
	put(&one, PERMALL, 9, 1);
	store_know_nothing(&one.store);
	assert_int_equal(opens(&one), -ESTALE);
	/* another vTPM's counts as none */
	put(&two, HEADER, 5, 1);
	two.meta.uuid[0]++;
	assert_true(anchor_known_claim(&known, &two));
	assert_true(anchor_entry_unmade(entry(&two)));
}

/* While it runs, the epoch of the run. */
static void claims_one_that_runs(void **state)
{
	put(&one, HEADER, 3, 1);
	put(&one, PERMALL, 9, 6);
	one.state = VTPM_BOOTING;
	assert_true(anchor_known_claim(&known, &one));
	assert_int_equal(entry(&one)->epoch, 6);
	assert_int_equal(entry(&one)->permall, 9);
	one.store.epoch = 7;
	assert_true(anchor_known_claim(&known, &one));
	assert_int_equal(entry(&one)->epoch, 7);
	assert_int_equal(entry(&one)->permall, 0);
	assert_int_equal(opens(&one), 0);
}

static int leased(const struct store *s, uint32_t *ms)
{
	return 0;
}

/* The vTPM is in a pool, or has come out of it: what was anchored there says which copy counts. */
static void what_is_in_a_pool(void **state)
{
	struct store_ops pool = store_folder;

	pool.lease_ms = leased;
	put(&one, HEADER, 3, 1);
	put(&one, PERMALL, 9, 1);
	assert_true(anchor_known_claim(&known, &one));
	assert_false(entry(&one)->pooled);
	one.store.ops = &pool;
	assert_int_equal(opens(&one), 0); /* which it is not until that is anchored */
	assert_true(anchor_known_claim(&known, &one));
	assert_true(entry(&one)->pooled);
	assert_int_equal(opens(&one), 0);
	one.store.ops = &store_folder;
	assert_int_equal(opens(&one), -ESTALE);
	one.moves = true;
	assert_int_equal(opens(&one), 0);
	one.moves = false;
	one.store.ops = &pool;
	begin(&one);
	assert_true(entry(&one)->pooled);
	store_next(&one, PERMALL, 10);
	assert_true(anchor_known_grow(&known, &one));
	assert_true(entry(&one)->pooled);
	one.store.ops = &store_folder;
	assert_int_equal(opens(&one), -ESTALE);
	assert_true(anchor_known_claim(&known, &one));
	assert_false(entry(&one)->pooled);
	assert_int_equal(opens(&one), 0);
}

static void a_folder_that_cannot_be_read(void **state)
{
	int dir = one.store.dir;

	one.anchor.untold = UNTOLD_FOLDER;
	one.store.dir = -1;
	assert_false(anchor_known_claim(&known, &one));
	assert_int_equal(one.anchor.untold, UNTOLD_FOLDER);
	assert_int_equal(known.changes, 0);
	assert_null(entry(&one));
	one.store.dir = dir;
}

static void grows_and_never_shrinks(void **state)
{
	assert_false(anchor_known_grow(&known, &one));
	put(&one, HEADER, 3, 1);
	put(&one, PERMALL, 9, 1);
	assert_int_equal(known.table.count, 0);
	assert_true(anchor_known_claim(&known, &one));
	begin(&one);
	assert_int_equal(known.changes, 2);
	store_next(&one, PERMALL, 10);
	anchor_known_note(&known, &d); /* its manager has not opened it */
	assert_int_equal(entry(&one)->permall, 0);
	one.state = VTPM_RUNNING;
	anchor_known_note(&known, &d);
	assert_int_equal(entry(&one)->permall, 10);
	store_next(&one, PERMALL, 8);
	anchor_known_note(&known, &d);
	assert_int_equal(entry(&one)->permall, 10);
	/* what lies there is not looked at, but what was put */
	store_next(&one, PERMALL, 11);
	put(&one, PERMALL, 99, entry(&one)->epoch);
	assert_true(anchor_known_grow(&known, &one));
	assert_int_equal(entry(&one)->permall, 11);
	assert_null(entry(&two));
}

/* Neither an older state nor another end of an older run opens, once the next run has
 * begun, however new it is. */
static void a_fork_of_an_earlier_run(void **state)
{
	put(&one, HEADER, 3, 1);
	put(&one, PERMALL, 9, 1);
	assert_true(anchor_known_claim(&known, &one));
	begin(&one);
	store_next(&one, PERMALL, 10);
	keep(&one, "ten");
	assert_int_equal(opens(&one), 0); /* a crash: nothing of the run is anchored */
	store_next(&one, PERMALL, 11);
	keep(&one, "eleven");
	store_next(&one, PERMALL, 12);
	keep(&one, "twelve");
	put_back(&one, "ten"); /* the window */
	begin(&one);
	put_back(&one, "twelve");
	assert_int_equal(opens(&one), -ESTALE);
	put_back(&one, "eleven");
	assert_int_equal(opens(&one), -ESTALE);
	put_back(&one, "ten"); /* it began with that, and has put nothing */
	assert_int_equal(opens(&one), 0);
	store_next(&one, PERMALL, 11);
	assert_true(anchor_known_grow(&known, &one));
	keep(&one, "mine");
	put_back(&one, "ten");
	assert_int_equal(opens(&one), -ESTALE);
	put_back(&one, "twelve");
	assert_int_equal(opens(&one), -ESTALE);
	put_back(&one, "mine");
	assert_int_equal(opens(&one), 0);
}

static void a_header_counts_by_its_hash(void **state)
{
	put(&one, HEADER, 3, 1);
	put(&one, PERMALL, 9, 1);
	assert_true(anchor_known_claim(&known, &one));
	put(&one, HEADER, 4, 1); /* a higher generation, of whoever */
	store_know_nothing(&one.store);
	assert_int_equal(opens(&one), -ESTALE);
	put(&one, HEADER, 3, 1);
	begin(&one);
	store_next(&one, HEADER, 4);
	assert_true(anchor_known_header(&known, &one));
	assert_int_equal(opens(&one), 0);
	put(&one, HEADER, 3, 1);
	store_know_nothing(&one.store);
	assert_int_equal(opens(&one), -ESTALE);
}

/* Both are in the table that the TPM has. */
static void anchored(uint8_t tpm[ANCHOR_HASH_SIZE])
{
	put(&one, HEADER, 1, 1);
	put(&two, HEADER, 1, 1);
	put(&one, PERMALL, 5, 1);
	put(&two, PERMALL, 6, 1);
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
	put(&one, PERMALL, 2, 1);
	one.anchor.untold = UNTOLD_FOLDER;
	anchor_known_forget_later(&known, &two);
	assert_int_equal(anchor_known_load(&known, &file, tpm, &d, &e), 0);
	assert_int_equal(known.changes, 1);
	assert_int_equal(anchor_entry_seq(entry(&one)), 5);
	assert_int_equal(anchor_entry_seq(entry(&two)), 6);
	anchor_known_catch_up(&known, &one);
	assert_int_equal(anchor_entry_seq(entry(&one)), 2);
	assert_null(anchor_table_find(&known.table, two.meta.uuid));
	assert_int_equal(known.changes, 3);
	assert_int_equal(one.anchor.claimed, 3);
	/* once, and what nobody did is not done */
	put(&one, PERMALL, 1, 1);
	anchor_known_catch_up(&known, &one);
	assert_int_equal(known.changes, 3);
	assert_true(anchor_known_forget(&known, one.meta.uuid));
	assert_false(anchor_known_forget(&known, one.meta.uuid));
	assert_int_equal(known.changes, 4);
}

/* vtpm.json says that all guests are served, and was edited; or that measured ones are, and
 * the table was not written since.  What an operator did since vtpmd started counts. */
static void who_is_served_after_a_launch(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t tpm[ANCHOR_HASH_SIZE];

	one.meta.launched = true;
	anchored(tpm);
	one.meta.launched = false;
	two.meta.launched = true;
	assert_int_equal(anchor_known_load(&known, &file, tpm, &d, &e), 0);
	assert_true(entry(&one)->launched);
	assert_false(entry(&two)->launched);
	anchor_known_catch_up(&known, &one);
	assert_true(one.meta.launched && entry(&one)->launched);
	assert_true(two.meta.launched && entry(&two)->launched);
	/* accepted as it is, with what is known */
	one.meta.launched = false;
	one.anchor.untold = UNTOLD_FOLDER;
	anchor_known_catch_up(&known, &one);
	assert_true(one.meta.launched && entry(&one)->launched);
	/* stopped */
	one.meta.launched = false;
	one.anchor.untold = UNTOLD_LAUNCHED;
	anchor_known_catch_up(&known, &one);
	assert_false(one.meta.launched || entry(&one)->launched || one.anchor.untold);
	assert_true(anchor_known_forget(&known, one.meta.uuid));
	assert_false(anchor_known_launched(&known, &one));
}

/* No folder that an operator takes as it is, and no new run, takes it away. */
static void a_mark_of_a_handover_stays(void **state)
{
	const struct anchor_mark leaving = {HANDOVER_LEAVING, {7}, "beta"};

	one.anchor.mark = leaving;
	assert_false(anchor_known_mark(&known, &one));
	put(&one, HEADER, 3, 1);
	put(&one, PERMALL, 9, 1);
	assert_true(anchor_known_claim(&known, &one));
	assert_memory_equal(&entry(&one)->mark, &leaving, sizeof(leaving));
	/* of another vtpmd, which did not set it */
	one.anchor.mark = (struct anchor_mark){.kind = HANDOVER_NO_MARK};
	assert_true(anchor_known_claim(&known, &one));
	assert_int_equal(opens(&one), 0);
	assert_int_equal(anchor_known_raise(&known, &one), 0);
	assert_memory_equal(&entry(&one)->mark, &leaving, sizeof(leaving));
	assert_true(anchor_known_mark(&known, &one));
	assert_int_equal(entry(&one)->mark.kind, HANDOVER_NO_MARK);
}

/* Of a transfer that went on before it was known what the TPM has. */
static void a_mark_is_taken_when_the_table_is_known(void **state)
{
	const struct anchor_mark leaving = {HANDOVER_LEAVING, {7}, "beta"};
	struct error e = {.cause = CAUSE_NONE};
	uint8_t tpm[ANCHOR_HASH_SIZE];

	anchored(tpm);
	assert_int_equal(anchor_known_load(&known, &file, tpm, &d, &e), 0);
	/* what nobody has set is left as it is */
	anchor_known_catch_up(&known, &one);
	assert_int_equal(known.changes, 1);
	one.anchor.mark = leaving;
	one.anchor.untold = UNTOLD_MARK;
	anchor_known_catch_up(&known, &one);
	assert_memory_equal(&entry(&one)->mark, &leaving, sizeof(leaving));
	assert_int_equal(entry(&two)->mark.kind, HANDOVER_NO_MARK);
	assert_int_equal(known.changes, 2);
	assert_int_equal(one.anchor.untold, 0);
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

/* It has the hash, and another number: what it says of each vTPM is not known. */
static void a_table_of_a_newer_release(void **state)
{
	static uint8_t bytes[ANCHOR_TABLE_MAX];
	struct error e = {.cause = CAUSE_NONE};
	uint8_t tpm[ANCHOR_HASH_SIZE];
	struct crypt_part part = {bytes, 0};
	int fd;

	anchored(tpm);
	fd = openat(file.dir, "anchor", O_RDWR);
	part.n = (size_t)read(fd, bytes, sizeof(bytes));
	for (uint8_t version = (uint8_t)(bytes[9] + 1); version;
	     version = (uint8_t)(version << 1)) {
		bytes[9] = version;
		assert_int_equal(pwrite(fd, bytes, part.n, 0), part.n);
		assert_int_equal(crypt_sha256(&part, 1, tpm), 0);
		e = (struct error){.cause = CAUSE_NONE};
		assert_int_equal(anchor_known_load(&known, &file, tpm, &d, &e), -EBADMSG);
		assert_int_equal(e.cause, CAUSE_VERSION);
		assert_non_null(strstr(e.text, "a newer release"));
		assert_non_null(strstr(e.text, "install that one again"));
		assert_int_equal(known.changes, 0);
		assert_int_equal(known.table.count, 0);
	}
	close(fd);
}

static void a_new_anchor_takes_the_store_as_it_is(void **state)
{
	uint8_t tpm[ANCHOR_HASH_SIZE], none[ANCHOR_HASH_SIZE] = {0};
	struct audit_result lines;

	anchored(tpm);
	anchor_known_forget_later(&known, &two);
	put(&one, PERMALL, 2, 1);
	anchor_known_adopt(&known, &file, none, &d);
	assert_int_equal(anchor_entry_seq(entry(&one)), 2);
	assert_int_equal(anchor_entry_seq(entry(&two)), 6);
	assert_int_equal(known.forgotten.count, 0);
	assert_memory_equal(file.hash, none, sizeof(none));
	assert_false(file.pending);
	assert_int_equal(audit_read(audit, &d.audited, SIZE_MAX, &lines), 0);
	assert_int_equal(lines.entries, 1);
	assert_true(lines.has);
}

static void add(const char *event)
{
	trail_add(&d, &(struct audit_event){.event = event});
}

/* The end of the log goes with the table; a vtpmd that starts goes on behind it, whatever
 * became of the files. */
static void the_end_of_the_audit_log(void **state)
{
	struct audit_head then, last;
	struct audit_result lines;

	add("one");
	anchor_known_note(&known, &d);
	then = d.audited;
	assert_true(known.changes == 1 && audit_head_equal(&known.table.audit, &then));
	anchor_known_note(&known, &d);
	assert_int_equal(known.changes, 1);
	add("two");
	last = d.audited;
	/* killed: the second entry is there, but the TPM does not know it */
	d.audited = (struct audit_head){.n = 0};
	trail_begin(&d);
	assert_true(audit_head_equal(&d.audited, &last));
	trail_anchored(&d, &then);
	assert_int_equal(d.audited.n, 3);
	assert_int_equal(audit_read(audit, &d.audited, SIZE_MAX, &lines), 0);
	assert_true(lines.has && !lines.wrong && lines.entries == 3);
	/* told once */
	trail_anchored(&d, &then);
	assert_int_equal(d.audited.n, 3);
	/* the files are gone */
	last = d.audited;
	assert_int_equal(unlink(audit), 0);
	trail_begin(&d);
	assert_int_equal(d.audited.n, 0);
	trail_anchored(&d, &last);
	assert_true(audit_head_equal(&d.audited, &last));
	add("four");
	assert_int_equal(audit_read(audit, &d.audited, SIZE_MAX, &lines), 0);
	assert_true(lines.first == 4 && lines.kept == 1);
}

/* Another log, as long, in its place. */
static void another_audit_log(void **state)
{
	struct audit_head then;
	struct audit_result lines;

	add("one");
	add("two");
	then = d.audited;
	assert_int_equal(unlink(audit), 0);
	d.audited = (struct audit_head){.n = 0};
	add("one");
	add("other");
	add("more");
	trail_begin(&d);
	trail_anchored(&d, &then);
	assert_true(audit_head_equal(&d.audited, &then));
	add("three");
	assert_int_equal(audit_read(audit, &d.audited, SIZE_MAX, &lines), 0);
	assert_int_equal(lines.wrong, AUDIT_ALTERED);
	assert_int_equal(lines.line, 4);
}

static void a_log_is_rotated(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	struct audit_result lines;
	char rotated[96];

	snprintf(rotated, sizeof(rotated), "%s.1", audit);
	add("one");
	assert_int_equal(rename(audit, rotated), 0);
	assert_int_equal(trail_rotate(&d, &e), 0);
	assert_int_equal(audit_read(audit, &d.audited, SIZE_MAX, &lines), 0);
	assert_true(lines.has && lines.first == 1 && lines.kept == 1);
	assert_int_equal(unlink(rotated), 0);
	assert_int_equal(trail_rotate(&d, &e), 0);
	assert_int_equal(audit_read(audit, &d.audited, SIZE_MAX, &lines), 0);
	assert_true(lines.has && lines.first == 2 && lines.kept == 2);
	/* one whose end was cut off is not */
	assert_int_equal(truncate(audit, 60), 0); /* in the first line */
	assert_int_equal(trail_rotate(&d, &e), -EINVAL);
	assert_int_equal(unlink(audit), 0);
	assert_int_equal(trail_rotate(&d, &e), 0);
	assert_int_equal(audit_read(audit, &d.audited, SIZE_MAX, &lines), 0);
	assert_true(lines.has && lines.first == 4 && lines.kept == 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(claims_what_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(claims_one_that_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_in_a_pool, setup, teardown),
		cmocka_unit_test_setup_teardown(a_fork_of_an_earlier_run, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_header_counts_by_its_hash, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_read, setup,
						teardown),
		cmocka_unit_test_setup_teardown(grows_and_never_shrinks, setup, teardown),
		cmocka_unit_test_setup_teardown(catches_up_when_the_table_is_known, setup,
						teardown),
		cmocka_unit_test_setup_teardown(who_is_served_after_a_launch, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_mark_of_a_handover_stays, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_mark_is_taken_when_the_table_is_known,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_table_that_the_tpm_does_not_have, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_table_of_a_newer_release, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_new_anchor_takes_the_store_as_it_is,
						setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_of_the_audit_log, setup,
						teardown),
		cmocka_unit_test_setup_teardown(another_audit_log, setup, teardown),
		cmocka_unit_test_setup_teardown(a_log_is_rotated, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
