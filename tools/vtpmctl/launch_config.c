/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/launch_config.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/vtpmctl.h"

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

int launch_config_read(const char *file, struct launch_config *c)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	memset(c, 0, sizeof(*c));
	rc = file_read(file, &c->text, &c->len, &e);
	if (rc)
		return vtpmctl_fail(&e);
	c->cfg = xlu_cfg_init(stderr, file);
	rc = c->cfg ? xlu_cfg_readdata(c->cfg, c->text, (int)c->len) : ENOMEM;
	/* the parser stops at a zero, or does not */
	if (!rc && strlen(c->text) != c->len)
		rc = EINVAL;
	if (!rc)
		return VTPMCTL_OK;
	fprintf(stderr, "vtpmctl: %s cannot be read as an xl file: %s\n", file,
		strerror(rc));
	launch_config_free(c);
	return VTPMCTL_FAILED;
}

static const char *text_of(const struct launch_config *c, const char *key)
{
	const char *value = NULL;

	return xlu_cfg_get_string(c->cfg, key, &value, 1) ? NULL : value;
}

static bool refuse(const char *file, const char *what, const char *key)
{
	fprintf(stderr,
		"vtpmctl: %s %s%s, and what it boots cannot be measured: give kernel= of "
		"a pv or pvh guest, or `vtpmctl launch --unmeasured`\n",
		file, what, key);
	return false;
}

/* As xl does it (parse_cmdline() of Xen 4.17's xl). */
static char *make_cmdline(const struct launch_config *c)
{
	const char *cmdline = text_of(c, "cmdline"), *root = text_of(c, "root");
	const char *extra = text_of(c, "extra");
	char *out = NULL;

	if (cmdline || !root)
		return strdup(cmdline ? cmdline : extra ? extra : "");
	if (asprintf(&out, "root=%s%s%s", root, extra ? " " : "", extra ? extra : "") < 0)
		return NULL;
	return out;
}

/* The uuid by which vtpmd knows the guest again. */
static bool take_uuid(struct launch_config *c, const char *file)
{
	const char *text = text_of(c, "uuid");
	uuid_t uuid;

	c->own_uuid = !text;
	if (!text)
		uuid_generate(uuid);
	else if (uuid_parse(text, uuid)) {
		fprintf(stderr, "vtpmctl: uuid \"%s\" in %s is none: correct it\n", text,
			file);
		return false;
	}
	uuid_unparse_lower(uuid, c->uuid);
	return true;
}

/* A PV or PVH guest: the firmware of an HVM guest would read its disk. */
static bool boots_a_kernel(const struct launch_config *c)
{
	const char *type = text_of(c, "type"), *builder = text_of(c, "builder");

	if (type)
		return !strcmp(type, "pv") || !strcmp(type, "pvh");
	return !builder || !strcmp(builder, "generic") || !strcmp(builder, "linux");
}

bool launch_config_measurable(struct launch_config *c, const char *file)
{
	const char *shim = text_of(c, "pvshim");

	if (!boots_a_kernel(c))
		return refuse(file, "is for a guest with firmware", "");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (text_of(c, others[i]))
			return refuse(file, "has ", others[i]);
	if (shim && strcmp(shim, "0"))
		return refuse(file, "has ", "pvshim");
	c->kernel = text_of(c, "kernel");
	if (!c->kernel)
		return refuse(file, "has no ", "kernel");
	c->ramdisk = text_of(c, "ramdisk");
	c->cmdline = make_cmdline(c);
	return c->cmdline && take_uuid(c, file);
}

/* xl's parser has to find in the new text what was written into it. */
static bool reads(const XLU_Config *cfg, const char *key, const char *want)
{
	const char *value = NULL;

	return !xlu_cfg_get_string(cfg, key, &value, 1) && !strcmp(value, want);
}

static bool check(const struct launch_config *c, const char *kernel, const char *ramdisk)
{
	XLU_Config *again = xlu_cfg_init(stderr, "the launch's file");
	bool good = again && !xlu_cfg_readdata(again, c->text, (int)c->len) &&
		    reads(again, "kernel", kernel) &&
		    (!*ramdisk || reads(again, "ramdisk", ramdisk)) &&
		    (!c->own_uuid || reads(again, "uuid", c->uuid));

	if (again)
		xlu_cfg_destroy(again);
	return good;
}

/* The last one of several lines counts for xl. */
int launch_config_finish(struct launch_config *c, int kernel, int ramdisk)
{
	char k[32], r[32] = "", *text;
	int len;

	snprintf(k, sizeof(k), "/proc/self/fd/%d", kernel);
	if (ramdisk >= 0)
		snprintf(r, sizeof(r), "/proc/self/fd/%d", ramdisk);
	len = asprintf(&text, "%.*s\nkernel = \"%s\"\n%s%s%s%s%s%s", (int)c->len, c->text,
		       k, *r ? "ramdisk = \"" : "", r, *r ? "\"\n" : "",
		       c->own_uuid ? "uuid = \"" : "", c->own_uuid ? c->uuid : "",
		       c->own_uuid ? "\"\n" : "");
	if (len < 0)
		return -ENOMEM;
	free(c->text);
	c->text = text;
	c->len = (size_t)len;
	return check(c, k, r) ? 0 : -EINVAL;
}

void launch_config_free(struct launch_config *c)
{
	if (c->cfg)
		xlu_cfg_destroy(c->cfg);
	free(c->text);
	free(c->cmdline);
	memset(c, 0, sizeof(*c));
}
