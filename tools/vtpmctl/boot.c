/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

/* Lines with which something else is booted than kernel= and ramdisk=, or something
 * more: each names another program that would have to be measured. */
static const char *const others[] = {
	"bootloader",	      "firmware",      "firmware_override",
	"pvshim_path",	      "loader",	       "device_tree",
	"bios_path_override", "acpi_firmware", "smbios_firmware",
};

static bool refuse_boot(struct refusals *r, const char *file, const char *what,
			const char *key)
{
	return refusals_add(
		r,
		"%s %s%s, and what it boots cannot be measured: give kernel= of "
		"a pv or pvh guest, or type=\"hvm\", or `vtpmctl launch "
		"--unmeasured`",
		file, what, key);
}

/* As xl does it (parse_cmdline() of Xen 4.17's xl). */
static char *make_cmdline(const struct guestfile *c)
{
	const char *cmdline = guestfile_text(c, "cmdline"),
		   *root = guestfile_text(c, "root");
	const char *extra = guestfile_text(c, "extra");
	char *out = NULL;

	if (cmdline || !root)
		return strdup(cmdline ? cmdline : extra ? extra : "");
	if (asprintf(&out, "root=%s%s%s", root, extra ? " " : "", extra ? extra : "") < 0)
		return NULL;
	return out;
}

/* The uuid by which vtpmd knows the guest again. */
static void take_guest_uuid(struct guestfile *c, const char *file, struct refusals *r)
{
	const char *text = guestfile_text(c, "uuid");
	uuid_t uuid;

	c->own_uuid = !text;
	if (!text)
		uuid_generate(uuid);
	else if (uuid_parse(text, uuid)) {
		(void)refusals_add_by_xl(r,
					 "uuid \"%s\" in %s is none: `cat "
					 "/proc/sys/kernel/random/uuid` makes one",
					 text, file);
		return;
	}
	uuid_unparse_lower(uuid, c->uuid);
}

static bool cannot_measure(struct refusals *r, const char *file, const char *why)
{
	return refusals_add(r, "%s cannot be measured: %s", file, why);
}

static void find_kernel(struct guestfile *c, const char *file, struct refusals *r)
{
	const char *shim = guestfile_text(c, "pvshim");

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (guestfile_text(c, others[i]))
			(void)refuse_boot(r, file, "has ", others[i]);
	if (shim && strcmp(shim, "0"))
		(void)refuse_boot(r, file, "has ", "pvshim");
	c->kernel = guestfile_text(c, "kernel");
	if (!c->kernel)
		(void)refuse_boot(r, file, "has no ", "kernel");
	c->ramdisk = guestfile_text(c, "ramdisk");
	c->cmdline = make_cmdline(c);
	if (!c->cmdline)
		(void)cannot_measure(r, file, strerror(ENOMEM));
}

/* Neither an HVM guest nor one that boots a kernel: a word that xl does not know, or the
 * beginning of one. */
static void refuse_type(const struct guestfile *c, const char *file, struct refusals *r)
{
	const char *type = guestfile_text(c, "type"),
		   *builder = guestfile_text(c, "builder");
	const char *word = type ? type : builder ? builder : "";

	if (!strncmp(word, type ? "pvh" : "generic", strlen(word)))
		(void)refuse_boot(r, file, "is for a guest of another type", "");
	else
		(void)refusals_add_by_xl(r,
					 "%s has %s=\"%s\", of which xl makes no guest: "
					 "write type=\"hvm\", \"pvh\" or \"pv\"",
					 file, type ? "type" : "builder", word);
}

bool boot_find(struct guestfile *c, const char *file, struct refusals *r)
{
	unsigned int before = r->count;

	if (guestfile_is_hvm(c))
		(void)!firmware_find(&c->firmware, c->cfg, file, r);
	else if (guestfile_boots_kernel(c))
		find_kernel(c, file, r);
	else
		refuse_type(c, file, r);
	take_guest_uuid(c, file, r);
	return r->count == before;
}

/* Reads one of a kernel's, and forgets its path when that fails. */
static bool read_image(const char **path, struct launch_image *i, struct refusals *r)
{
	int rc = *path ? launch_image_read(*path, i) : 0;

	if (!rc)
		return true;
	(void)refusals_add_by_xl(
		r,
		"%s cannot be read into memory: %s; check the path and its "
		"permissions",
		*path, strerror(-rc));
	*path = NULL;
	return false;
}

bool boot_read(struct guestfile *c, const char *file, struct refusals *r)
{
	bool good = firmware_read(&c->firmware, file, r);

	good = read_image(&c->kernel, &c->kernel_image, r) && good;
	return read_image(&c->ramdisk, &c->ramdisk_image, r) && good;
}

bool boot_measure(const struct guestfile *c, const char *file, struct cursor *list,
		  struct refusals *r)
{
	struct launch_measured m = {
		.cfg = c->cfg,
		.kernel = c->kernel,
		.kernel_image = &c->kernel_image,
		.ramdisk = c->ramdisk,
		.ramdisk_image = &c->ramdisk_image,
		.cmdline = c->cmdline,
	};
	/* the firmware of an HVM guest measures, and the launch records that firmware */
	int rc = guestfile_is_hvm(c) ? firmware_record(&c->firmware, list)
				     : launch_measure(&m, list);

	return !rc ||
	       cannot_measure(r, file,
			      rc == -E2BIG     ? "its lines are too long or too many"
			      : rc == -EBADMSG ? "a line has a list in a list of a list, "
						 "of which xl makes nothing: xl.cfg(5)"
					       : "OpenSSL failed");
}

static void print_image(const char *kind, const char *path, const struct launch_image *i)
{
	char hex[LAUNCH_IMAGE_SHA256];

	if (!path)
		return;
	launch_image_sha256(i, hex);
	printf("%s: sha256=%s %s\n", kind, hex, path);
}

void boot_print(const struct guestfile *c)
{
	for (int i = 0; i < FIRMWARE_KINDS; i++)
		print_image(firmware_kind[i], c->firmware.one[i].path,
			    &c->firmware.one[i].image);
	print_image("kernel", c->kernel, &c->kernel_image);
	print_image("ramdisk", c->ramdisk, &c->ramdisk_image);
}

void boot_hand(struct guestfile *c)
{
	if (c->firmware.bios)
		guestfile_add(c, "bios", c->firmware.bios);
	for (int i = 0; i < FIRMWARE_KINDS; i++)
		if (c->firmware.one[i].path)
			guestfile_add_image(c, firmware_key[i],
					    &c->firmware.one[i].image);
	if (c->kernel)
		guestfile_add_image(c, "kernel", &c->kernel_image);
	if (c->ramdisk)
		guestfile_add_image(c, "ramdisk", &c->ramdisk_image);
}
