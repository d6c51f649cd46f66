/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/domain_file.h"
#include "include/compiler.h"
#include "lib/text.h"
#include "lib/atomic.h"
#include "lib/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define KEPT_SIZE (16 + 2 * IMAGE_HASH_SIZE)
#define NAME_SIZE 64
#define OWN_SIZE  4096 /* of the lines that are vtpmd's */

void domain_file_path(const struct body *b, const char *suffix, char *out, size_t room)
{
	snprintf(out, room, "%s/%s.%s", b->d->run, b->name, suffix);
}

static void name_of(const struct body *b, const char *suffix, char out[NAME_SIZE])
{
	snprintf(out, NAME_SIZE, "%s.%s", b->name, suffix);
}

/* Adds a site's own lines to text, which has room for them. */
static int add_site_lines(const struct body *b, char *text, struct error *e)
{
	uint8_t *lines;
	size_t len;
	int rc = b->d->domain_config ? atomic_read(AT_FDCWD, b->d->domain_config,
						   DOMAIN_FILE_SITE_MAX, &lines, &len)
				     : -ENOENT;

	if (rc == -ENOENT)
		return 0;
	if (!rc && memchr(lines, 0, len)) {
		free(lines);
		rc = -EINVAL;
	}
	if (rc)
		return error_set(e, rc, CAUSE_INTERNAL,
				 "%s, the lines for every stub domain, cannot be used: "
				 "%s; mend it, or move it away.",
				 b->d->domain_config, strerror(-rc));
	text += strlen(text);
	memcpy(text, lines, len);
	memcpy(text + len, "\n", 2);
	free(lines);
	return 0;
}

int domain_file_config(const struct body *b, const uint8_t uuid[16], int kernel,
		       int manager, struct error *e)
{
	char text[OWN_SIZE + DOMAIN_FILE_SITE_MAX + 2], name[NAME_SIZE];
	char uuid_text[37], kernel_path[64], manager_path[64];
	int rc;

	image_path(kernel, kernel_path);
	image_path(manager, manager_path);
	uuid_unparse_lower(uuid, uuid_text);
	snprintf(text, OWN_SIZE,
		 "# Written by vtpmd at each start.\n"
		 "name = \"vtpm-%s\"\n"
		 "uuid = \"%s\"\n"
		 "type = \"pvh\"\n"
		 "kernel = \"%s\"\n"
		 "ramdisk = \"%s\"\n"
		 "extra = \"--stubdom\"\n"
		 "memory = %u\n"
		 "maxmem = %u\n"
		 "vcpus = 1\n"
		 "on_poweroff = \"preserve\"\n"
		 "on_reboot = \"preserve\"\n"
		 "on_crash = \"preserve\"\n"
		 "on_watchdog = \"preserve\"\n",
		 b->name, uuid_text, kernel_path, manager_path, b->memory, b->memory);
	rc = add_site_lines(b, text, e);
	if (rc)
		return rc;
	name_of(b, DOMAIN_FILE_CONFIG, name);
	rc = atomic_write(b->d->run_dir, name, text, strlen(text), false);
	if (rc)
		return error_set(
			e, rc, error_of_host(rc),
			"%s/%s could not be written: %s; see its disk's space and permissions.",
			b->d->run, name, strerror(-rc));
	return 0;
}

int domain_file_keep(const struct body *b, const uint8_t uuid[16])
{
	uint8_t kept[KEPT_SIZE];
	struct cursor w = cursor_writer(kept, sizeof(kept));
	char name[NAME_SIZE];

	cursor_put(&w, uuid, 16);
	cursor_put(&w, b->image.kernel, IMAGE_HASH_SIZE);
	cursor_put(&w, b->image.manager, IMAGE_HASH_SIZE);
	name_of(b, DOMAIN_FILE_KEPT, name);
	return atomic_write(b->d->run_dir, name, kept, sizeof(kept), false);
}

int domain_file_kept(struct body *b, uint8_t uuid[16])
{
	struct image *i = &b->image;
	struct cursor r;
	char name[NAME_SIZE];
	uint8_t *kept;
	size_t len;

	name_of(b, DOMAIN_FILE_KEPT, name);
	if (atomic_read(b->d->run_dir, name, KEPT_SIZE, &kept, &len))
		return -ENOENT;
	r = cursor_reader(kept, len);
	cursor_copy(&r, uuid, 16);
	cursor_copy(&r, i->kernel, IMAGE_HASH_SIZE);
	cursor_copy(&r, i->manager, IMAGE_HASH_SIZE);
	i->known = i->has_kernel = cursor_done(&r);
	free(kept);
	return len < 16 ? -ENOENT : 0;
}

void domain_file_forget(const struct body *b)
{
	char name[NAME_SIZE];

	name_of(b, DOMAIN_FILE_KEPT, name);
	(void)unlinkat(b->d->run_dir, name, 0);
}

void domain_file_remove_all(const struct vtpmd *d, const char *vtpm)
{
	static const char *const suffixes[] = {DOMAIN_FILE_CONFIG, DOMAIN_FILE_LOG,
					       DOMAIN_FILE_KEPT};
	char name[NAME_SIZE];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(name, sizeof(name), "%s.%s", vtpm, suffixes[i]);
		(void)unlinkat(d->run_dir, name, 0);
	}
}

void domain_file_said(const struct body *b, char *out, size_t room)
{
	char path[512], line[256];
	FILE *f;

	snprintf(out, room, "it said nothing");
	domain_file_path(b, DOMAIN_FILE_LOG, path, sizeof(path));
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (line[0])
			text_clean(out, room, line, strlen(line));
	}
	if (f)
		fclose(f);
}
