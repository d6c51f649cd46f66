/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/image.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE 65536
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int write_all(int fd, const uint8_t *p, size_t len)
{
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = write(fd, p, len);
		if (n <= 0)
			return -EIO;
	}
	return 0;
}

static int copy(int from, int to, EVP_MD_CTX *ctx, uint8_t *piece)
{
	size_t total = 0;
	ssize_t n;
	int rc;

	while ((n = read(from, piece, PIECE)) > 0) {
		total += (size_t)n;
		if (total > IMAGE_MAX)
			return -EFBIG;
		rc = write_all(to, piece, (size_t)n);
		if (rc)
			return rc;
		if (!EVP_DigestUpdate(ctx, piece, (size_t)n))
			return -EIO;
	}
	return n < 0 ? -errno : 0;
}

static int copy_hashed(int from, int to, uint8_t hash[IMAGE_HASH_SIZE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t *piece = malloc(PIECE);
	int rc = -ENOMEM;

	if (ctx && piece && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL))
		rc = copy(from, to, ctx, piece);
	if (!rc && !EVP_DigestFinal_ex(ctx, hash, NULL))
		rc = -EIO;
	/* a script or program is executed by this descriptor's name */
	if (!rc && (fchmod(to, 0500) || fcntl(to, F_ADD_SEALS, SEALS)))
		rc = -errno;
	EVP_MD_CTX_free(ctx);
	free(piece);
	return rc;
}

int image_take(const char *path, int *fd, uint8_t hash[IMAGE_HASH_SIZE], struct error *e)
{
	int from = open(path, O_RDONLY | O_CLOEXEC), rc;

	*fd = from < 0 ? -1 : memfd_create("xen-vtpm", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	rc = *fd < 0 ? -errno : copy_hashed(from, *fd, hash);
	if (from >= 0)
		close(from);
	if (rc && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return rc ? error_set(
			    e, rc, error_of_host(rc),
			    "%s could not be read: %s; see its disk's space and permissions.",
			    path, strerror(-rc))
		  : 0;
}

void image_path(int fd, char out[64])
{
	snprintf(out, 64, "/proc/%d/fd/%d", (int)getpid(), fd);
}
