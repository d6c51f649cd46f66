/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/firmware.h"
#include "tools/vtpmctl/measuring.h" /* made of firmware's sha256 files */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define UEFI_VOLUME \
	40 /* signature of a firmware volume (PI, vol. 3, EFI_FIRMWARE_VOLUME_HEADER) */
#define XEN_VERSION "/sys/hypervisor/version/"

const char *const firmware_key[FIRMWARE_KINDS] = {
	[FIRMWARE_HVMLOADER] = "firmware_override",
	[FIRMWARE_BIOS] = "bios_path_override",
	[FIRMWARE_ACPI] = "acpi_firmware",
	[FIRMWARE_SMBIOS] = "smbios_firmware",
};

const char *const firmware_kind[FIRMWARE_KINDS] = {
	[FIRMWARE_HVMLOADER] = "hvmloader",
	[FIRMWARE_BIOS] = "bios",
	[FIRMWARE_ACPI] = "acpi",
	[FIRMWARE_SMBIOS] = "smbios",
};

/* What else decides what an HVM guest runs before its own disk's first byte: a kernel that
 * QEMU hands over, which no firmware measures; another QEMU, or any option of it; another
 * name for the lines above.  And strings for its SMBIOS tables, which are in no file. */
static const char *const uncovered[] = {
	"kernel",
	"ramdisk",
	"bootloader",
	"loader",
	"firmware",
	"device_tree",
	"device_model_override",
	"device_model_args",
	"device_model_args_hvm",
	"stubdomain_kernel",
	"stubdomain_ramdisk",
	"stubdomain_cmdline",
	"smbios",
};

/* Where Debian, and Xen's own configure, have what libxl takes by itself. */
static const char *const seabios_paths[] = {
	"/usr/share/seabios/bios-256k.bin",
	"/usr/lib/xen/boot/seabios.bin",
	"/usr/libexec/xen/boot/seabios.bin",
	"/usr/local/lib/xen/boot/seabios.bin",
	NULL,
};
static const char *const ovmf_paths[] = {
	"/usr/share/ovmf/OVMF.fd",
	"/usr/lib/xen/boot/ovmf.bin",
	"/usr/libexec/xen/boot/ovmf.bin",
	"/usr/local/lib/xen/boot/ovmf.bin",
	NULL,
};
static const char *const loader_folders[] = {
	"/usr/lib/xen/boot",
	"/usr/libexec/xen/boot",
	"/usr/local/lib/xen/boot",
	NULL,
};

#define OURS "/usr/lib/xen-vtpm/" /* where the packages have images */

static const char *find_text(const XLU_Config *cfg, const char *key)
{
	const char *value = NULL;

	return xlu_cfg_get_string(cfg, key, &value, 1) ? NULL : value;
}

static bool has_line(const XLU_Config *cfg, const char *key)
{
	XLU_ConfigList *items;
	int n;

	return find_text(cfg, key) || !xlu_cfg_get_list(cfg, key, &items, &n, 1);
}

#define NOT_VOUCHED "and what its guest boots would not be what the host vouches for"

static bool refuse_line(struct refusals *r, const char *file, const char *key,
			const char *instead)
{
	return refusals_add(
		r, "%s has %s, " NOT_VOUCHED ": %s, or `vtpmctl launch --unmeasured`",
		file, key, instead);
}

static bool is_monitor(const char *serial)
{
	return serial && !strncmp(serial, "mon:", 4);
}

/* Whether QEMU would serve its monitor, which changes the guest's memory and devices, on
 * one of the guest's serial lines: serial="mon:pty". */
static bool has_monitor(const XLU_Config *cfg)
{
	XLU_ConfigList *items;
	int n;

	if (!xlu_cfg_get_list(cfg, "serial", &items, &n, 1))
		while (n-- > 0)
			if (is_monitor(xlu_cfg_get_listitem(items, n)))
				return true;
	return is_monitor(find_text(cfg, "serial"));
}

static void check_covered(const XLU_Config *cfg, const char *file, struct refusals *r)
{
	const char *model = find_text(cfg, "device_model_version");
	const char *acpi = find_text(cfg, "acpi");
	size_t i;

	for (i = 0; i < ARRAY_SIZE(uncovered); i++)
		if (has_line(cfg, uncovered[i]))
			(void)refuse_line(
				r, file, uncovered[i],
				strcmp(uncovered[i], "firmware")
					? "leave it out"
					: "write bios=, and bios_path_override= "
					  "for an image of your own");
	if (model && strcasecmp(model, "qemu-xen"))
		(void)refuse_line(r, file, "a device_model_version of its own",
				  "leave it out");
	if (has_monitor(cfg))
		(void)refuse_line(r, file, "QEMU's monitor on a serial line",
				  "leave \"mon:\" out");
	if (acpi && strcmp(acpi, "1"))
		(void)refusals_add_by_xl(
			r,
			"%s has acpi=%s, and without ACPI's tables neither the firmware "
			"nor the drivers of an HVM guest find its TPM: leave it out",
			file, acpi);
}

static const char *first_there(const char *const *paths)
{
	for (; *paths; paths++)
		if (!access(*paths, R_OK))
			return *paths;
	return NULL;
}

/* One of the files in /sys/hypervisor/version; "": there is none. */
static void read_version(const char *name, char out[8])
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), XEN_VERSION "%s", name);
	f = fopen(path, "re");
	if (!f || !fgets(out, 8, f))
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (f)
		fclose(f);
}

/* name, which libxl looks for in its folder when it is relative. */
static bool find_loader(struct firmware *f, const char *name)
{
	char major[8], minor[8];
	size_t i;

	if (name[0] == '/') {
		snprintf(f->loader, sizeof(f->loader), "%s", name);
		return true;
	}
	read_version("major", major);
	read_version("minor", minor);
	snprintf(f->loader, sizeof(f->loader), "/usr/lib/xen-%s.%s/boot/%s", major, minor,
		 name);
	for (i = 0; access(f->loader, R_OK) && loader_folders[i]; i++)
		snprintf(f->loader, sizeof(f->loader), "%s/%s", loader_folders[i], name);
	return !access(f->loader, R_OK);
}

/* What xl makes of the lines that choose among them: firmware= has the BIOS's name, which then
 * counts in place of bios=, or else the path of an hvmloader, in place of firmware_override=. */
struct choice {
	const char *bios_key, *bios; /* the line and its word; NULL: libxl's default */
	const char *loader_key, *loader; /* NULL: Xen's */
};

static bool is_bios_name(const char *name)
{
	return !strcasecmp(name, "seabios") || !strcasecmp(name, "ovmf") ||
	       !strcasecmp(name, "rombios") || !strcasecmp(name, "unknown");
}

static struct choice read_choice(const XLU_Config *cfg)
{
	const char *firmware = find_text(cfg, "firmware");
	const char *loader_key = firmware_key[FIRMWARE_HVMLOADER];
	struct choice c = {"bios", find_text(cfg, "bios"), loader_key,
			   find_text(cfg, loader_key)};

	if (!firmware)
		return c;
	/* xl compares the beginning of these two words */
	if (!is_bios_name(firmware) && !strncmp(firmware, "uefi", strlen(firmware)))
		firmware = "ovmf";
	else if (!is_bios_name(firmware) && !strncmp(firmware, "bios", strlen(firmware)))
		return c;
	if (is_bios_name(firmware)) {
		c.bios_key = "firmware";
		c.bios = firmware;
	} else {
		c.loader_key = "firmware";
		c.loader = firmware;
	}
	return c;
}

static bool find_bios(struct firmware *f, const struct choice *c, const char *file,
		      struct refusals *r)
{
	bool is_ovmf = c->bios && !strcasecmp(c->bios, "ovmf");

	/* libxl's default, with the QEMU that check_covered() leaves */
	if (!c->bios || !strcasecmp(c->bios, "seabios"))
		f->bios = "seabios";
	else if (is_ovmf)
		f->bios = "ovmf";
	else
		return refusals_add_by_xl(
			r,
			"%s has %s=\"%s\", of which xl makes no guest with a TPM 2.0: "
			"write bios=\"seabios\" or bios=\"ovmf\"",
			file, c->bios_key, c->bios);
	if (!f->one[FIRMWARE_BIOS].path)
		f->one[FIRMWARE_BIOS].path =
			first_there(is_ovmf ? ovmf_paths : seabios_paths);
	return f->one[FIRMWARE_BIOS].path ||
	       refusals_add(
		       r,
		       "the %s that libxl would take is not where it is looked for, and "
		       "xl makes no guest without it: name one in %s, as "
		       "bios_path_override=\"" OURS "%s\"",
		       f->bios, file,
		       is_ovmf ? "xen-vtpm-ovmf.fd" : "xen-vtpm-seabios.bin");
}

bool firmware_find(struct firmware *f, const XLU_Config *cfg, const char *file,
		   struct refusals *r)
{
	struct choice c = read_choice(cfg);
	unsigned int before = r->count;
	int i;

	memset(f, 0, sizeof(*f));
	check_covered(cfg, file, r);
	for (i = 0; i < FIRMWARE_KINDS; i++)
		f->one[i].path = find_text(cfg, firmware_key[i]);
	f->loader_key = c.loader ? c.loader_key : NULL;
	f->one[FIRMWARE_HVMLOADER].path = f->loader;
	if (!find_loader(f, c.loader ? c.loader : "hvmloader")) {
		f->one[FIRMWARE_HVMLOADER].path = NULL;
		(void)refusals_add(
			r,
			"Xen's %s is not where it is looked for: name it in %s, "
			"with firmware_override= and its whole path",
			c.loader ? c.loader : "hvmloader", file);
	}
	(void)!find_bios(f, &c, file, r);
	return r->count == before;
}

bool firmware_is_stock(const struct firmware *f)
{
	const char *const *paths = seabios_paths;

	if (!f->bios)
		return false;
	if (!strcmp(f->bios, "ovmf"))
		paths = ovmf_paths;
	for (; *paths; paths++)
		if (!strcmp(*paths, f->one[FIRMWARE_BIOS].path))
			return true;
	return false;
}

const char *firmware_measures(const struct launch_image *image)
{
	char hex[LAUNCH_IMAGE_SHA256];
	size_t i;

	launch_image_sha256(image, hex);
	for (i = 0; i < ARRAY_SIZE(measuring); i++)
		if (!strcmp(hex, measuring[i].sha256))
			return measuring[i].bios;
	return NULL;
}

const char *firmware_kind_of(const struct launch_image *image)
{
	char head[UEFI_VOLUME + 4] = "";

	/* OVMF is a firmware volume, and OvmfXen begins with the header of an ELF file */
	if (pread(image->fd, head, sizeof(head), 0) < (ssize_t)sizeof(head))
		return "seabios";
	return memcmp(head + UEFI_VOLUME, "_FVH", 4) && memcmp(head, "\177ELF", 4)
		       ? "seabios"
		       : "ovmf";
}

bool firmware_read(struct firmware *f, const char *file, struct refusals *r)
{
	bool good = true;

	for (int i = 0; i < FIRMWARE_KINDS; i++) {
		const char *path = f->one[i].path;
		int rc = path ? launch_image_read(path, &f->one[i].image) : 0;

		if (!rc)
			continue;
		good = refusals_add_by_xl(
			r, "%s, of %s, cannot be read: %s: correct its %s=%s", path, file,
			strerror(-rc),
			i == FIRMWARE_HVMLOADER && f->loader_key ? f->loader_key
								 : firmware_key[i],
			rc == -ENOENT && !strncmp(path, OURS, strlen(OURS))
				? ", or install its package"
				: "");
		f->one[i].path = NULL;
	}
	return good;
}

static void put_firmware(struct cursor *list, const char *kind, const char *path,
			 const struct launch_image *image)
{
	static const uint8_t zeroes[MEASURE_DIGESTS];
	const char *slash = strrchr(path, '/');
	char hex[LAUNCH_IMAGE_SHA256], text[512];
	int len;

	launch_image_sha256(image, hex);
	len = snprintf(text, sizeof(text),
		       MEASURE_FIRMWARE "%s sha256=%s size=%llu name=%.300s", kind, hex,
		       (unsigned long long)image->size, slash ? slash + 1 : path);
	measure_put(list, &(struct measure_event){0, MEASURE_EV_NO_ACTION, zeroes,
						  (const uint8_t *)text, (size_t)len});
}

int firmware_record(const struct firmware *f, struct cursor *list)
{
	int i;

	for (i = 0; i < FIRMWARE_KINDS; i++)
		if (f->one[i].path)
			put_firmware(list, firmware_kind[i], f->one[i].path,
				     &f->one[i].image);
	return cursor_ok(list) ? 0 : -E2BIG;
}
