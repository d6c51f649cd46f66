/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/import.h"
#include "include/channel.h"
#include "lib/atomic.h"
#include "lib/cursor.h"
#include "lib/text.h"
#include "stubdom/manager/swtpmkey.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Both keys with their lengths, in front of the file. */
#define KEYS_MAX (2 * (1 + sizeof(((struct stateblob_key *)0)->bytes)))

/* swtpm has a lock on .lock beside the state while it runs. */
static int refuse_busy(const char *file, struct error *e)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char copy[PATH_MAX], path[PATH_MAX + 8];
	int fd, rc;

	if (snprintf(copy, sizeof(copy), "%s", file) >= (int)sizeof(copy))
		return 0; /* that it cannot be read is told later */
	snprintf(path, sizeof(path), "%s/.lock", dirname(copy));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 0;
	rc = fcntl(fd, F_GETLK, &lock);
	close(fd);
	if (rc || lock.l_type == F_UNLCK)
		return 0;
	return error_set(e, -EBUSY, CAUSE_STATE_EXISTS,
			 "swtpm runs on %s (process %d), and one state in two places is "
			 "two TPMs: shut its guest down, and import it then",
			 file, (int)lock.l_pid);
}

static void put_key(struct cursor *w, const struct stateblob_key *key)
{
	cursor_put_u8(w, (uint8_t)key->len);
	cursor_put(w, key->bytes, key->len);
}

static int add_source(json_t *request, const struct stateblob_keys *keys,
		      const uint8_t *file, size_t len)
{
	size_t room = KEYS_MAX + len;
	uint8_t *bytes = malloc(room);
	char *hex = malloc(2 * room + 1);
	struct cursor w = cursor_writer(bytes, bytes ? room : 0);
	int rc = -ENOMEM;

	put_key(&w, &keys->file);
	put_key(&w, &keys->migration);
	cursor_put(&w, file, len);
	if (hex && cursor_ok(&w)) {
		hex_encode(bytes, w.pos, hex);
		rc = json_object_set_new(request, "source", json_string(hex)) ? rc : 0;
		OPENSSL_cleanse(hex, 2 * room);
	}
	stateblob_free(bytes, room);
	free(hex);
	return rc;
}

int import_add(json_t *request, const struct import *i, struct error *e)
{
	struct stateblob_keys keys = {0};
	uint8_t *file = NULL;
	size_t len = 0;
	int rc = refuse_busy(i->file, e);

	if (!rc && i->key)
		rc = swtpmkey_parse("--key", i->key, &keys.file, e);
	if (!rc && i->migration_key)
		rc = swtpmkey_parse("--migration-key", i->migration_key, &keys.migration,
				    e);
	if (!rc) {
		rc = atomic_read(AT_FDCWD, i->file, CHANNEL_SOURCE_MAX - KEYS_MAX, &file,
				 &len);
		if (rc)
			rc = error_set(e, rc, CAUSE_NOT_CONFIGURED,
				       "%s cannot be read: %s; name swtpm's "
				       "tpm2-00.permall",
				       i->file, strerror(-rc));
	}
	if (!rc && add_source(request, &keys, file, len))
		rc = error_set(e, -ENOMEM, CAUSE_RESOURCES, "there is no memory");
	stateblob_free(file, len);
	OPENSSL_cleanse(&keys, sizeof(keys));
	return rc;
}
