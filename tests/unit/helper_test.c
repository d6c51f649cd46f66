/* SPDX-License-Identifier: Apache-2.0 */
/* What a vtpmctl that speaks with the host's TPM prints, or does instead: a shell script. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/child.h"
#include "tools/vtpmd/helper.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/helper-XXXXXX", program[64];
static struct vtpmd d = {.config = "host.json", .tpm = "/dev/tpmrm0", .vtpmctl = program};
static struct helper helper;
static struct {
	unsigned int count;
	char value[128];
	struct error error;
} done;

static void on_done(void *ctx, json_t *said, const struct error *e)
{
	const char *value = json_string_value(json_object_get(said, "value"));

	done.count++;
	snprintf(done.value, sizeof(done.value), "%s", value ? value : "");
	done.error = said ? (struct error){.cause = CAUSE_NONE} : *e;
	event_base_loopbreak(d.base);
}

/* Has the helper run the script, until it ends. */
static void run(const char *script)
{
	static const char *const args[HELPER_ARGS] = {"--get"};
	struct error e = {.cause = CAUSE_NONE};
	FILE *f = fopen(program, "w");

	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s\n", script);
	fclose(f);
	assert_int_equal(chmod(program, 0700), 0);
	memset(&done, 0, sizeof(done));
	assert_int_equal(helper_run(&helper, "anchor", args, &e), 0);
	assert_true(helper.pid > 0);
	event_base_dispatch(d.base);
	assert_int_equal(done.count, 1);
	assert_int_equal(helper.pid, 0);
	assert_null(helper.output);
}

static void fails(const char *script, enum cause cause, const char *text)
{
	run(script);
	assert_int_equal(done.error.cause, cause);
	if (!strstr(done.error.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, done.error.text);
}

static int setup(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(program, sizeof(program), "%s/vtpmctl", folder);
	d.base = event_base_new();
	return !d.base || child_init(d.base) ||
	       helper_init(&helper, &d, 1, on_done, NULL);
}

static int teardown(void **state)
{
	helper_end(&helper);
	child_end();
	event_base_free(d.base);
	return unlink(program) || rmdir(folder);
}

static void the_last_object_counts(void **state)
{
	run("echo 'WARNING: a library' >&2; echo '{\"value\": \"a\"}'; "
	    "echo \"{\\\"value\\\": \\\"$*\\\"}\"; echo more >&2");
	assert_string_equal(
		done.value,
		"host anchor --json --config host.json --tcti device:/dev/tpmrm0 --get");
}

static void an_error_is_a_sentence(void **state)
{
	fails("echo '{\"ok\": false, \"cause\": 3, \"error\": \"it is away\"}'",
	      (enum cause)3, "It is away.");
	fails("echo '{\"ok\": false, \"cause\": 0, \"error\": \"It is away.\"}'",
	      CAUSE_INTERNAL, "It is away.");
}

static void nothing_that_is_an_object(void **state)
{
	fails("exit 3", CAUSE_INTERNAL, "status 0x300, and said: nothing");
	fails("printf 'one\\n\\033two'; exit 1", CAUSE_INTERNAL, "said: ?two");
	fails("echo '{\"value\": '", CAUSE_INTERNAL, "said: {");
	fails("echo '{\"value\": \"a\"}'; kill -9 $$", CAUSE_INTERNAL, "status 0x9");
}

static void more_than_is_read(void **state)
{
	fails("echo '{\"value\": \"a\"}'; exec yes", CAUSE_INTERNAL, "said: too much");
}

/* What the pipe is left to, as a server that it starts, is not waited for. */
static void who_holds_the_pipe(void **state)
{
	run("echo '{\"value\": \"a\"}'; sleep 5 &");
	assert_string_equal(done.value, "a");
}

static void one_that_hangs(void **state)
{
	fails("echo '{\"value\": \"a\"}'; exec sleep 60", CAUSE_TPM_UNREACHABLE,
	      "did not answer within 1 s");
}

static void one_that_is_not_there(void **state)
{
	memset(&done, 0, sizeof(done));
	d.vtpmctl = "/nowhere/vtpmctl";
	run("exit 0");
	d.vtpmctl = program;
	assert_int_equal(done.error.cause, CAUSE_INTERNAL);
}

#define CHILDREN 40

static unsigned int waits, ends;

pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
	waits++;
	return __real_waitpid(pid, status, options);
}

static void on_end(void *ctx, int status)
{
	assert_true(WIFSIGNALED(status));
	ends++;
	event_base_loopbreak(d.base);
}

/* Each of thousands that end when vtpmd does costs a look or two, not one at each other. */
static void ends_of_many(void **state)
{
	char *argv[] = {"sleep", "60", NULL};
	const struct child_start s = {
		.argv = argv, .out = -1, .bound = true, .done = on_end};
	pid_t pids[CHILDREN];

	for (size_t i = 0; i < CHILDREN; i++)
		assert_int_equal(child_spawn(&s, &pids[i]), 0);
	waits = ends = 0;
	for (size_t i = 0; i < CHILDREN; i++) {
		assert_int_equal(kill(pids[i], SIGKILL), 0);
		event_base_dispatch(d.base);
		assert_int_equal(ends, i + 1);
	}
	assert_in_range(waits, CHILDREN, 3 * CHILDREN);
}

static long minor_faults(void)
{
	struct rusage used;

	assert_int_equal(getrusage(RUSAGE_SELF, &used), 0);
	return used.ru_minflt;
}

/* vtpmd of thousands of vTPMs has hundreds of MiB: no page of them has to be mapped anew since
 * a child was started. */
static void a_child_copies_no_memory(void **state)
{
	const size_t page = 4096, size = 8192 * page;
	volatile uint8_t *all = mmap(NULL, size, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long before;

	assert_true(all != MAP_FAILED);
	assert_int_equal(madvise((void *)all, size, MADV_NOHUGEPAGE), 0);
	for (size_t at = 0; at < size; at += page)
		all[at] = 1;
	before = minor_faults();
	run("echo '{\"value\": \"a\"}'");
	for (size_t at = 0; at < size; at += page)
		all[at] = 2;
	assert_true(minor_faults() - before < 4096);
	munmap((void *)all, size);
}

#define DESCRIPTORS 4000

/* Nor the table of vtpmd's descriptors, three for each vTPM: the kernel says for how many the
 * child's has room, which never gets less. */
static void a_child_copies_no_table(void **state)
{
	static int fds[DESCRIPTORS];
	struct rlimit files;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (size_t i = 0; i < DESCRIPTORS; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_true(fds[i] >= 0);
	}
	run("echo \"{\\\"value\\\": \\\"$(sed -n 's/^FDSize:.//p' /proc/$$/status)\\\"}\"");
	assert_in_range(atoi(done.value), 1, 256);
	for (size_t i = 0; i < DESCRIPTORS; i++)
		close(fds[i]);
}

static void on_given_end(void *ctx, int status)
{
	assert_int_equal(status, 0);
	event_base_loopbreak(d.base);
}

static void reads(int fd, const char *text)
{
	char buf[64] = "";

	assert_int_equal(read(fd, buf, sizeof(buf) - 1), strlen(text));
	assert_string_equal(buf, text);
	/* nobody has its other end any more */
	assert_int_equal(read(fd, buf, sizeof(buf)), 0);
	close(fd);
}

/* What it is given, whatever the numbers are, nothing else, and vtpmd keeps no copy of it. */
static void a_child_has_what_it_is_given(void **state)
{
	/* the last one is ls's own, of that folder */
	static const char listed[] = "0\n1\n2\n3\n4\n5\n";
	char *argv[] = {"sh", "-c",
			"read none; echo three >&3; echo four >&4; exec ls /proc/self/fd",
			NULL};
	int pipes[3][2], given[CHILD_FDS];
	struct child_start s = {
		.argv = argv, .fds = given, .fd_count = CHILD_FDS, .done = on_given_end};
	pid_t pid;

	for (int i = 0; i < 3; i++)
		assert_int_equal(pipe2(pipes[i], O_CLOEXEC), 0);
	given[0] = pipes[1][1];
	given[1] = pipes[0][1];
	s.out = pipes[2][1];
	assert_int_equal(child_spawn(&s, &pid), 0);
	for (int i = 0; i < 3; i++)
		close(pipes[i][1]);
	event_base_dispatch(d.base);
	reads(pipes[1][0], "three\n");
	reads(pipes[0][0], "four\n");
	reads(pipes[2][0], listed);
}

/* A child has no signal blocked, and a pipe that nobody reads ends it. */
static void a_child_has_its_own_signals(void **state)
{
	char ignored[17];

	signal(SIGPIPE, SIG_IGN);
	run("echo \"{\\\"value\\\": \\\"$(sed -n 's/^Sig[BI].*\\t//p' /proc/self/status | "
	    "tr -d '\\n')\\\"}\"");
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(strlen(done.value), 32);
	assert_memory_equal(done.value, "0000000000000000", 16);
	strcpy(ignored, done.value + 16);
	assert_int_equal(strtoull(ignored, NULL, 16) & 1u << (SIGPIPE - 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_object_counts),
		cmocka_unit_test(an_error_is_a_sentence),
		cmocka_unit_test(nothing_that_is_an_object),
		cmocka_unit_test(more_than_is_read),
		cmocka_unit_test(who_holds_the_pipe),
		cmocka_unit_test(one_that_hangs),
		cmocka_unit_test(one_that_is_not_there),
		cmocka_unit_test(ends_of_many),
		cmocka_unit_test(a_child_copies_no_memory),
		cmocka_unit_test(a_child_copies_no_table),
		cmocka_unit_test(a_child_has_what_it_is_given),
		cmocka_unit_test(a_child_has_its_own_signals),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
