/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/folder.h"
#include "lib/atomic.h"
#include "lib/crypt.h"
#include "lib/slot/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "key"

static const char *object_name(enum channel_object object)
{
	switch (object) {
	case CHANNEL_OBJECT_HEADER:
		return "header";
	case CHANNEL_OBJECT_VOLATILE:
		return "volatile";
	default:
		return "permall";
	}
}

static int get_folder(void *ctx, enum channel_object object, uint8_t **buf, size_t *len)
{
	struct folder *f = ctx;

	return (object == CHANNEL_OBJECT_PERMALL ? twin_read : atomic_read)(
		f->dir, object_name(object), FOLDER_STATE_MAX, buf, len);
}

static int put_folder(void *ctx, enum channel_object object, uint64_t seq,
		      const uint8_t *buf, size_t len)
{
	struct folder *f = ctx;

	if (object == CHANNEL_OBJECT_PERMALL)
		return twin_write(&f->own, f->dir, object_name(object), buf, len);
	return atomic_write(f->dir, object_name(object), buf, len, true);
}

void folder_close(struct folder *f)
{
	/* what was not written is left as it is; failing leaves a twin, which is as good */
	if (f->lock >= 0 && f->own.side)
		(void)!twin_settle(f->dir, object_name(CHANNEL_OBJECT_PERMALL));
	if (f->lock >= 0)
		close(f->lock);
	if (f->dir >= 0)
		close(f->dir);
	f->dir = f->lock = -1;
}

int folder_remove(const struct folder *f, enum channel_object object)
{
	if (unlinkat(f->dir, object_name(object), 0) && errno != ENOENT)
		return -errno;
	return fsync(f->dir) ? -errno : 0;
}

static bool is_there(const struct folder *f, const char *name)
{
	return !faccessat(f->dir, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

static const char *const of_swtpm[] = {"tpm2-00.permall", "tpm-00.permall"};

static int refuse_swtpm(struct folder *f, const char *path, const char *name,
			struct error *e)
{
	folder_close(f);
	return error_set(
		e, -EEXIST, CAUSE_STATE_EXISTS,
		"%s has a TPM of swtpm, and no new one is made beside it: take it "
		"over with `vtpm-manager import --swtpm %s/%s --state "
		"NEW-FOLDER`, or name another folder",
		path, path, name);
}

int folder_open(struct folder *f, const char *path, struct error *e)
{
	int rc = 0;

	f->own = (struct twin_own){.side = 0};
	f->dir = f->lock = -1;
	if (mkdir(path, 0700) && errno != EEXIST)
		rc = -errno;
	if (!rc) {
		f->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		rc = f->dir < 0 ? -errno : 0;
	}
	for (size_t i = 0; !rc && i < ARRAY_SIZE(of_swtpm); i++)
		if (is_there(f, of_swtpm[i]) && !is_there(f, "header"))
			rc = refuse_swtpm(f, path, of_swtpm[i], e);
	if (rc == -EEXIST)
		return rc;
	if (!rc) {
		f->lock = openat(f->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		rc = f->lock < 0 ? -errno : 0;
	}
	if (!rc && flock(f->lock, LOCK_EX | LOCK_NB)) {
		rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(f->lock);
		f->lock = -1;
	}
	if (!rc)
		rc = twin_sync(f->dir, object_name(CHANNEL_OBJECT_PERMALL));
	if (!rc)
		return 0;
	folder_close(f);
	if (rc == -EBUSY)
		return error_set(e, rc, CAUSE_STORE,
				 "%s is in use by another vtpm-manager: end that one, or "
				 "give this one a folder of its own",
				 path);
	return error_set(e, rc, CAUSE_STORE, "the folder %s cannot be used: %s", path,
			 strerror(-rc));
}

/* A data key and its header, before anything that they protect. */
static int make_state_folder(struct folder *f, struct state *s, struct envelope_header *h,
			     struct error *e)
{
	uint8_t key[SLOT_SHARE_SIZE];
	const struct slot_context x = {.uuid = h->uuid, .key = key, .error = e};
	uint8_t *out = malloc(ENVELOPE_HEADER_MAX);
	size_t len = ENVELOPE_HEADER_MAX;
	int rc = out ? 0 : -ENOMEM;

	if (!rc)
		rc = crypt_random(key, sizeof(key));
	if (!rc)
		rc = crypt_random(s->data_key, sizeof(s->data_key));
	if (!rc)
		rc = crypt_random(h->uuid, sizeof(h->uuid));
	memcpy(s->uuid, h->uuid, sizeof(s->uuid));
	h->seq = h->slot_count = 1;
	h->desc = (struct envelope_desc){.policy = ENVELOPE_SLOT_LOCAL, .localities = 1};
	h->slots[0].kind = ENVELOPE_SLOT_LOCAL;
	if (!rc)
		rc = slot_seal(&x, &h->slots[0], s->data_key);
	if (!rc)
		rc = envelope_header_seal(h, s->data_key, out, &len);
	/* the key first: a header without its key would open no vTPM */
	if (!rc)
		rc = atomic_write(f->dir, KEY, key, sizeof(key), false);
	if (!rc)
		rc = put_folder(f, CHANNEL_OBJECT_HEADER, 1, out, len);
	OPENSSL_cleanse(key, sizeof(key));
	free(out);
	return rc ? error_set(e, rc, CAUSE_STORE,
			      "a new vTPM could not be made in the folder: %s",
			      strerror(-rc))
		  : 0;
}

static int open_folder_slot(struct envelope_header *h, const uint8_t *key,
			    struct state *s, struct error *e)
{
	const struct slot_context x = {.uuid = h->uuid, .key = key, .error = e};

	if (h->slot_count != 1 || h->slots[0].kind != ENVELOPE_SLOT_LOCAL)
		return error_set(e, -EOPNOTSUPP, CAUSE_NOT_CONFIGURED,
				 "this vTPM has no key file: start it with `vtpmctl "
				 "start` on its host");
	return slot_open(&x, &h->slots[0], s->data_key);
}

static int reopen(struct folder *f, struct state *s, struct envelope_header *h,
		  struct error *e)
{
	uint8_t *key = NULL, *header = NULL;
	size_t key_len = 0, len = 0;
	int rc;

	rc = atomic_read(f->dir, KEY, SLOT_SHARE_SIZE, &key, &key_len);
	if (!rc && key_len != SLOT_SHARE_SIZE)
		rc = -EINVAL;
	if (!rc)
		rc = atomic_read(f->dir, "header", ENVELOPE_HEADER_MAX, &header, &len);
	if (rc)
		rc = error_set(e, rc, CAUSE_STORE,
			       "the folder's key or header cannot be read (%s): put the "
			       "files of one vTPM there, or name an empty folder",
			       strerror(-rc));
	else
		rc = envelope_header_parse(header, len, h, e);
	if (!rc)
		rc = open_folder_slot(h, key, s, e);
	if (!rc)
		rc = envelope_header_verify(header, len, s->data_key, e);
	memcpy(s->uuid, h->uuid, sizeof(s->uuid));
	if (key)
		OPENSSL_cleanse(key, key_len);
	free(key);
	free(header);
	return rc;
}

int folder_unlock(struct folder *f, struct state *s, bool *create, struct error *e)
{
	struct envelope_header *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	s->place = (struct state_place){.ctx = f, .get = get_folder, .put = put_folder};
	/* A power cut in the first start leaves a key, or a key and a header: both
	 * protect nothing yet. */
	*create = !is_there(f, "permall") && !is_there(f, "permall.prev");
	if (*create && !is_there(f, "header"))
		rc = make_state_folder(f, s, h, e);
	else
		rc = reopen(f, s, h, e);
	free(h);
	return rc;
}
