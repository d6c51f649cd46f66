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

static bool is_unchanged(const char *path, const struct stat *st)
{
	struct stat now;

	return !lstat(path, &now) && now.st_dev == st->st_dev &&
	       now.st_ino == st->st_ino && now.st_size == st->st_size &&
	       now.st_mtim.tv_sec == st->st_mtim.tv_sec &&
	       now.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
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

/* path: without links; old: it, open, as st. */
static int replace_with(const char *path, int old, const struct stat *st,
			const char *text)
{
	char temp[PATH_MAX + 16];
	int fd, rc;

	snprintf(temp, sizeof(temp), "%s.XXXXXX", path);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fill_copy(fd, old, st, text);
	/* an editor that has saved it meanwhile */
	if (!rc && !is_unchanged(path, st))
		rc = -EAGAIN;
	if (!rc && rename(temp, path))
		rc = -errno;
	if (rc)
		unlink(temp);
	close(fd);
	return rc ? rc : sync_folder(path);
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
	int rc = -ENOMEM, old = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char *text = NULL;
	struct stat st;

	if (old < 0 || fstat(old, &st))
		rc = -errno;
	else if (st.st_nlink > 1)
		rc = -EMLINK;
	else if ((size_t)st.st_size != c->len)
		rc = -EAGAIN;
	else if (asprintf(&text, "%s%s%s\n", c->text, has_end ? "" : "\n", line) < 0)
		text = NULL;
	else
		rc = reads_line(text, line) ? replace_with(path, old, &st, text)
					    : -EINVAL;
	free(text);
	if (old >= 0)
		close(old);
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
