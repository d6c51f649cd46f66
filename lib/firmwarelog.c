/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/firmwarelog.h"
#include "lib/cursor.h"
#include "lib/measure.h"
#include "lib/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHA1_SIZE 20

/* NULL, with errno: also of what is no regular file, as securityfs's is. */
static FILE *open_firmwarelog(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	FILE *f = NULL;
	struct stat st;

	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		f = fdopen(fd, "r");
	else
		errno = EINVAL;
	if (!f)
		close(fd);
	return f;
}

int firmwarelog_read(const char *path, uint8_t **log, size_t *len)
{
	FILE *f = open_firmwarelog(path);
	uint8_t *bytes;
	int rc = 0;

	if (!f)
		return -errno;
	bytes = malloc(FIRMWARELOG_MAX + 1);
	if (!bytes) {
		fclose(f);
		return -ENOMEM;
	}
	*len = fread(bytes, 1, FIRMWARELOG_MAX + 1, f);
	if (ferror(f))
		rc = -EIO;
	else if (*len > FIRMWARELOG_MAX)
		rc = -EFBIG;
	else if (!*len)
		rc = -ENODATA;
	fclose(f);
	if (rc)
		free(bytes);
	else
		*log = bytes;
	return rc;
}

/* Whether the log, in base64url, is the record of an HVM guest's launch (lib/measure.h), which
 * extends no PCR: its first event behind the header says so. */
static bool is_record(const char *text)
{
	char part[513];
	uint8_t bytes[sizeof(part)];
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				"0123456789-_");
	size_t len = sizeof(bytes);
	struct cursor c;

	if (n > sizeof(part) - 1)
		n = sizeof(part) - 1;
	memcpy(part, text, n);
	part[n] = '\0';
	if (base64url_decode(part, bytes, &len))
		return false;
	c = cursor_reader(bytes, len);
	(void)cursor_bytes(&c, 4 + 4 + SHA1_SIZE); /* TCG_PCR_EVENT, PFP 1.05, 10.2.1 */
	(void)cursor_bytes(&c, cursor_le32(&c));
	(void)cursor_le32(&c); /* PCR */
	return cursor_le32(&c) == MEASURE_EV_NO_ACTION && cursor_ok(&c);
}

/* Where the vTPM's part takes the log: before its certificates, or its end.  NULL: there is no
 * such place.  The evidence has one form, in which these marks stand nowhere else before. */
static char *place_of_log(char *text)
{
	static const char mark[] = "},\"log\":\"";
	char *log = strstr(text, mark), *host = strstr(text, "},\"host\":{");
	char *certificates = strstr(text, ",\"certificates\":[");

	if (!host)
		return NULL;
	if (log && log < host && !is_record(log + strlen(mark)))
		return NULL;
	return certificates && certificates < host ? certificates : host;
}

int firmwarelog_add(char **text, size_t *len, const uint8_t *log, size_t log_len)
{
	static const char name[] = ",\"firmware_log\":\"";
	char *at = place_of_log(*text), *all;
	size_t before, n;

	if (!at)
		return -EEXIST;
	before = (size_t)(at - *text);
	all = malloc(*len + sizeof(name) + BASE64URL_SIZE(log_len) + 2);
	if (!all)
		return -ENOMEM;
	memcpy(all, *text, before);
	n = before + sizeof(name) - 1;
	memcpy(all + before, name, sizeof(name));
	base64url_encode(log, log_len, all + n);
	n += BASE64URL_SIZE(log_len);
	all[n++] = '"';
	memcpy(all + n, at, *len - before + 1);
	*len += n - before;
	free(*text);
	*text = all;
	return 0;
}
