/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCK_MS	     2000
#define LOCK_STEP_MS 20

int hostfile_load(const char *path, struct hostconf *h, struct error *e)
{
	struct error why = {.cause = CAUSE_NONE};
	char *text;
	size_t len;
	int rc = file_read(path, &text, &len, &why);

	memset(h, 0, sizeof(*h));
	if (rc == -ENOENT)
		return error_set(
			e, rc, CAUSE_NOT_CONFIGURED,
			"this host is not set up: there is no %s; bring it back "
			"from a backup, or, on a new host, run `vtpmctl host init` "
			"(see its --help)",
			path);
	if (rc == -EACCES)
		return error_set(e, rc, CAUSE_INTERNAL,
				 "%s may be read by root only; run this as root", path);
	if (rc)
		return error_set(e, rc, why.cause, "%s", why.text);
	rc = hostconf_parse(text, h);
	if (!rc && !h->srk_handle) {
		hostconf_free(h);
		rc = -EBADMSG;
	}
	if (!rc)
		h->has_origin = SHA256((uint8_t *)text, len, h->origin) != NULL;
	OPENSSL_cleanse(text, len);
	free(text);
	if (rc)
		error_set(e, rc, CAUSE_NOT_CONFIGURED,
			  "%s is not what `vtpmctl host init` wrote; restore it from a "
			  "backup, or run `vtpmctl host init --force` with the same "
			  "policy key",
			  path);
	return rc;
}

static bool is_same_file(const char *path, const char *other)
{
	char *text[2] = {NULL, NULL};
	size_t len[2], i;
	bool same = !file_read(path, &text[0], &len[0], NULL) &&
		    !file_read(other, &text[1], &len[1], NULL) && len[0] == len[1] &&
		    !memcmp(text[0], text[1], len[0]);

	for (i = 0; i < 2; i++) {
		if (text[i])
			OPENSSL_cleanse(text[i], len[i]);
		free(text[i]);
	}
	return same;
}

/* previous gets a number: what it tells may be the only way to a vTPM that has not been
 * sealed anew since. */
static int keep_older(const char *previous)
{
	char older[PATH_MAX];

	for (int n = 1; n <= HOSTFILE_KEPT_MAX; n++) {
		if (snprintf(older, sizeof(older), "%s.%d", previous, n) >=
		    (int)sizeof(older))
			return -ENAMETOOLONG;
		if (!link(previous, older)) {
			fprintf(stderr, "What was kept before that is now %s\n", older);
			return 0;
		}
		if (errno != EEXIST || is_same_file(previous, older))
			return errno == EEXIST ? 0 : -errno;
	}
	return -ENOSPC;
}

int hostfile_keep(const char *path, struct error *e)
{
	char previous[PATH_MAX], temp[PATH_MAX];
	int rc = 0;

	if (access(path, F_OK))
		return 0;
	if (snprintf(previous, sizeof(previous), "%s.prev", path) >=
		    (int)sizeof(previous) ||
	    snprintf(temp, sizeof(temp), "%s.new", previous) >= (int)sizeof(temp))
		return error_set(e, -ENAMETOOLONG, CAUSE_INTERNAL,
				 "%s: the name is too long", path);
	if (!access(previous, F_OK) && is_same_file(path, previous))
		return 0;
	if (!access(previous, F_OK))
		rc = keep_older(previous);
	if (!rc) {
		/* of a run that was killed */
		unlink(temp);
		rc = link(path, temp) || rename(temp, previous) ? -errno : 0;
	}
	if (rc)
		return error_set(
			e, rc, CAUSE_INTERNAL,
			"what is configured now could not be kept as %s (%s), and "
			"was not changed: move the files %s.* away that no vTPM "
			"needs any more",
			previous, strerror(-rc), previous);
	fprintf(stderr, "Kept what was configured before as %s\n", previous);
	return 0;
}

/* Whether the file has what h was read from, as far as it was. */
static bool is_origin(const char *path, const struct hostconf *h)
{
	uint8_t now[APPROVAL_HASH_SIZE];
	char *text;
	size_t len;
	bool same;

	if (!h->has_origin)
		return true;
	if (file_read(path, &text, &len, NULL))
		return false;
	same = SHA256((uint8_t *)text, len, now) && !memcmp(now, h->origin, sizeof(now));
	OPENSSL_cleanse(text, len);
	free(text);
	return same;
}

/* While another command writes it, this one waits, for LOCK_MS.  *fd: -1 when there is no
 * file. */
static int lock_file(const char *path, int *fd)
{
	const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};
	int rc = -1;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	for (int ms = 0; *fd >= 0 && rc && ms < LOCK_MS; ms += LOCK_STEP_MS) {
		rc = flock(*fd, LOCK_EX | LOCK_NB);
		if (rc)
			nanosleep(&step, NULL);
	}
	if (*fd < 0 || !rc)
		return 0;
	close(*fd);
	*fd = -1;
	return -EAGAIN;
}

int hostfile_write(const char *path, struct hostconf *h, struct error *e)
{
	char *text = hostconf_print(h);
	int rc, lock;

	if (!text)
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "the configuration is not plain text: check the KMS's "
				 "address, key id and certificates");
	rc = lock_file(path, &lock);
	if (!rc && is_origin(path, h))
		rc = file_write(path, 0600, true, text, strlen(text), e);
	else
		rc = error_set(
			e, -EAGAIN, CAUSE_INTERNAL,
			"%s was changed by another command since this one read it, "
			"and was left as that made it: run this one again",
			path);
	if (!rc)
		h->has_origin = SHA256((uint8_t *)text, strlen(text), h->origin) != NULL;
	if (lock >= 0)
		close(lock);
	OPENSSL_cleanse(text, strlen(text));
	free(text);
	return rc;
}

int hostfile_recovery_key(const char *path, struct hostconf *h, struct error *e)
{
	uint8_t *p = h->recovery_key;
	EVP_PKEY *key = NULL;
	char *text;
	size_t len;
	BIO *bio;
	int n = 0, rc;

	if (!path)
		return 0;
	rc = file_read(path, &text, &len, e);
	if (rc)
		return rc;
	bio = BIO_new_mem_buf(text, (int)len);
	if (bio)
		key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	free(text);
	BIO_free(bio);
	if (key)
		n = i2d_PUBKEY(key, NULL);
	if (n > 0 && n <= (int)sizeof(h->recovery_key))
		n = i2d_PUBKEY(key, &p);
	EVP_PKEY_free(key);
	h->recovery_key_len = n > 0 ? (size_t)n : 0;
	if (recovery_public_ok(h->recovery_key, h->recovery_key_len))
		return 0;
	return error_set(e, -EINVAL, CAUSE_INTERNAL,
			 "%s is no public key that can be used: make one with `openssl "
			 "genpkey -algorithm X25519 -out key.pem` and `openssl pkey -in "
			 "key.pem -pubout`",
			 path);
}
