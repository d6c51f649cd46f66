/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/audit.h"
#include "lib/crypt.h"
#include "lib/hex.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

static const char first[AUDIT_HASH_HEX] =
	"0000000000000000000000000000000000000000000000000000000000000000";

static int hash_line(const char *line, size_t len, char hex[AUDIT_HASH_HEX])
{
	const struct crypt_part part = {line, len};
	uint8_t hash[CRYPT_HASH_SIZE];
	int rc = crypt_sha256(&part, 1, hash);

	if (!rc)
		hex_encode(hash, sizeof(hash), hex);
	return rc;
}

static int open_log(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	int fd;

	if (slash && slash != path) {
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
		if (mkdir(folder, 0700) && errno != EEXIST)
			return -errno;
	}
	fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

/* The hash of the last line; *torn: it has no end. */
static int last_hash(int fd, char hex[AUDIT_HASH_HEX], bool *torn)
{
	char tail[LINE_MAX_BYTES + 1];
	off_t size = lseek(fd, 0, SEEK_END), from;
	const char *line;
	ssize_t n;

	*torn = false;
	if (size <= 0) {
		memcpy(hex, first, sizeof(first));
		return size ? -errno : 0;
	}
	from = size > LINE_MAX_BYTES ? size - LINE_MAX_BYTES : 0;
	n = pread(fd, tail, LINE_MAX_BYTES, from);
	if (n <= 0)
		return n ? -errno : -EIO;
	*torn = tail[n - 1] != '\n';
	if (!*torn)
		n--;
	tail[n] = '\0';
	line = memrchr(tail, '\n', (size_t)n);
	line = line ? line + 1 : tail;
	return hash_line(line, strlen(line), hex);
}

static char *print(const struct audit_event *a, const char *prev)
{
	time_t now = time(NULL);
	char when[32], *text;
	struct tm tm;
	json_t *line;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%FT%TZ", &tm);
	line = json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:s}", "time", when, "event",
			 a->event, "vtpm", a->vtpm, "uuid", a->uuid, "detail", a->detail,
			 "prev", prev);
	text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	json_decref(line);
	return text;
}

static int append(int fd, const struct audit_event *a)
{
	char prev[AUDIT_HASH_HEX], *text, *line = NULL;
	bool torn;
	int len, rc = last_hash(fd, prev, &torn);

	if (rc)
		return rc;
	text = print(a, prev);
	/* one write: a line is there as a whole, or not */
	len = text ? asprintf(&line, "%s%s\n", torn ? "\n" : "", text) : -1;
	free(text);
	if (len < 0)
		return -ENOMEM;
	if (len > LINE_MAX_BYTES)
		rc = -EMSGSIZE;
	else if (write(fd, line, (size_t)len) != len)
		rc = errno ? -errno : -EIO;
	else if (fdatasync(fd))
		rc = -errno;
	free(line);
	return rc;
}

int audit_append(const char *path, const struct audit_event *a)
{
	int fd = open_log(path), rc = 0;

	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX))
		rc = -errno;
	if (!rc)
		rc = append(fd, a);
	close(fd);
	return rc;
}

/* Takes one line in; whether it fits what was before it. */
static bool follows(const char *line, size_t len, struct audit_result *r)
{
	json_t *all = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *prev = json_string_value(json_object_get(all, "prev"));
	bool fits = prev && !strcmp(prev, r->last);

	json_decref(all);
	return fits && !hash_line(line, len, r->last);
}

int audit_verify(const char *path, struct audit_result *r)
{
	FILE *f = fopen(path, "re");
	char *line = NULL, torn[AUDIT_HASH_HEX];
	size_t room = 0;
	ssize_t n;

	memset(r, 0, sizeof(*r));
	memcpy(r->last, first, sizeof(first));
	if (!f)
		return -errno;
	while (!r->bad && (n = getline(&line, &room, f)) > 0) {
		size_t len = (size_t)n - (line[n - 1] == '\n');
		json_t *whole = json_loadb(line, len, 0, NULL);

		r->lines++;
		if (whole ? !follows(line, len, r) : hash_line(line, len, torn))
			r->bad = r->lines;
		if (!whole) { /* what follows has to know of it */
			r->torn++;
			memcpy(r->last, torn, sizeof(torn));
		}
		json_decref(whole);
	}
	free(line);
	fclose(f);
	return 0;
}
