/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <asm/fcntl.h>
#include <asm/stat.h>
#include <linux/limits.h>
#include <linux/uio.h>
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/memory.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/process.h"
#include "stubdom/kernel/text.h"
#include "stubdom/kernel/user.h"

#define TRANSFER_MAX  0x7ffff000ULL /* as Linux bounds one read or write */
#define VECTOR_MAX    1024
#define AT_EMPTY_PATH 0x1000
#define SELF	      "/proc/self/exe"

static struct file files[FILE_MAX];

static const struct {
	const char *path;
	const struct file_ops *ops;
} paths[] = {
	{"/dev/xen/xenbus", &xenbus_ops},  {"/dev/xen/evtchn", &evtchndev_ops},
	{"/dev/xen/gntdev", &gntdev_ops},  {"/dev/xen/gntalloc", &gntalloc_ops},
	{"/dev/null", &null_ops},	   {"/dev/console", &console_ops},
	{"/proc/xen-stub", &counters_ops}, {"/dev/xen/watchdog", &watchdog_ops},
};

void file_init(void)
{
	files[0] = (struct file){.ops = &null_ops};
	files[1] = (struct file){.ops = &console_ops};
	files[2] = (struct file){.ops = &console_ops};
}

struct file *file_get(uint64_t fd)
{
	return fd < FILE_MAX && files[fd].ops ? &files[fd] : NULL;
}

const struct file_ops *file_lookup(const char *path)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(paths); i++)
		if (!strcmp(path, paths[i].path))
			return paths[i].ops;
	return NULL;
}

int file_alloc_state(struct file *f)
{
	uint64_t pa;
	int rc = page_alloc(&pa);

	f->state = rc ? NULL : page_address(pa);
	return rc;
}

void file_free_state(struct file *f)
{
	page_free((uint64_t)f->state - (uint64_t)page_address(0));
	f->state = NULL;
}

long file_openat(uint64_t dir, uint64_t path, uint64_t flags)
{
	char text[PATH_MAX / 16];
	const struct file_ops *ops;
	struct file *f;
	int rc = copy_text_from_user(text, path, sizeof(text)), fd;

	if (rc)
		return rc == -ENAMETOOLONG ? -ENOENT : rc;
	ops = file_lookup(text);
	if (!ops)
		return -ENOENT;
	for (fd = 0; fd < FILE_MAX && files[fd].ops; fd++)
		;
	if (fd == FILE_MAX)
		return -EMFILE;
	f = &files[fd];
	*f = (struct file){.nonblocking = flags & O_NONBLOCK,
			   .close_on_exec = flags & O_CLOEXEC};
	rc = ops->open ? ops->open(f) : 0;
	if (rc)
		return rc;
	f->ops = ops;
	return fd;
}

static void close_one(struct file *f)
{
	if (f->ops->close)
		f->ops->close(f);
	*f = (struct file){0};
}

long file_close(uint64_t fd)
{
	struct file *f = file_get(fd);

	if (!f)
		return -EBADF;
	close_one(f);
	return 0;
}

void file_close_all(void)
{
	for (unsigned int last = 0; last < 2; last++)
		for (unsigned int i = 0; i < FILE_MAX; i++)
			if (files[i].ops && (last || files[i].ops != &evtchndev_ops))
				close_one(&files[i]);
}

long file_read(uint64_t fd, uint64_t to, uint64_t n)
{
	struct file *f = file_get(fd);

	if (!f)
		return -EBADF;
	if (!f->ops->read)
		return -EINVAL;
	return f->ops->read(f, to, n < TRANSFER_MAX ? n : TRANSFER_MAX);
}

long file_write(uint64_t fd, uint64_t from, uint64_t n)
{
	struct file *f = file_get(fd);

	if (!f)
		return -EBADF;
	if (!f->ops->write)
		return -EINVAL;
	return f->ops->write(f, from, n < TRANSFER_MAX ? n : TRANSFER_MAX);
}

/* Stops at the first piece that was not transferred whole. */
static long each_piece(uint64_t fd, uint64_t vector, uint64_t n,
		       long (*transfer)(uint64_t fd, uint64_t at, uint64_t n))
{
	struct iovec piece;
	long done = 0, rc;

	if (n > VECTOR_MAX)
		return -EINVAL;
	for (uint64_t i = 0; i < n; i++) {
		rc = copy_from_user(&piece, vector + i * sizeof(piece), sizeof(piece));
		if (!rc && !piece.iov_len)
			continue;
		if (!rc)
			rc = transfer(fd, (uint64_t)piece.iov_base, piece.iov_len);
		if (rc < 0)
			return done ? done : rc;
		done += rc;
		if ((uint64_t)rc < piece.iov_len)
			break;
	}
	return done;
}

long file_readv(uint64_t fd, uint64_t vector, uint64_t n)
{
	return each_piece(fd, vector, n, file_read);
}

long file_writev(uint64_t fd, uint64_t vector, uint64_t n)
{
	return each_piece(fd, vector, n, file_write);
}

long file_ioctl(uint64_t fd, uint64_t request, uint64_t argument)
{
	struct file *f = file_get(fd);

	if (!f)
		return -EBADF;
	if (!f->ops->ioctl)
		return -ENOTTY;
	return f->ops->ioctl(f, (uint32_t)request, argument);
}

long file_fcntl(uint64_t fd, uint64_t command, uint64_t argument)
{
	struct file *f = file_get(fd);

	if (!f)
		return -EBADF;
	switch (command) {
	case F_GETFD:
		return f->close_on_exec ? FD_CLOEXEC : 0;
	case F_SETFD:
		f->close_on_exec = argument & FD_CLOEXEC;
		return 0;
	case F_GETFL:
		return O_RDWR | (f->nonblocking ? O_NONBLOCK : 0);
	case F_SETFL:
		f->nonblocking = argument & O_NONBLOCK;
		return 0;
	default:
		return -EINVAL;
	}
}

long file_lseek(uint64_t fd)
{
	return file_get(fd) ? -ESPIPE : -EBADF;
}

static long put_stat(uint64_t mode, uint64_t to)
{
	struct stat st = {.st_mode = (unsigned int)mode,
			  .st_nlink = 1,
			  .st_ino = 1,
			  .st_blksize = PAGE_SIZE};

	return copy_to_user(to, &st, sizeof(st));
}

long file_fstat(uint64_t fd, uint64_t to)
{
	struct file *f = file_get(fd);

	return f ? put_stat(f->ops->mode, to) : -EBADF;
}

long file_statat(uint64_t dir, uint64_t path, uint64_t to, uint64_t flags)
{
	char text[PATH_MAX / 16];
	const struct file_ops *ops;
	int rc = copy_text_from_user(text, path, sizeof(text));

	if (rc)
		return rc == -ENAMETOOLONG ? -ENOENT : rc;
	if (!text[0] && flags & AT_EMPTY_PATH)
		return file_fstat(dir, to);
	ops = file_lookup(text);
	return ops ? put_stat(ops->mode, to) : -ENOENT;
}

long file_access(uint64_t path)
{
	char text[PATH_MAX / 16];
	int rc = copy_text_from_user(text, path, sizeof(text));

	if (rc)
		return rc == -ENAMETOOLONG ? -ENOENT : rc;
	return file_lookup(text) ? 0 : -ENOENT;
}

long file_readlink(uint64_t path, uint64_t to, uint64_t size)
{
	char text[PATH_MAX / 16];
	size_t n = sizeof(PROCESS_PATH) - 1;
	int rc = copy_text_from_user(text, path, sizeof(text));

	if (rc)
		return rc == -ENAMETOOLONG ? -ENOENT : rc;
	if (strcmp(text, SELF))
		return file_lookup(text) ? -EINVAL : -ENOENT;
	if (n > size)
		n = size;
	rc = copy_to_user(to, PROCESS_PATH, n);
	return rc ? rc : (long)n;
}
