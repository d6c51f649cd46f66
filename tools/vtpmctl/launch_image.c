/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/launch_image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/evp.h>

#define CHUNK (1 << 20)

int launch_image_hash(const void *bytes, size_t len, uint8_t digests[MEASURE_DIGESTS])
{
	const struct measure_hash *h;

	for (h = measure_hashes; h < measure_hashes + MEASURE_HASHES; h++)
		if (!EVP_Q_digest(NULL, h->name, NULL, bytes, len, digests + h->offset,
				  NULL))
			return -EIO;
	return 0;
}

/* What is hashed is the copy as it is from now on, not what went into it. */
static int seal_and_hash(struct launch_image *i)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct stat st;
	void *bytes;
	int rc;

	if (fcntl(i->fd, F_ADD_SEALS, seals) || fstat(i->fd, &st))
		return -errno;
	i->size = (uint64_t)st.st_size;
	if (!i->size)
		return launch_image_hash("", 0, i->digests);
	bytes = mmap(NULL, i->size, PROT_READ, MAP_PRIVATE, i->fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	rc = launch_image_hash(bytes, i->size, i->digests);
	munmap(bytes, i->size);
	return rc;
}

static int finish(struct launch_image *i, int rc)
{
	if (!rc)
		rc = seal_and_hash(i);
	if (rc) {
		close(i->fd);
		i->fd = -1;
	}
	return rc;
}

static int copy(int from, int to)
{
	ssize_t n;

	do {
		n = sendfile(to, from, NULL, CHUNK);
	} while (n > 0);
	return n < 0 ? -errno : 0;
}

int launch_image_read(const char *path, struct launch_image *i)
{
	int from = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	struct stat st;

	if (from < 0)
		return -errno;
	if (fstat(from, &st))
		rc = -errno;
	else if (!S_ISREG(st.st_mode))
		rc = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	i->fd = rc ? -1 : memfd_create("vtpmctl-launch", MFD_ALLOW_SEALING);
	if (!rc && i->fd < 0)
		rc = -errno;
	if (!rc)
		rc = finish(i, copy(from, i->fd));
	close(from);
	return rc;
}

int launch_image_make(const char *name, const void *bytes, size_t len,
		      struct launch_image *i)
{
	const char *p = bytes;
	ssize_t n = 0;

	i->fd = memfd_create(name, MFD_ALLOW_SEALING);
	if (i->fd < 0)
		return -errno;
	for (; len && (n = write(i->fd, p, len)) > 0; p += n)
		len -= (size_t)n;
	return finish(i, n < 0 ? -errno : 0);
}
