/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/log.h"
#include "lib/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uuid/uuid.h>
/* the fields would name this file and its lines, which tell an operator nothing */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

#define TEXT_MAX   1200
#define FIELD_MAX  (TEXT_MAX + 16)
#define FIELDS_MAX 6

/* Of a log_limit. */
#define LINES	      60
#define LINE_EVERY_MS 1000

static bool is_verbose, has_journal;

/* systemd says which stream it made for us (systemd.exec(5), $JOURNAL_STREAM): one that
 * was redirected since then leads elsewhere, and is meant. */
void log_open(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uint64_t dev, ino;
	struct stat st;

	has_journal = stream && sscanf(stream, "%" SCNu64 ":%" SCNu64, &dev, &ino) == 2 &&
		      !fstat(STDERR_FILENO, &st) && st.st_dev == dev && st.st_ino == ino;
}

void log_verbose(bool verbose)
{
	is_verbose = verbose;
}

struct fields {
	char text[FIELDS_MAX][FIELD_MAX];
	struct iovec iov[FIELDS_MAX];
	int count;
};

static void add_log(struct fields *f, const char *key, const char *value)
{
	char *to = f->text[f->count];
	int n = snprintf(to, FIELD_MAX, "%s=%s", key, value);

	if (n < 0)
		return;
	f->iov[f->count].iov_base = to;
	f->iov[f->count++].iov_len = n < FIELD_MAX ? (size_t)n : FIELD_MAX - 1;
}

static bool to_journal(int level, const struct log_about *about, const char *text)
{
	struct fields f = {.count = 0};
	char number[12], uuid[37];

	snprintf(number, sizeof(number), "%d", level);
	add_log(&f, "MESSAGE", text);
	add_log(&f, "PRIORITY", number);
	if (about->vtpm)
		add_log(&f, "VTPM_NAME", about->vtpm);
	if (about->uuid) {
		uuid_unparse_lower(about->uuid, uuid);
		add_log(&f, "VTPM_UUID", uuid);
	}
	if (about->cause != CAUSE_NONE)
		add_log(&f, "VTPM_CAUSE", error_word(about->cause));
	if (about->id)
		add_log(&f, "MESSAGE_ID", about->id);
	/* sd_journal_sendv() succeeds also when journald has never run */
	return !access(JOURNAL_SOCKET, F_OK) && !sd_journal_sendv(f.iov, f.count);
}

static void to_stderr(int level, const char *text)
{
	char line[TEXT_MAX + 8];
	int n = snprintf(line, sizeof(line), "<%d>%s\n", level, text);

	/* one write: lines of several processes do not mix */
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

static void put_log(int level, const struct log_about *about, const char *fmt, va_list ap)
{
	char text[TEXT_MAX];
	int at = 0;

	if (level < LOG_EMERG || level > LOG_DEBUG)
		level = LOG_NOTICE;
	if (level == LOG_DEBUG && !is_verbose)
		return;
	if (about->vtpm)
		at = snprintf(text, sizeof(text), "vTPM %s: ", about->vtpm);
	if (at < 0 || vsnprintf(text + at, sizeof(text) - (size_t)at, fmt, ap) < 0)
		return;
	text_clean(text, sizeof(text), text, strlen(text));
	if (!has_journal || !to_journal(level, about, text))
		to_stderr(level, text);
}

void log_line(int level, const char *fmt, ...)
{
	const struct log_about nothing = {.cause = CAUSE_NONE};
	va_list ap;

	va_start(ap, fmt);
	put_log(level, &nothing, fmt, ap);
	va_end(ap);
}

void log_about(int level, const struct log_about *about, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_log(level, about, fmt, ap);
	va_end(ap);
}

void log_left_out(struct log_limit *l, const struct log_about *about)
{
	const struct log_about whose = {.vtpm = about->vtpm, .uuid = about->uuid};

	if (l->left_out)
		log_about(LOG_WARNING, &whose, "%u line%s about it %s left out",
			  l->left_out, l->left_out == 1 ? "" : "s",
			  l->left_out == 1 ? "was" : "were");
	l->left_out = 0;
}

void log_limited(struct log_limit *l, int level, const struct log_about *about,
		 const char *fmt, ...)
{
	uint64_t now = (uint64_t)stamp_ms();
	va_list ap;

	if (level != LOG_DEBUG && !bucket_take(&l->bucket, LINES, LINE_EVERY_MS, now)) {
		l->left_out++;
		return;
	}
	if (level != LOG_DEBUG)
		log_left_out(l, about);
	va_start(ap, fmt);
	put_log(level, about, fmt, ap);
	va_end(ap);
}
