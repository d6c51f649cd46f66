/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 16
#define HELP_CODE   'h'
#define FIRST_CODE  256 /* getopt's val of options[0]; no short option has it */

static enum args_result bad(const struct args_command *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static enum args_result bad(const struct args_command *cmd, const char *fmt, ...)
{
	va_list ap;

	fputs("vtpmctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; usage: vtpmctl %s (--help says more)\n", cmd->usage);
	return ARGS_BAD;
}

static void print_help(const struct args_command *cmd)
{
	char left[40];
	size_t i;

	printf("Usage: vtpmctl %s\n\n%s\n", cmd->usage, cmd->about);
	for (i = 0; i < cmd->option_count; i++) {
		const struct args_option *o = &cmd->options[i];

		if (o->letter)
			snprintf(left, sizeof(left), "-%c, --%s %s", o->letter, o->name,
				 o->value ? o->value : "");
		else
			snprintf(left, sizeof(left), "--%s %s", o->name,
				 o->value ? o->value : "");
		printf("  %-28s %s\n", left, o->help);
	}
	printf("  %-28s %s\n", "--help", "this text");
}

static bool args_number(const char *text, unsigned int min, unsigned int max,
			unsigned int *out)
{
	unsigned long v;
	char *end;

	/* strtoul takes signs and blanks, an operator should not */
	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || *end || v < min || v > max)
		return false;
	*out = (unsigned int)v;
	return true;
}

static bool chosen(const char *text, const char *const *choices)
{
	for (; *choices; choices++)
		if (!strcmp(text, *choices))
			return true;
	return false;
}

static enum args_result store_args(const struct args_command *cmd,
				   const struct args_option *o, const char *text,
				   void *out)
{
	void *field = (char *)out + o->offset;

	switch (o->kind) {
	case ARGS_FLAG:
		*(bool *)field = true;
		return ARGS_RUN;
	case ARGS_NUMBER:
		if (!args_number(text, o->min, o->max, field))
			return bad(cmd, "--%s takes a number from %u to %u, not \"%s\"",
				   o->name, o->min, o->max, text);
		return ARGS_RUN;
	case ARGS_CHOICE:
		if (!chosen(text, o->choices))
			return bad(cmd, "--%s takes %s, not \"%s\"", o->name, o->value,
				   text);
		break;
	case ARGS_TEXT:
		if (!text[0])
			return bad(cmd, "--%s needs a value, not an empty text", o->name);
		break;
	}
	*(const char **)field = text;
	return ARGS_RUN;
}

static enum args_result take_words(const struct args_command *cmd, int argc, char **argv,
				   void *out)
{
	const struct {
		const char *name;
		size_t offset;
	} words[] = {
		{cmd->word, cmd->word_offset},
		{cmd->second, cmd->second_offset},
	};
	size_t i;

	if (cmd->word_or) {
		bool flag = *(const bool *)((char *)out + cmd->word_or_offset);

		if (flag == (optind < argc))
			return bad(cmd, "give either %s or --%s", cmd->word,
				   cmd->word_or);
		if (flag)
			return ARGS_RUN;
	}
	if (cmd->words_optional && optind >= argc)
		return ARGS_RUN;
	for (i = 0; i < ARRAY_SIZE(words) && words[i].name; i++, optind++) {
		if (optind >= argc || !argv[optind][0])
			return bad(cmd, "%s is missing", words[i].name);
		*(const char **)((char *)out + words[i].offset) = argv[optind];
	}
	if (optind < argc)
		return bad(cmd, "\"%s\" is one word too many", argv[optind]);
	return ARGS_RUN;
}

/* What getopt calls the options' letters: ":hn:d:". */
static void letters(const struct args_command *cmd, char out[2 * OPTIONS_MAX + 3])
{
	size_t i;

	out += sprintf(out, ":h");
	for (i = 0; i < cmd->option_count && i < OPTIONS_MAX; i++)
		if (cmd->options[i].letter)
			out += sprintf(out, "%c%s", cmd->options[i].letter,
				       cmd->options[i].kind == ARGS_FLAG ? "" : ":");
}

/* The option that getopt returned code for; NULL: none. */
static const struct args_option *option_of(const struct args_command *cmd, int code)
{
	size_t i;

	for (i = 0; i < cmd->option_count; i++)
		if (code == FIRST_CODE + (int)i ||
		    (cmd->options[i].letter && code == cmd->options[i].letter))
			return &cmd->options[i];
	return NULL;
}

/* What getopt_long() does not know: a letter, of which word does not tell, or the word. */
static const char *wrong_option(const char *word)
{
	static char letter[] = "-x";

	if (optopt <= 0 || optopt >= FIRST_CODE)
		return word;
	letter[1] = (char)optopt;
	return letter;
}

enum args_result args_parse(const struct args_command *cmd, int argc, char **argv,
			    void *out)
{
	struct option options[OPTIONS_MAX + 2] = {0};
	char short_options[2 * OPTIONS_MAX + 3];
	const struct args_option *o;
	enum args_result result;
	size_t i;
	int code;

	for (i = 0; i < cmd->option_count && i < OPTIONS_MAX; i++) {
		options[i].name = cmd->options[i].name;
		options[i].has_arg = cmd->options[i].kind == ARGS_FLAG
					     ? no_argument
					     : required_argument;
		options[i].val = FIRST_CODE + (int)i;
	}
	options[i].name = "help";
	options[i].val = HELP_CODE;

	letters(cmd, short_options);
	optind = 0; /* glibc: start over, as a second argv is parsed */
	while ((code = getopt_long(argc, argv, short_options, options, NULL)) != -1) {
		if (code == HELP_CODE) {
			print_help(cmd);
			return ARGS_HELP;
		}
		if (code == ':')
			return bad(cmd, "%s needs a value", argv[optind - 1]);
		o = option_of(cmd, code);
		if (!o)
			return bad(cmd, "%s is not an option of this command",
				   wrong_option(argv[optind - 1]));
		result = store_args(cmd, o, optarg, out);
		if (result != ARGS_RUN)
			return result;
	}
	return take_words(cmd, argc, argv, out);
}

void args_parse_or_exit(const struct args_command *cmd, int argc, char **argv, void *out)
{
	enum args_result parsed = args_parse(cmd, argc, argv, out);

	if (parsed != ARGS_RUN)
		exit(parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE);
}

static const struct {
	const char *word;
	enum vtpmctl_status status;
} statuses[] = {
	{"not-configured", VTPMCTL_NOT_CONFIGURED},
	{"no-such-vtpm", VTPMCTL_NO_SUCH_VTPM},
	{"pcrs-changed", VTPMCTL_TPM},
	{"tpm-busy", VTPMCTL_TPM},
};

int vtpmctl_status(const char *cause)
{
	size_t i;

	if (!cause)
		return VTPMCTL_FAILED;
	if (!strncmp(cause, "tpm-", 4))
		return VTPMCTL_TPM;
	if (!strncmp(cause, "kms-", 4))
		return VTPMCTL_KMS;
	for (i = 0; i < ARRAY_SIZE(statuses); i++)
		if (!strcmp(cause, statuses[i].word))
			return statuses[i].status;
	return VTPMCTL_FAILED;
}

int vtpmctl_fail(const struct error *e)
{
	fprintf(stderr, "vtpmctl: %s\n", e->text);
	return vtpmctl_status(error_word(e->cause));
}
