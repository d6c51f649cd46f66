/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subcommand's command line as a table: args_parse() fills the subcommand's
 * struct from it with getopt_long, and --help is printed from it.
 */
#ifndef XVTPM_ARGS_H
#define XVTPM_ARGS_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stddef.h>

enum args_kind {
	ARGS_FLAG,   /* bool */
	ARGS_TEXT,   /* const char *, not empty */
	ARGS_NUMBER, /* unsigned int, within min..max */
	ARGS_CHOICE, /* const char *, one of choices */
};

struct args_option {
	const char *name; /* without the dashes */
	enum args_kind kind;
	size_t offset;	   /* into the subcommand's struct */
	const char *value; /* what --help calls the value; NULL for a flag */
	const char *help;
	unsigned int min, max;
	const char *const *choices; /* ends with NULL */
	char letter;		    /* -x for --name; 0: none */
};

struct args_command {
	const char *usage; /* what stands after "vtpmctl " */
	const char *about; /* one or more lines for --help */
	const struct args_option *options;
	size_t option_count;
	/* offset of a const char * for the one positional word, if takes_word */
	const char *word; /* its name in messages; NULL: none is taken */
	size_t word_offset;
	/* a flag, one of options, that is given in the word's place; NULL: none is */
	const char *word_or;
	size_t word_or_offset;
	bool words_optional; /* none of the words is a command line, too */
	const char *second;  /* the same for a second word */
	size_t second_offset;
};

enum args_result {
	ARGS_RUN,  /* go on */
	ARGS_HELP, /* --help was printed: exit 0 */
	ARGS_BAD,  /* a sentence was printed on stderr: exit 2 */
};

/* Fills *out, which holds the defaults.  argv[0] is the subcommand's name. */
enum args_result __must_check args_parse(const struct args_command *cmd, int argc,
					 char **argv, void *out);
/* The same for a subcommand that has begun nothing yet: ends the program after --help, and
 * with VTPMCTL_USAGE for a command line that makes no sense. */
void args_parse_or_exit(const struct args_command *cmd, int argc, char **argv, void *out);

/* Rows of a table of options: the option --name sets struct type's field. */
#define OPTION_FLAG(option, type, field, text)                                      \
	{                                                                           \
		.name = option, .kind = ARGS_FLAG, .offset = offsetof(type, field), \
		.help = text                                                        \
	}
#define OPTION_TEXT(option, type, field, what, text)                                \
	{                                                                           \
		.name = option, .kind = ARGS_TEXT, .offset = offsetof(type, field), \
		.value = what, .help = text                                         \
	}
#define OPTION_NUMBER(option, type, field, what, least, most, text)                   \
	{                                                                             \
		.name = option, .kind = ARGS_NUMBER, .offset = offsetof(type, field), \
		.value = what, .min = least, .max = most, .help = text                \
	}
#define OPTION_CHOICE(option, type, field, what, words, text)                         \
	{                                                                             \
		.name = option, .kind = ARGS_CHOICE, .offset = offsetof(type, field), \
		.value = what, .choices = words, .help = text                         \
	}

#endif
