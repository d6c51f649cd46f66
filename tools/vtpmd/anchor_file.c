/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/anchor_file.h"
#include "lib/atomic.h"
#include "lib/crypt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "anchor"
#define PREV "anchor.prev"

_Static_assert(ANCHOR_HASH_SIZE == CRYPT_HASH_SIZE, "SHA-256");

int anchor_file_open(struct anchor_file *f, const char *dir)
{
	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->dir < 0 ? -errno : 0;
}

void anchor_file_close(struct anchor_file *f)
{
	if (f->dir >= 0)
		close(f->dir);
}

static int hash_of(const uint8_t *buf, size_t len, uint8_t hash[ANCHOR_HASH_SIZE])
{
	struct crypt_part part = {buf, len};

	return crypt_sha256(&part, 1, hash);
}

/* The file's bytes, if they have the hash; -ESTALE when not. */
static int read_fitting(int dir, const char *name, const uint8_t hash[ANCHOR_HASH_SIZE],
			uint8_t **buf, size_t *len)
{
	uint8_t own[ANCHOR_HASH_SIZE];
	int rc = atomic_read(dir, name, ANCHOR_TABLE_MAX, buf, len);

	/* whatever is there, no table of ours is that long */
	if (rc == -EFBIG)
		return -ESTALE;
	if (rc)
		return rc;
	rc = hash_of(*buf, *len, own);
	if (!rc && memcmp(own, hash, sizeof(own)))
		rc = -ESTALE;
	if (rc)
		free(*buf);
	return rc;
}

int anchor_file_load(struct anchor_file *f, const uint8_t hash[ANCHOR_HASH_SIZE],
		     struct anchor_table *t)
{
	uint8_t *buf;
	size_t len;
	int rc = read_fitting(f->dir, NAME, hash, &buf, &len), first = rc;

	if (rc == -ENOENT || rc == -ESTALE)
		rc = read_fitting(f->dir, PREV, hash, &buf, &len);
	if (rc)
		return rc == -ENOENT ? first : rc;
	rc = anchor_table_decode(t, buf, len);
	free(buf);
	if (rc)
		return rc;
	memcpy(f->hash, hash, sizeof(f->hash));
	f->pending = false;
	return 0;
}

/* Whether "anchor" is the table that counts, and "anchor.prev" may go.  Looked at anew
 * each time: a write that failed halfway may have left it under either name. */
static int must_keep(struct anchor_file *f, bool *keep)
{
	uint8_t *buf;
	size_t len;
	int rc = read_fitting(f->dir, NAME, f->hash, &buf, &len);

	*keep = !rc;
	if (!rc)
		free(buf);
	return rc == -ENOENT || rc == -ESTALE ? 0 : rc;
}

int anchor_file_write(struct anchor_file *f, const struct anchor_table *t)
{
	uint8_t *buf;
	size_t len;
	bool keep = false;
	int rc;

	if (f->pending)
		return -EBUSY;
	buf = malloc(ANCHOR_TABLE_MAX);
	if (!buf)
		return -ENOMEM;
	len = anchor_table_encode(t, buf);
	rc = hash_of(buf, len, f->next);
	if (!rc)
		rc = must_keep(f, &keep);
	if (!rc)
		rc = atomic_write(f->dir, NAME, buf, len, keep);
	free(buf);
	f->pending = !rc;
	return rc;
}

void anchor_file_done(struct anchor_file *f)
{
	memcpy(f->hash, f->next, sizeof(f->hash));
	f->pending = false;
}
