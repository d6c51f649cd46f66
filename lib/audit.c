/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/audit.h"
#include "lib/crypt.h"
#include "lib/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define FILES_MAX      9999 /* PATH.n */

_Static_assert(AUDIT_HASH_SIZE == CRYPT_HASH_SIZE, "SHA-256");

bool audit_head_equal(const struct audit_head *a, const struct audit_head *b)
{
	return a->n == b->n && !memcmp(a->hash, b->hash, sizeof(a->hash));
}

static int hash_line(const char *line, size_t len, uint8_t hash[AUDIT_HASH_SIZE])
{
	const struct crypt_part part = {line, len};

	return crypt_sha256(&part, 1, hash);
}

/* The folder that the log is in, and its name there. */
static const char *split(const char *path, char folder[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	snprintf(folder, PATH_MAX, "%.*s", slash ? (int)(slash - path) : 1,
		 slash ? path : ".");
	if (slash == path)
		strcpy(folder, "/");
	return slash ? slash + 1 : path;
}

/* -- appending ---------------------------------------------------------- */

static int sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		rc = -errno;
	close(fd);
	return rc;
}

/* *size: 0 when it was made. */
static int open_log(const char *path, off_t *size)
{
	char folder[PATH_MAX];
	struct stat st;
	int fd, rc = 0;

	(void)split(path, folder);
	if (mkdir(folder, 0700) && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		  0600);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		rc = -errno;
	else if (!S_ISREG(st.st_mode))
		rc = -EINVAL;
	else if (!st.st_size)
		rc = sync_folder(folder);
	*size = st.st_size;
	if (rc)
		close(fd);
	return rc ? rc : fd;
}

static char *print(const struct audit_event *a, const struct audit_head *prev)
{
	char when[32], hash[AUDIT_HASH_HEX], *text;
	time_t now = time(NULL);
	json_t *line;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%FT%TZ", &tm);
	hex_encode(prev->hash, sizeof(prev->hash), hash);
	line = json_pack("{s:I, s:s, s:s, s:s*, s:s*, s:s*, s:o*, s:s}", "n",
			 (json_int_t)(prev->n + 1), "time", when, "event", a->event,
			 "vtpm", a->vtpm, "uuid", a->uuid, "detail", a->detail, "first",
			 a->first ? json_integer((json_int_t)a->first) : NULL, "prev",
			 hash);
	text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	json_decref(line);
	return text;
}

/* One write: a line is there as a whole, or not. */
static int write_line(int fd, off_t size, const char *line, size_t len,
		      struct audit_head *head)
{
	ssize_t n = write(fd, line, len);
	int rc = 0;

	if (n != (ssize_t)len)
		rc = n < 0 ? -errno : -ENOSPC;
	else if (fdatasync(fd))
		rc = -errno;
	/* what cannot be taken back stays, as after a power cut */
	if (rc && n > 0 && ftruncate(fd, size) &&
	    hash_line(line, (size_t)n - (line[n - 1] == '\n'), head->hash))
		rc = -EIO;
	return rc;
}

static int append(int fd, off_t size, struct audit_head *head,
		  const struct audit_event *a)
{
	struct audit_head next = {.n = head->n + 1};
	char *text = print(a, head), *line = NULL, last = '\n';
	int len, rc;

	if (!text)
		return -ENOMEM;
	rc = hash_line(text, strlen(text), next.hash);
	len = asprintf(&line, "%s\n", text);
	free(text);
	if (len < 0)
		return -ENOMEM;
	if (len > LINE_MAX_BYTES)
		rc = -EMSGSIZE;
	if (!rc && size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n' &&
	    write(fd, "\n", 1) != 1)
		rc = errno ? -errno : -EIO;
	if (!rc)
		rc = write_line(fd, size + (last != '\n'), line, (size_t)len, head);
	if (!rc)
		*head = next;
	free(line);
	return rc;
}

int audit_append(const char *path, struct audit_head *head, const struct audit_event *a)
{
	off_t size;
	int fd = open_log(path, &size), rc;

	if (fd < 0)
		return fd;
	rc = append(fd, size, head, a);
	close(fd);
	return rc;
}

/* -- reading ------------------------------------------------------------ */

struct reader {
	const struct audit_head *want;
	struct audit_result *r;
	size_t left; /* bytes that may be read */
	unsigned int file;
	size_t line; /* in it */
};

static void judge(struct reader *d, enum audit_wrong wrong)
{
	struct audit_result *r = d->r;

	if (r->wrong != AUDIT_FITS)
		return;
	r->wrong = wrong;
	r->file = d->file;
	r->line = d->line;
	r->missing = r->end.n + 1;
}

/* Checks that the bytes so far match the request. */
static void look_at_end(struct reader *d)
{
	if (audit_head_equal(&d->r->end, d->want))
		d->r->has = true;
}

static void take_entry(struct reader *d, uint64_t n, const uint8_t prev[AUDIT_HASH_SIZE])
{
	struct audit_result *r = d->r;

	if (!r->first) {
		/* where it begins is for the caller to judge */
		r->first = n;
		r->end.n = n - 1;
		if (!r->torn)
			memcpy(r->end.hash, prev, AUDIT_HASH_SIZE);
		look_at_end(d);
	}
	if (n > r->end.n + 1)
		judge(d, AUDIT_GAP);
	else if (n != r->end.n + 1 || memcmp(r->end.hash, prev, AUDIT_HASH_SIZE))
		judge(d, AUDIT_ALTERED);
	r->end.n = n;
	r->entries++;
}

/* Its number, or 0: it is no entry. */
static uint64_t parse_audit(const char *line, size_t len, uint8_t prev[AUDIT_HASH_SIZE],
			    uint64_t *first)
{
	json_t *all = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *event = json_string_value(json_object_get(all, "event"));
	const char *hex = json_string_value(json_object_get(all, "prev"));
	json_int_t n = json_integer_value(json_object_get(all, "n"));
	json_int_t from = json_integer_value(json_object_get(all, "first"));
	size_t size = AUDIT_HASH_SIZE;
	bool good = event && hex && n > 0 && n < INT64_MAX &&
		    !hex_decode(hex, prev, &size) && size == AUDIT_HASH_SIZE;

	*first = good && !strcmp(event, "rotate") && from > 0 ? (uint64_t)from : 0;
	json_decref(all);
	return good ? (uint64_t)n : 0;
}

static int take_line(struct reader *d, const char *line, size_t len)
{
	uint8_t prev[AUDIT_HASH_SIZE];
	uint64_t first, n = parse_audit(line, len, prev, &first);
	int rc;

	d->line++;
	if (n)
		take_entry(d, n, prev);
	else
		d->r->torn++;
	if (first)
		d->r->kept = first;
	rc = hash_line(line, len, d->r->end.hash);
	look_at_end(d);
	return rc;
}

/* Up to the end of the line, or LINE_MAX_BYTES, with whatever bytes are in it. */
static size_t read_line(FILE *f, char line[LINE_MAX_BYTES], bool *more)
{
	size_t len = 0;
	int c = EOF;

	while (len < LINE_MAX_BYTES && (c = getc_unlocked(f)) != EOF && c != '\n')
		line[len++] = (char)c;
	*more = len || c != EOF;
	return len;
}

static int read_lines(struct reader *d, FILE *f)
{
	char line[LINE_MAX_BYTES];
	int rc = 0;

	while (!rc) {
		bool more;
		size_t len = read_line(f, line, &more);

		if (!more)
			break;
		if (len >= d->left)
			return -EFBIG;
		d->left -= len + 1;
		rc = take_line(d, line, len);
	}
	return rc ? rc : ferror(f) ? -EIO : 0;
}

/* -ENOENT: no such entry. */
static int read_file(struct reader *d, int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), rc;
	struct stat st;
	FILE *f;

	if (fd < 0)
		return -errno;
	rc = fstat(fd, &st) ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
	f = rc ? NULL : fdopen(fd, "r");
	if (!f) {
		close(fd);
		return rc ? rc : -ENOMEM;
	}
	d->line = 0;
	d->r->files++;
	rc = read_lines(d, f);
	fclose(f);
	return rc;
}

/* The n of PATH.n; 0: it is another file. */
static unsigned int rotated(const char *suffix)
{
	unsigned long n;
	char *end;

	if (suffix[0] != '.' || suffix[1] < '1' || suffix[1] > '9')
		return 0;
	n = strtoul(suffix + 1, &end, 10);
	return !*end && n <= FILES_MAX ? (unsigned int)n : 0;
}

/* The highest n of PATH.n. */
static int find_files(int dir, const char *name, struct audit_result *r,
		      unsigned int *highest)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *all = fd < 0 ? NULL : fdopendir(fd);
	size_t len = strlen(name);
	struct dirent *one;

	if (!all) {
		int rc = -errno;

		if (fd >= 0)
			close(fd);
		return rc;
	}
	*highest = 0;
	while ((one = readdir(all))) {
		const char *suffix = one->d_name + len;
		unsigned int n;

		if (strncmp(one->d_name, name, len) || (*suffix != '.' && *suffix != '-'))
			continue;
		n = rotated(suffix);
		if (n > *highest)
			*highest = n;
		if (!n)
			text_clean(r->other, sizeof(r->other), one->d_name,
				   strlen(one->d_name));
	}
	closedir(all);
	return 0;
}

/* From the oldest one on. */
static int read_files(struct reader *d, int dir, const char *name)
{
	char rotated_name[NAME_MAX + 8];
	unsigned int n = 0;
	int rc = find_files(dir, name, d->r, &n);

	while (!rc) {
		snprintf(rotated_name, sizeof(rotated_name), n ? "%s.%u" : "%s", name, n);
		d->file = n;
		rc = read_file(d, dir, rotated_name);
		if (rc == -ENOENT)
			rc = 0;
		if (!n--)
			break;
	}
	if (rc)
		d->r->file = d->file;
	return rc;
}

int audit_read(const char *path, const struct audit_head *want, size_t limit,
	       struct audit_result *r)
{
	struct reader d = {.want = want, .r = r, .left = limit};
	char folder[PATH_MAX];
	const char *name = split(path, folder);
	int dir, rc;

	*r = (struct audit_result){.kept = 1};
	look_at_end(&d);
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	rc = read_files(&d, dir, name);
	close(dir);
	return rc;
}
