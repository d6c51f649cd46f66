/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/forfile.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/guestfile.h"
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/vtpmline.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ATTRIBUTES_MAX 4096

/* How the file's one vtpm line is to be taken. */
enum forfile_has {
	FORFILE_NONE,  /* there is none */
	FORFILE_OWN,   /* it is the vTPM's */
	FORFILE_OTHER, /* it is another's, or there are several, or none in the brackets */
};

/* The file as it was read. */
struct forfile {
	const char *path; /* without links, with a slash */
	const char *text;
	size_t len;
	int old; /* it, open */
	struct stat st;
};

static enum forfile_has find_line(const struct guestfile *c, const json_t *vtpms)
{
	XLU_ConfigList *lines;
	int n = 0;

	if (xlu_cfg_get_list(c->cfg, "vtpm", &lines, &n, 1))
		/* "vtpm" may also be there and be no list */
		return guestfile_text(c, "vtpm") ? FORFILE_OTHER : FORFILE_NONE;
	return n == 1 && vtpmline_match(vtpms, xlu_cfg_get_listitem(lines, 0))
		       ? FORFILE_OWN
		       : FORFILE_OTHER;
}

static int say_other(const char *file, const char *name)
{
	fprintf(stderr,
		"vtpmctl: %s has a vtpm line already, which is not one of the vTPM %s: "
		"remove it from there, or leave --for out\n",
		file, name);
	return VTPMCTL_FAILED;
}

/* Whether its uuid is the vTPM's is known when that is there. */
static bool may_be(const char *line, const char *domain)
{
	const char *backend = strstr(line, "backend=");
	size_t len;

	if (!backend)
		return false;
	backend += strlen("backend=");
	len = strcspn(backend, ",");
	/* 0: a process of domain 0 */
	return (len == strlen(domain) && !strncmp(backend, domain, len)) ||
	       (len == 1 && *backend == '0');
}

int forfile_check(const char *file, const char *name)
{
	struct guestfile c;
	XLU_ConfigList *lines;
	const char *line;
	char own[64];
	int n = 0, status = guestfile_read(file, &c);

	if (status)
		return status;
	snprintf(own, sizeof(own), "vtpm-%s", name);
	if (xlu_cfg_get_list(c.cfg, "vtpm", &lines, &n, 1)) {
		status = guestfile_text(&c, "vtpm") ? say_other(file, name) : VTPMCTL_OK;
	} else {
		line = n == 1 ? xlu_cfg_get_listitem(lines, 0) : NULL;
		if (!line || !may_be(line, own))
			status = say_other(file, name);
	}
	guestfile_free(&c);
	return status;
}

/* Security labels and access lists. */
static int copy_attributes(int from, int to)
{
	char names[ATTRIBUTES_MAX], value[ATTRIBUTES_MAX];
	ssize_t len = flistxattr(from, names, sizeof(names)), n;

	if (len < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (char *name = names; name < names + len; name += strlen(name) + 1) {
		n = fgetxattr(from, name, value, sizeof(value));
		if (n < 0 || fsetxattr(to, name, value, (size_t)n, 0))
			return -errno;
	}
	return 0;
}

static int write_whole(int fd, const char *text, size_t len)
{
	ssize_t n;

	for (; len; text += n, len -= (size_t)n) {
		n = write(fd, text, len);
		if (n < 0)
			return -errno;
	}
	return fsync(fd) ? -errno : 0;
}

/* Makes fd what the file is, with its text and the line. */
static int fill_copy(int fd, int old, const struct stat *st, const char *text)
{
	int rc;

	if (fchown(fd, st->st_uid, st->st_gid) || fchmod(fd, st->st_mode & 07777))
		return -errno;
	rc = copy_attributes(old, fd);
	return rc ? rc : write_whole(fd, text, strlen(text));
}

/* Whether the open file's bytes are these, to its end. */
static bool has_bytes(int fd, const char *text, size_t len)
{
	char part[4096];
	size_t at = 0;
	ssize_t n;

	while ((n = pread(fd, part, sizeof(part), (off_t)at)) > 0) {
		if ((size_t)n > len - at || memcmp(text + at, part, (size_t)n))
			return false;
		at += (size_t)n;
	}
	return !n && at == len;
}

/* Whether the name is still that of the file that was read, with what was read of it. */
static bool is_as_read(const char *path, const struct forfile *f)
{
	struct stat now;

	return !lstat(path, &now) && now.st_dev == f->st.st_dev &&
	       now.st_ino == f->st.st_ino && has_bytes(f->old, f->text, f->len);
}

static int sync_folder(const char *path)
{
	char copy[PATH_MAX];
	int fd, rc;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fsync(fd) ? -errno : 0;
	close(fd);
	return rc;
}

static bool is_name_of(const char *path, int fd)
{
	struct stat named, opened;

	return !lstat(path, &named) && !fstat(fd, &opened) &&
	       named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

/* Has temp take path's place, unless somebody has saved another text there; then temp stays
 * what it is.  Who saves it between the last look and the rename finds his file put back. */
static int swap_in(const struct forfile *f, const char *temp)
{
	if (!is_as_read(f->path, f))
		return -EAGAIN;
	if (renameat2(AT_FDCWD, temp, AT_FDCWD, f->path, RENAME_EXCHANGE)) {
		if (errno != EINVAL && errno != ENOSYS)
			return -errno;
		/* a file system that cannot do that */
		return rename(temp, f->path) ? -errno : 0;
	}
	if (is_as_read(temp, f))
		return unlink(temp) ? -errno : 0;
	return renameat2(AT_FDCWD, temp, AT_FDCWD, f->path, RENAME_EXCHANGE) ? -errno
									     : -EAGAIN;
}

/* Its name begins with a dot: xendomains and vtpm-guests start all others of a folder. */
static int name_temp(const char *path, char temp[PATH_MAX + 16])
{
	const char *base = strrchr(path, '/') + 1;
	int n = snprintf(temp, PATH_MAX + 16, "%.*s.%s.XXXXXX", (int)(base - path), path,
			 base);

	return n < PATH_MAX + 16 ? mkostemp(temp, O_CLOEXEC) : -1;
}

static int replace_with(const struct forfile *f, const char *text)
{
	char temp[PATH_MAX + 16];
	int fd = name_temp(f->path, temp), rc;

	if (fd < 0)
		return -errno;
	rc = fill_copy(fd, f->old, &f->st, text);
	if (!rc)
		rc = swap_in(f, temp);
	/* never what somebody else has saved: only what is this program's own */
	if (rc && is_name_of(temp, fd))
		unlink(temp);
	close(fd);
	return rc ? rc : sync_folder(f->path);
}

/* xl's parser has to find the line, and the rest of the file. */
static bool reads_line(const char *text, const char *want)
{
	XLU_Config *cfg = xlu_cfg_init(stderr, "the new file");
	XLU_ConfigList *lines;
	int n = 0;
	bool good = cfg && !xlu_cfg_readdata(cfg, text, (int)strlen(text)) &&
		    !xlu_cfg_get_list(cfg, "vtpm", &lines, &n, 1) && n == 1 &&
		    strstr(want, xlu_cfg_get_listitem(lines, 0));

	if (cfg)
		xlu_cfg_destroy(cfg);
	return good;
}

static int add_line(const char *path, const struct guestfile *c, const char *line)
{
	bool has_end = !c->len || c->text[c->len - 1] == '\n';
	struct forfile f = {.path = path, .text = c->text, .len = c->len};
	char *text = NULL;
	int rc = -ENOMEM;

	f.old = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (f.old < 0 || fstat(f.old, &f.st))
		rc = -errno;
	else if (f.st.st_nlink > 1)
		rc = -EMLINK;
	else if (!has_bytes(f.old, c->text, c->len))
		rc = -EAGAIN;
	else if (asprintf(&text, "%s%s%s\n", c->text, has_end ? "" : "\n", line) < 0)
		text = NULL;
	else
		rc = reads_line(text, line) ? replace_with(&f, text) : -EINVAL;
	free(text);
	if (f.old >= 0)
		close(f.old);
	return rc;
}

static const char *why_not(int rc)
{
	switch (rc) {
	case -EMLINK:
		return "it has several names (hard links)";
	case -EAGAIN:
		return "it was changed meanwhile";
	case -EINVAL:
		return "xl would not read the line at its end";
	default:
		return strerror(-rc);
	}
}

int forfile_add(const char *file, const json_t *vtpm)
{
	json_t *only = json_pack("[O]", (json_t *)vtpm);
	const char *name = client_text(vtpm, "name");
	char *line = vtpmline_text(vtpm), *path;
	struct guestfile c;
	enum forfile_has has;
	int rc = 0, status = guestfile_read(file, &c);

	if (status) {
		free(line);
		json_decref(only);
		return status;
	}
	path = realpath(file, NULL);
	has = find_line(&c, only);
	if (has == FORFILE_OTHER)
		status = say_other(file, name);
	else if (has == FORFILE_NONE)
		rc = path && line ? add_line(path, &c, line) : -ENOMEM;
	if (rc) {
		fprintf(stderr, "vtpmctl: %s was not changed: %s; add to it: %s\n", file,
			why_not(rc), line ? line : "");
		status = VTPMCTL_FAILED;
	} else if (!status) {
		fprintf(stderr, "%s %s: %s\n", file,
			has == FORFILE_OWN ? "has its line already, and was not changed"
					   : "has got the line",
			line ? line : "");
	}
	guestfile_free(&c);
	json_decref(only);
	free(path);
	free(line);
	return status;
}
