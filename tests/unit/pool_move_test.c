/* SPDX-License-Identifier: Apache-2.0 */
/* A vTPM moves between a host's folder and its pool, and the move is cut off behind each step
 * that lasts: a transaction of etcd's, a write of the host's TPM, a sync or a removal in the
 * folder.  Each vtpmd is a process of its own, all of vtpmd but its main(); etcd and the TPM
 * are in memory that they share, the folder is one.  What can be started is judged from these
 * alone, behind each cut and behind what follows it. */
#include "tests/unit/etcd_fake.h"
#include "lib/cursor.h"
#include "lib/text.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/helper.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/pool_move.h"
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/registry_pool.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/vtpms.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY	 "/xen-vtpm/1/p1/v/7674706d-206e-756d-6265-72206f6e6500/"
#define FOLDER	 "7674706d-206e-756d-6265-72206f6e6500"
#define CUT	 99    /* the status of a process that was cut off */
#define STEPS	 400   /* more than a move has */
#define LIMIT_MS 20000 /* of a process */
#define ADOPT	 "1111111111111111111111111111111111111111111111111111111111111111"

static const uint8_t uuid[16] = "vtpm number one";

/* What is left when a process ends. */
static struct world {
	struct pair pairs[KEYS];
	int64_t revision, lease;
	char tpm[80];	     /* the anchor's value, hex */
	unsigned int steps;  /* of the last process */
	unsigned int newest; /* the generation that was acknowledged last */
} * world;

/* What happens at a step of a process. */
static unsigned int cut_at; /* it ends; 0: never */
static unsigned int
	other_at; /* ... another host, before that transaction of etcd's, ... */
static enum other {
	NOTHING,
	TAKES,	/* ... takes the vTPM, if the pool has it, runs and stops it */
	EXPIRES /* ... none: this host's lease ends */
} other;
static unsigned int transactions;

void log_line(int level, const char *fmt, ...)
{
}

void log_about(int level, const struct log_about *about, const char *fmt, ...)
{
}

void log_limited(struct log_limit *l, int level, const struct log_about *about,
		 const char *fmt, ...)
{
}

void log_left_out(struct log_limit *l, const struct log_about *about)
{
}

void log_open(void)
{
}

void log_verbose(bool verbose)
{
}

/* -- what lasts --------------------------------------------------------------------------- */

static void keep_etcd(void)
{
	memcpy(world->pairs, pairs, sizeof(pairs));
	world->revision = revision;
	world->lease = lease;
}

static void load_etcd(void)
{
	memcpy(pairs, world->pairs, sizeof(pairs));
	revision = world->revision;
	lease = world->lease;
	event_writer = cursor_writer(events, sizeof(events));
	event_count = 0;
}

static void count_step(void)
{
	if (++world->steps == cut_at)
		_exit(CUT);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	count_step();
	return 0;
}

int __real_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags)
{
	int rc;

	count_step();
	rc = __real_unlinkat(dir, path, flags);
	count_step();
	return rc;
}

static size_t write_object(uint8_t *buf, size_t room, bool header, uint64_t seq)
{
	static const uint8_t none[32];
	struct cursor w = cursor_writer(buf, room);

	cursor_put(&w, header ? "XVTPMHDR" : "XVTPMBLB", 8);
	cursor_put_u16(&w, 2);
	cursor_put_u16(&w, header ? 1 : 2);
	cursor_put(&w, uuid, 16);
	cursor_put_u64(&w, seq);
	cursor_put_u64(&w, 7);
	if (header) {
		cursor_put_u16(&w, ENVELOPE_SLOT_KMS);
		cursor_put(&w, "\0\x14\1\0", 4);
		cursor_put(&w, none, 6); /* no endorsement keys */
		cursor_put_u16(&w, ENVELOPE_SLOT_KMS);
		cursor_put_u16(&w, 0);
		cursor_put_u32(&w, 5);
		cursor_put(&w, "share", 5);
		cursor_put(&w, none, sizeof(none));
	}
	return w.pos;
}

/* Another host claims it, its manager stores one more generation, and it is stopped; only what
 * the pool lists, and what has no owner. */
static void take_over(void)
{
	struct pair *owner = find_pair(KEY "owner");
	uint8_t buf[256], gen[MIRROR_GEN_SIZE] = "of another host";
	size_t n;

	if (owner) {
		revision++;
		drop_pair(owner); /* its lease has ended */
	}
	if (other != TAKES || !find_pair(KEY "vtpm.json"))
		return;
	revision++;
	n = write_object(buf, sizeof(buf), false, ++world->newest);
	set_pair(KEY "permall", buf, n, 0);
	set_pair(KEY "host", (const uint8_t *)"two", 3, 0);
	gen[20] = (uint8_t)world->newest;
	set_pair(KEY "gen", gen, sizeof(gen), 0);
}

static void on_fake_step(bool is_done)
{
	if (!is_done && ++transactions == other_at)
		take_over();
	if (is_done)
		keep_etcd();
	count_step();
	if (!is_done)
		keep_etcd();
}

static bool pool_has(const char *name)
{
	char key[PROTO_KEY_MAX];

	snprintf(key, sizeof(key), "%s%s", KEY, name);
	return find_pair(key) != NULL;
}

/* -- the host's TPM -------------------------------------------------------------------------- */

static struct helper *asked; /* NULL: nothing is asked of it */
static char to_take[80];     /* "": it is only asked what it has */

int __wrap_helper_init(struct helper *h, struct vtpmd *d, unsigned int limit_s,
		       helper_done *done, void *ctx);
int __wrap_helper_init(struct helper *h, struct vtpmd *d, unsigned int limit_s,
		       helper_done *done, void *ctx)
{
	h->done = done;
	h->ctx = ctx;
	return 0;
}

int __wrap_helper_run(struct helper *h, const char *verb,
		      const char *const args[HELPER_ARGS], struct error *e);
int __wrap_helper_run(struct helper *h, const char *verb,
		      const char *const args[HELPER_ARGS], struct error *e)
{
	snprintf(to_take, sizeof(to_take), "%s",
		 !strcmp(args[0], "--set") ? args[1] : "");
	h->pid = 1;
	asked = h;
	return 0;
}

void __wrap_helper_end(struct helper *h);
void __wrap_helper_end(struct helper *h)
{
}

static void tpm_answers(void)
{
	struct helper *h = asked;
	json_t *said;

	if (to_take[0]) {
		count_step();
		strcpy(world->tpm, to_take);
		count_step();
	}
	said = json_pack("{s:s}", "value", world->tpm);
	asked = NULL;
	h->pid = 0;
	h->done(h->ctx, said, NULL);
	json_decref(said);
}

/* -- a vtpmd ------------------------------------------------------------------------------------ */

static char root[64], own[96], path[3][96];
static struct vtpmd d;
static struct config config;

static void on_anchored(struct vtpmd *of)
{
	vtpm_start_anchored(of);
}

/* In a process of its own: from the folder, or in the pool. */
static void vtpmd_up(bool in_pool)
{
	static const struct timeval often = {.tv_usec = 1000};
	struct error e = {.cause = CAUSE_NONE};
	struct event *server;

	alarm(LIMIT_MS / 1000);
	base = event_base_new();
	d = (struct vtpmd){.base = base,
			   .store = in_pool ? "etcd://one:1/p1" : own,
			   .folder = own,
			   .config = path[1],
			   .audit = path[0],
			   .anchor_every = 600,
			   .on_anchored = on_anchored,
			   .on_anchoring = registry_witness_all,
			   .run_dir = open(root, O_RDONLY | O_DIRECTORY)};
	d.pool.cert = path[2];
	config = (struct config){
		.users = 1000000,
		.host = {.has_kms = true, .anchor_index = 1, .anchor_take_store = true}};
	memset(config.host.anchor_adopt, 0x11, sizeof(config.host.anchor_adopt));
	d.host.last = &config;
	assert_int_equal(stat(path[1], &d.host.at), 0);
	assert_int_equal(anchor_new(&d), 0);
	load_etcd();
	fake_step = on_fake_step;
	server = event_new(base, -1, EV_PERSIST, on_serve, NULL);
	if (in_pool)
		event_add(server, &often);
	assert_int_equal(registry_join_pool(&d, &e), 0);
	world->steps = transactions = 0;
	assert_int_equal(registry_load(&d), 0);
	while (asked)
		tpm_answers();
}

static void turn(void)
{
	(void)event_base_loop(base, EVLOOP_ONCE);
	while (asked)
		tpm_answers();
}

/* Runs the function in a process; its status. */
static int in_process(int (*f)(int arg), int arg)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		setenv("CMOCKA_TEST_ABORT", "1", 1); /* not on with the other cases */
		_exit(f(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("a process ended with status 0x%x", status);
	load_etcd();
	return WEXITSTATUS(status);
}

/* pool_move() to its end; its errno. */
static int do_move(int to_folder)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t of[16];
	int rc;

	vtpmd_up(true);
	while ((rc = pool_move(&d, "web1", to_folder, of, &e)) == -EINPROGRESS)
		turn();
	if (rc && getenv("POOL_MOVE_VERBOSE"))
		print_message("# %s\n", e.text);
	return -rc;
}

/* Whether a vtpmd that runs from the folder would start it. */
static int can_start(int none)
{
	struct error e = {.cause = CAUSE_NONE};
	struct vtpm *v;

	cut_at = 0;
	vtpmd_up(false);
	v = vtpms_find(&d, "web1");
	if (!v || anchor_check(d.anchor, v, &e))
		return 0;
	return store_seq(&v->store, CHANNEL_OBJECT_PERMALL) == world->newest ? 1 : 2;
}

static bool folder_is_there(void)
{
	char name[160];

	snprintf(name, sizeof(name), "%s/%s", own, FOLDER);
	return !access(name, F_OK);
}

/* How many copies can be started; none of them may be older than what was acknowledged. */
static int copies(void)
{
	int folder = in_process(can_start, 0), pool = pool_has("vtpm.json");
	const struct pair *state = find_pair(KEY "permall");
	uint64_t seq = 0;

	if (folder > 1)
		fail_msg("the folder could be started with an older state");
	if (pool) {
		assert_non_null(state);
		assert_true(pool_has("header") && pool_has("host") &&
			    pool_has("cert-ek"));
		assert_int_equal(store_object_seq(CHANNEL_OBJECT_PERMALL, state->value,
						  state->len, &seq),
				 0);
		assert_int_equal(seq, world->newest);
	}
	return folder + pool;
}

/* -- the worlds ---------------------------------------------------------------------------------- */

static struct world saved;

static void shell(const char *command)
{
	char text[400];

	snprintf(text, sizeof(text), "cd %s && %s", root, command);
	assert_int_equal(system(text), 0);
}

static void save(void)
{
	shell("rm -rf saved && cp -a own saved");
	saved = *world;
}

static void restore(void)
{
	shell("rm -rf own && cp -a saved own");
	*world = saved;
	load_etcd();
}

static void put_file(const char *folder, const char *name, const void *bytes, size_t n)
{
	char file[200];
	FILE *f;

	snprintf(file, sizeof(file), "%s/%s", folder, name);
	f = fopen(file, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

static int adopt(int none)
{
	vtpmd_up(false);
	return vtpms_find(&d, "web1") == NULL;
}

/* A host with one vTPM in its folder. */
static int begin(void **state)
{
	static const char description[] =
		"{\"name\": \"web1\", \"uuid\": \"" FOLDER "\", \"memory\": 8, "
		"\"placement\": \"process\", \"state\": \"ready\", \"created\": "
		"\"2026-01-01T00:00:00Z\", \"sealed\": \"\", \"keyed\": \"\", \"wanted\": "
		"false, \"ending\": false, \"launched\": false, \"ek\": []}";
	uint8_t buf[256];
	char folder[160];
	FILE *f;

	strcpy(root, "/tmp/pool-move.XXXXXX");
	if (!mkdtemp(root))
		return -1;
	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (world == MAP_FAILED)
		return -1;
	snprintf(own, sizeof(own), "%s/own", root);
	for (int i = 0; i < 3; i++)
		snprintf(path[i], sizeof(path[i]), "%s/%c", root, "acp"[i]);
	snprintf(folder, sizeof(folder), "%s/%s", own, FOLDER);
	if (mkdir(own, 0700) || mkdir(folder, 0700))
		return -1;
	f = fopen(path[1], "w");
	fclose(f);
	write_certificate(path[2]);
	put_file(folder, "header", buf, write_object(buf, sizeof(buf), true, 3));
	put_file(folder, "permall", buf, write_object(buf, sizeof(buf), false, 5));
	put_file(folder, "cert-ek", "certificate", 11);
	put_file(folder, "vtpm.json", description, strlen(description));
	outcome_at = 8;
	world->newest = 5;
	world->revision = 1;
	strcpy(world->tpm, ADOPT);
	load_etcd();
	return in_process(adopt, 0);
}

static int finish(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static int move(bool to_folder)
{
	return in_process(do_move, to_folder);
}

/* It is there, whole, and nothing of it is anywhere else. */
static void is_in(bool in_folder)
{
	assert_int_equal(copies(), 1);
	assert_int_equal(folder_is_there(), in_folder);
	assert_int_equal(pool_has("vtpm.json"), !in_folder);
	assert_int_equal(pool_has("header"), !in_folder);
	assert_false(pool_has("released"));
}

/* As after a cut: the command once more, or the other one. */
static void goes_on(bool to_folder)
{
	int rc = move(to_folder);

	if (rc && rc != EALREADY)
		fail_msg("to the %s: errno %d", to_folder ? "folder" : "pool", rc);
	is_in(to_folder);
}

static void there_and_back(void **state)
{
	is_in(true);
	assert_int_equal(move(true), EALREADY);
	assert_int_equal(move(false), 0);
	is_in(false);
	assert_int_equal(move(false), EALREADY);
	assert_int_equal(move(true), 0);
	is_in(true);
}

/* Cut off behind each step; before anything goes on, another host may have taken it over. */
static void cut_everywhere(bool to_folder)
{
	unsigned int none = 0, cuts = 0;
	int before, status = CUT;

	save();
	for (unsigned int at = 1; status == CUT; at++) {
		assert_true(at < STEPS);
		restore();
		cut_at = at;
		status = move(to_folder);
		cut_at = 0;
		if (status != CUT)
			break;
		cuts++;
		before = copies();
		if (before > 1)
			fail_msg("%d copies behind step %u", before, at);
		none += !before;
		/* one way, the other way, or behind another host's run, by turns and so
		 * that each kind of step meets each of them */
		if (at % 3 == 0 && pool_has("vtpm.json")) {
			other = TAKES;
			take_over();
			other = NOTHING;
			keep_etcd();
			assert_int_equal(copies(), 1);
		}
		goes_on(at % 2 ? to_folder : !to_folder);
	}
	assert_int_equal(status, 0);
	is_in(to_folder);
	print_message(
		"# to the %s: %u cuts, behind %u of them no copy could be started\n",
		to_folder ? "folder" : "pool", cuts, none);
	assert_true(cuts > 20 && none > 0 && none < cuts / 2);
}

static void cut_on_the_way_into_the_pool(void **state)
{
	goes_on(true);
	cut_everywhere(false);
}

static void cut_on_the_way_out(void **state)
{
	goes_on(false);
	cut_everywhere(true);
}

/* At each transaction the lease ends, and nobody has the vTPM, or another host does. */
static void claims_lost(bool to_folder, enum other what)
{
	unsigned int at, failed = 0;
	int rc;

	save();
	for (at = 1;; at++) {
		assert_true(at < STEPS);
		restore();
		other = what;
		other_at = at;
		rc = move(to_folder);
		other = NOTHING;
		other_at = 0;
		failed += rc != 0;
		assert_true(copies() <= 1);
		goes_on(at % 2 ? to_folder : !to_folder);
		restore();
		if (at > 12)
			break;
	}
	print_message("# to the %s: %u of %u moves came to nothing\n",
		      to_folder ? "folder" : "pool", failed, at);
}

static void the_claim_is_lost(void **state)
{
	goes_on(true);
	claims_lost(false, EXPIRES);
	claims_lost(false, TAKES);
	goes_on(false);
	claims_lost(true, EXPIRES);
	claims_lost(true, TAKES);
}

/* Behind a cut another host takes the vTPM over, and deletes it: it does not come back. */
static void another_host_deletes_it(void **state)
{
	int status = CUT;

	goes_on(false);
	save();
	for (unsigned int at = 1; status == CUT; at += 2) {
		restore();
		cut_at = at;
		status = move(true);
		cut_at = 0;
		if (status != CUT || !pool_has("vtpm.json"))
			continue;
		revision++;
		for (size_t i = 0; i < KEYS; i++)
			if (pairs[i].mod && !strncmp(pairs[i].key, KEY, strlen(KEY)))
				drop_pair(&pairs[i]);
		keep_etcd();
		assert_int_equal(copies(), 0);
		assert_true(move(true));
		assert_int_equal(copies(), 0);
	}
	restore();
}

/* Answers of etcd's get lost, one or two in a row. */
static void answers_get_lost(void **state)
{
	static const enum outcome lost[] = {LOST, LOST_ANSWER};
	bool to_folder = true;

	goes_on(false);
	for (size_t i = 0; i < 2; i++)
		for (size_t at = 0; at < 7; at++) {
			for (size_t j = 0; j < 8; j++)
				outcomes[j] = DONE;
			outcomes[at] = outcomes[at + 1] = lost[i];
			outcome_at = 0;
			goes_on(to_folder);
			to_folder = !to_folder;
		}
	outcome_at = 8;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(cut_on_the_way_into_the_pool),
		cmocka_unit_test(cut_on_the_way_out),
		cmocka_unit_test(the_claim_is_lost),
		cmocka_unit_test(another_host_deletes_it),
		cmocka_unit_test(answers_get_lost),
	};

	return cmocka_run_group_tests(tests, begin, finish);
}
