/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_BEGINS_MS	5000  /* until its writer has written first ... */
#define PIPE_GOES_ON_MS 60000 /* ... and goes on */

#define CANNOT_READ "cannot read"

static int file_failed(struct error *e, int error, const char *what, const char *path)
{
	if (error == EEXIST)
		return error_set(e, -EEXIST, CAUSE_INTERNAL,
				 "%s %s: it is there already, and is not written over: "
				 "move it away first",
				 what, path);
	return error_set(e, -error, CAUSE_INTERNAL, "%s %s: %s; check %s", what, path,
			 strerror(error),
			 strcmp(what, CANNOT_READ)
				 ? "the path, its permissions and the disk's space"
				 : "the path and its permissions");
}

/* Until there is something to read, or its end: a writer that is slow may ask a person.
 * -errno */
static int wait_for_pipe(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n;

	do
		n = poll(&p, 1, ms);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
}

/* Opens a file, or a pipe (`--key <(pass show key)`), without waiting for either. */
static int open_to_read(const char *path, bool *is_pipe, struct error *e)
{
	/* a device may do something when it is read */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return file_failed(e, errno, CANNOT_READ, path);
	if (fstat(fd, &st) || (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))) {
		close(fd);
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "cannot read %s: it is no file, but a folder or device; "
				 "name a file",
				 path);
	}
	*is_pipe = S_ISFIFO(st.st_mode);
	return fd;
}

/* Bytes until the end, at most max + 1; -errno. */
static ssize_t read_all(int fd, bool is_pipe, char *buf, size_t max)
{
	size_t n = 0;
	ssize_t got;
	int rc;

	/* a FIFO without a writer seems to be at its end */
	rc = is_pipe ? wait_for_pipe(fd, PIPE_BEGINS_MS) : 0;
	while (!rc && n <= max) {
		got = read(fd, buf + n, max + 1 - n);
		if (got > 0)
			n += (size_t)got;
		else if (!got)
			break;
		else
			rc = errno == EAGAIN ? wait_for_pipe(fd, PIPE_GOES_ON_MS)
					     : -errno;
	}
	return rc ? rc : (ssize_t)n;
}

/* Why a file of up to max bytes was not read: n is -errno, or what read_all() returned. */
static int reading_failed(struct error *e, ssize_t n, const char *path)
{
	if (n == -ETIMEDOUT)
		return error_set(e, -ETIMEDOUT, CAUSE_INTERNAL,
				 "cannot read %s: nobody has written into this pipe for "
				 "%d s",
				 path, PIPE_BEGINS_MS / 1000);
	if (n == 0)
		return error_set(e, -ENODATA, CAUSE_INTERNAL,
				 "cannot read %s: the program that writes into this pipe "
				 "has ended without a byte; run it by itself, and see "
				 "what it says",
				 path);
	return file_failed(e, n < 0 ? (int)-n : EFBIG, CANNOT_READ, path);
}

int file_read_most(const char *path, size_t max, char **text, size_t *len,
		   struct error *e)
{
	bool is_pipe = false;
	int fd = open_to_read(path, &is_pipe, e);
	char *buf;
	ssize_t n;

	if (fd < 0)
		return fd;
	buf = malloc(max + 2);
	n = buf ? read_all(fd, is_pipe, buf, max) : -ENOMEM;
	close(fd);
	/* a program that fails leaves its pipe empty: that is no empty file */
	if (n >= (is_pipe ? 1 : 0) && (size_t)n <= max) {
		buf[n] = 0;
		*text = buf;
		*len = (size_t)n;
		return 0;
	}
	if (buf)
		OPENSSL_cleanse(buf, max + 2);
	free(buf);
	return reading_failed(e, n, path);
}

int file_read(const char *path, char **text, size_t *len, struct error *e)
{
	return file_read_most(path, FILE_READ_MAX, text, len, e);
}

int file_beside(const char *path, const char *name, char *out, size_t size)
{
	const char *slash = strrchr(path, '/');
	int folder = slash ? (int)(slash - path) + 1 : 0;
	int n = snprintf(out, size, "%.*s%s", folder, path, name);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int file_make_folder(const char *path, struct error *e)
{
	char folder[PATH_MAX];

	if (file_beside(path, "", folder, sizeof(folder)))
		return file_failed(e, ENAMETOOLONG, "cannot make the folder of", path);
	if (folder[0] && mkdir(folder, 0755) && errno != EEXIST)
		return file_failed(e, errno, "cannot make", folder);
	return 0;
}

static int sync_folder(const char *path)
{
	char folder[PATH_MAX];
	int fd, error = 0;

	if (file_beside(path, ".", folder, sizeof(folder)))
		return ENAMETOOLONG;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (fsync(fd))
		error = errno;
	close(fd);
	return error;
}

static int fill(int fd, mode_t mode, const char *text, size_t len)
{
	size_t n = 0;

	/* the umask must not decide who reads it */
	if (fchmod(fd, mode))
		return errno;
	while (n < len) {
		ssize_t put = write(fd, text + n, len - n);

		if (put < 0)
			return errno;
		n += (size_t)put;
	}
	return fsync(fd) ? errno : 0;
}

int file_write(const char *path, mode_t mode, bool replace, const char *text, size_t len,
	       struct error *e)
{
	char temporary[PATH_MAX];
	int fd, error;

	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >=
	    (int)sizeof(temporary))
		return file_failed(e, ENAMETOOLONG, "cannot write", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return file_failed(e, errno, "cannot write", path);
	error = fill(fd, mode, text, len);
	if (close(fd) && !error)
		error = errno;
	if (!error && replace && rename(temporary, path))
		error = errno;
	/* link() does not replace, rename() would */
	if (!error && !replace && link(temporary, path))
		error = errno;
	if (error || !replace)
		unlink(temporary);
	if (!error)
		error = sync_folder(path);
	return error ? file_failed(e, error, "cannot write", path) : 0;
}

int file_there(const char *path, const char *other, struct error *e)
{
	return error_set(e, -EEXIST, CAUSE_INTERNAL,
			 "%s is there already: give %s, or --replace to write over it",
			 path, other);
}

int file_save(const char *path, mode_t mode, bool replace, const char *text, size_t len,
	      struct error *e)
{
	struct error why = {.cause = CAUSE_NONE};
	int rc = file_write(path, mode, replace, text, len, &why);

	if (rc == -EEXIST)
		return file_there(path, "another FILE", e);
	return rc ? error_set(e, rc, why.cause, "%s", why.text) : 0;
}

static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

EVP_PKEY *pemfile_parse_key(const char *pem, size_t len)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	EVP_PKEY *key =
		bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	return key;
}

int pemfile_key(const char *path, EVP_PKEY **key, const char *otherwise, struct error *e)
{
	char *pem;
	size_t len;
	int rc = file_read(path, &pem, &len, e);

	*key = NULL;
	if (rc)
		return rc;
	*key = pemfile_parse_key(pem, len);
	OPENSSL_cleanse(pem, len);
	free(pem);
	if (*key)
		return 0;
	return error_set(e, -EINVAL, CAUSE_INTERNAL, "%s %s", path, otherwise);
}

static void print_file_help(const char *group, const struct vtpmctl_command *commands,
			    size_t count, FILE *to)
{
	size_t i;

	fprintf(to, "Usage: vtpmctl %s COMMAND [OPTIONS]\n\nCommands:\n", group);
	for (i = 0; i < count; i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
	fprintf(to, "\n`vtpmctl %s COMMAND --help` lists a command's options.\n", group);
}

int group_main(const char *group, const struct vtpmctl_command *commands, size_t count,
	       int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		print_file_help(group, commands, count, stderr);
		return VTPMCTL_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_file_help(group, commands, count, stdout);
		return VTPMCTL_OK;
	}
	for (i = 0; i < count; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr,
		"vtpmctl: \"%s %s\" is not a command; `vtpmctl %s --help` lists them\n",
		group, argv[1], group);
	return VTPMCTL_USAGE;
}
