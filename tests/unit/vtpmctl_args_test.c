/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct sample {
	const char *name, *file, *policy;
	unsigned int memory;
	bool force;
};

static const char *const policies[] = {"host", "tpm", NULL};

static const struct args_option options[] = {
	{"file", ARGS_TEXT, offsetof(struct sample, file), "FILE", "a file", 0, 0, NULL,
	 0},
	{"policy", ARGS_CHOICE, offsetof(struct sample, policy), "host|tpm", "a policy",
	 0, 0, policies, 0},
	{"memory", ARGS_NUMBER, offsetof(struct sample, memory), "MIB", "MiB", 8, 4096,
	 NULL, 'm'},
	{"force", ARGS_FLAG, offsetof(struct sample, force), NULL, "force", 0, 0, NULL,
	 'f'},
};

static const struct args_command with_word = {
	.usage = "sample NAME",
	.about = "About.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct sample, name),
};

static const struct args_command without_word = {
	.usage = "sample",
	.about = "About.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static const struct args_command with_word_or_flag = {
	.usage = "sample {NAME | --force}",
	.about = "About.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct sample, name),
	.word_or = "force",
	.word_or_offset = offsetof(struct sample, force),
};

static const struct args_command with_two_words = {
	.usage = "sample NAME FILE",
	.about = "About.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct sample, name),
	.second = "FILE",
	.second_offset = offsetof(struct sample, file),
};

/* The parser speaks on both streams; the TAP must not hear it. */
static enum args_result parse(const struct args_command *cmd, struct sample *out,
			      const char *const *words)
{
	/* what was parsed points into it */
	static char storage[12][64];
	char *argv[13] = {storage[0]};
	int argc = 1, null, saved[2];
	enum args_result result;

	strcpy(storage[0], "sample");
	for (; words[argc - 1]; argc++)
		argv[argc] = strcpy(storage[argc], words[argc - 1]);
	argv[argc] = NULL;
	memset(out, 0, sizeof(*out));
	fflush(NULL);
	null = open("/dev/null", O_WRONLY);
	saved[0] = dup(1);
	saved[1] = dup(2);
	dup2(null, 1);
	dup2(null, 2);
	result = args_parse(cmd, argc, argv, out);
	fflush(NULL);
	dup2(saved[0], 1);
	dup2(saved[1], 2);
	close(saved[0]);
	close(saved[1]);
	close(null);
	return result;
}

#define PARSE(cmd, out, ...) parse(cmd, out, (const char *const[]){__VA_ARGS__, NULL})

static void either_a_word_or_a_flag(void **state)
{
	struct sample s;

	assert_int_equal(PARSE(&with_word_or_flag, &s, "--force"), ARGS_RUN);
	assert_null(s.name);
	assert_true(s.force);
	assert_int_equal(PARSE(&with_word_or_flag, &s, "web1", "--file", "a"), ARGS_RUN);
	assert_string_equal(s.name, "web1");
	assert_false(s.force);
	assert_int_equal(PARSE(&with_word_or_flag, &s, "--file", "a"), ARGS_BAD);
	assert_int_equal(PARSE(&with_word_or_flag, &s, "web1", "--force"), ARGS_BAD);
	assert_int_equal(PARSE(&with_word_or_flag, &s, ""), ARGS_BAD);
	assert_int_equal(PARSE(&with_word_or_flag, &s, "web1", "web2"), ARGS_BAD);
}

static void both_words_or_none(void **state)
{
	struct args_command c = with_word;
	struct sample s;

	c.second = "FILE";
	c.second_offset = offsetof(struct sample, file);
	c.words_optional = true;
	assert_int_equal(PARSE(&c, &s, "--force"), ARGS_RUN);
	assert_null(s.name);
	assert_int_equal(PARSE(&c, &s, "web1", "a", "--force"), ARGS_RUN);
	assert_string_equal(s.name, "web1");
	assert_string_equal(s.file, "a");
	assert_int_equal(PARSE(&c, &s, "web1"), ARGS_BAD);
	assert_int_equal(PARSE(&c, &s, ""), ARGS_BAD);
	assert_int_equal(PARSE(&c, &s, "web1", "a", "b"), ARGS_BAD);
}

static void takes_every_kind(void **state)
{
	struct sample s;

	assert_int_equal(PARSE(&with_word, &s, "--file", "a", "web1", "--policy=tpm",
			       "--memory", "16", "--force"),
			 ARGS_RUN);
	assert_string_equal(s.name, "web1");
	assert_string_equal(s.file, "a");
	assert_string_equal(s.policy, "tpm");
	assert_int_equal(s.memory, 16);
	assert_true(s.force);
}

static void letters_are_short_names(void **state)
{
	struct sample s;

	assert_int_equal(PARSE(&with_word, &s, "-m", "16", "-f", "web1"), ARGS_RUN);
	assert_int_equal(s.memory, 16);
	assert_true(s.force);
	assert_int_equal(PARSE(&with_word, &s, "-fm17", "web1"), ARGS_RUN);
	assert_int_equal(s.memory, 17);
	assert_true(s.force);
	assert_int_equal(PARSE(&with_word, &s, "-m", "7", "web1"), ARGS_BAD);
	assert_int_equal(PARSE(&with_word, &s, "web1", "-m"), ARGS_BAD);
	assert_int_equal(PARSE(&with_word, &s, "-p", "tpm", "web1"), ARGS_BAD);
	assert_int_equal(PARSE(&with_word, &s, "-h"), ARGS_HELP);
}

static void parses_twice(void **state)
{
	struct sample s;

	assert_int_equal(PARSE(&with_word, &s, "--force", "one"), ARGS_RUN);
	assert_int_equal(PARSE(&with_word, &s, "two"), ARGS_RUN);
	assert_string_equal(s.name, "two");
	assert_false(s.force);
}

static void dashes_end_options(void **state)
{
	struct sample s;

	assert_int_equal(PARSE(&with_word, &s, "--", "--force"), ARGS_RUN);
	assert_string_equal(s.name, "--force");
	assert_false(s.force);
}

static void wants_exactly_one_word(void **state)
{
	struct sample s;

	assert_int_equal(PARSE(&with_word, &s, "--force"), ARGS_BAD);
	assert_int_equal(PARSE(&with_word, &s, ""), ARGS_BAD);
	assert_int_equal(PARSE(&with_word, &s, "a", "b"), ARGS_BAD);
	assert_int_equal(PARSE(&without_word, &s, "a"), ARGS_BAD);
	assert_int_equal(PARSE(&without_word, &s, "--force"), ARGS_RUN);
}

static void refuses_bad_numbers(void **state)
{
	static const char *const bad[] = {"",
					  "7",
					  "4097",
					  "-8",
					  "+8",
					  " 8",
					  "8 ",
					  "8k",
					  "0x10",
					  "eight",
					  "8.",
					  "1e1",
					  "18446744073709551624"};
	struct sample s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(PARSE(&with_word, &s, "--memory", bad[i], "n"),
				 ARGS_BAD);
	assert_int_equal(PARSE(&with_word, &s, "--memory", "8", "n"), ARGS_RUN);
	assert_int_equal(PARSE(&with_word, &s, "--memory", "4096", "n"), ARGS_RUN);
}

static void refuses_bad_choices(void **state)
{
	static const char *const bad[] = {"", "HOST", "hos", "hostt", "host|tpm"};
	struct sample s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(PARSE(&with_word, &s, "--policy", bad[i], "n"),
				 ARGS_BAD);
}

static void refuses_bad_options(void **state)
{
	struct sample s;

	assert_int_equal(PARSE(&with_word, &s, "--nonsense", "n"), ARGS_BAD);
	assert_int_equal(PARSE(&with_word, &s, "-x", "n"), ARGS_BAD);
	assert_int_equal(PARSE(&with_word, &s, "-xyz"), ARGS_BAD);
	assert_int_equal(PARSE(&with_word, &s, "n", "--file"), ARGS_BAD);
	assert_int_equal(PARSE(&with_word, &s, "--file=", "n"), ARGS_BAD);
	assert_int_equal(PARSE(&with_word, &s, "--force=1", "n"), ARGS_BAD);
}

static void help_wins(void **state)
{
	struct sample s;

	assert_int_equal(PARSE(&with_word, &s, "--help"), ARGS_HELP);
	assert_int_equal(PARSE(&with_word, &s, "-h"), ARGS_HELP);
	assert_int_equal(PARSE(&with_word, &s, "a", "b", "--help"), ARGS_HELP);
}

static void causes_have_a_status(void **state)
{
	assert_int_equal(vtpmctl_status("tpm-unreachable"), VTPMCTL_TPM);
	assert_int_equal(vtpmctl_status("tpm-replaced"), VTPMCTL_TPM);
	assert_int_equal(vtpmctl_status("pcrs-changed"), VTPMCTL_TPM);
	assert_int_equal(vtpmctl_status("kms-key"), VTPMCTL_KMS);
	assert_int_equal(vtpmctl_status("not-configured"), VTPMCTL_NOT_CONFIGURED);
	assert_int_equal(vtpmctl_status("no-such-vtpm"), VTPMCTL_NO_SUCH_VTPM);
	assert_int_equal(vtpmctl_status("blob-corrupt"), VTPMCTL_FAILED);
	assert_int_equal(vtpmctl_status(""), VTPMCTL_FAILED);
	assert_int_equal(vtpmctl_status(NULL), VTPMCTL_FAILED);
}

static void two_words(void **state)
{
	const char *const both[] = {"web1", "--force", "a.json", NULL};
	const char *const one[] = {"web1", NULL};
	const char *const three[] = {"web1", "a.json", "more", NULL};
	const char *const empty[] = {"web1", "", NULL};
	struct sample s;

	assert_int_equal(parse(&with_two_words, &s, both), ARGS_RUN);
	assert_string_equal(s.name, "web1");
	assert_string_equal(s.file, "a.json");
	assert_true(s.force);
	assert_int_equal(parse(&with_two_words, &s, one), ARGS_BAD);
	assert_int_equal(parse(&with_two_words, &s, three), ARGS_BAD);
	assert_int_equal(parse(&with_two_words, &s, empty), ARGS_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_words),
		cmocka_unit_test(either_a_word_or_a_flag),
		cmocka_unit_test(both_words_or_none),
		cmocka_unit_test(takes_every_kind),
		cmocka_unit_test(letters_are_short_names),
		cmocka_unit_test(parses_twice),
		cmocka_unit_test(dashes_end_options),
		cmocka_unit_test(wants_exactly_one_word),
		cmocka_unit_test(refuses_bad_numbers),
		cmocka_unit_test(refuses_bad_choices),
		cmocka_unit_test(refuses_bad_options),
		cmocka_unit_test(help_wins),
		cmocka_unit_test(causes_have_a_status),
	};

	return cmocka_run_group_tests_name("vtpmctl_args", tests, NULL, NULL);
}
