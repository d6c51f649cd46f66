/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `xl create` would meet with a guest's file.
 */
#include "include/compiler.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/boot.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/guestfile.h"
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/vtpmline.h"

#include <stdio.h>
#include <string.h>

struct check {
	const char *file, *socket;
};

#define FOLDER "/usr/lib/xen-vtpm/"

static const struct args_option check_options[] = {
	CLIENT_SOCKET_OPTION(struct check),
};

static const struct args_command check_command = {
	.usage = "check FILE [OPTIONS]",
	.about =
		"Tells what `xl create FILE` would meet: whether the vTPMs that it names are\n"
		"there, run and are free, how the guest reaches them, which images it boots, with\n"
		"their SHA-256, whether these are measured, and what `vtpmctl launch` would say.\n"
		"Nothing is changed.  Exit status 0: the guest gets its TPM.\n",
	.options = check_options,
	.option_count = ARRAY_SIZE(check_options),
	.word = "FILE",
	.word_offset = offsetof(struct check, file),
};

static int check_vtpms(const struct check *k, const struct guestfile *c)
{
	struct vtpmline_guest g = {
		.file = k->file,
		.socket = k->socket,
		.how = VTPMLINE_XL,
		.is_hvm = guestfile_is_hvm(c),
	};
	XLU_ConfigList *lines;
	const json_t *vtpm;
	json_t *reply;
	int i, n, status = vtpmline_list(&g, c, &lines, &n, &reply);

	for (i = 0; i < n && !status; i++) {
		status = vtpmline_check(&g, json_object_get(reply, "vtpms"),
					xlu_cfg_get_listitem(lines, i), &vtpm);
		if (!status)
			printf("vTPM %s: a TPM %s, running, used by no guest\n",
			       client_text(vtpm, "name"), client_text(vtpm, "tpm"));
	}
	json_decref(reply);
	return status;
}

/* Of firmware that measures, by its hash. */
static const char *measured_by_ours(const struct guestfile *c)
{
	if (c->firmware.loader_key)
		return "yes, by its firmware, whose SHA-256 is that of this release's "
		       "xen-vtpm-seabios or xen-vtpm-ovmf, if the hvmloader that "
		       "its file names starts that";
	return "yes, by its firmware, whose SHA-256 is that of this release's "
	       "xen-vtpm-seabios or xen-vtpm-ovmf";
}

/* Whether the firmware that was read measures: it is known by its hash, or as the one that
 * libxl takes by itself. */
static const char *measured_by_firmware(const struct guestfile *c)
{
	const struct firmware *f = &c->firmware;
	const char *kind;

	if (!f->bios)
		return "no: Xen's firmware of that name has no TPM (docs/hvm.md)";
	if (!f->one[FIRMWARE_BIOS].path)
		return "not known: its BIOS or UEFI was not read";
	kind = firmware_kind_of(&f->one[FIRMWARE_BIOS].image);
	if (strcmp(kind, f->bios))
		return strcmp(kind, "ovmf")
			       ? "no: this image is a BIOS, which does not start as "
				 "bios=\"ovmf\": write bios=\"seabios\""
			       : "no: this image is a UEFI, which does not start without "
				 "bios=\"ovmf\": add that";
	if (firmware_measures(&f->one[FIRMWARE_BIOS].image))
		return measured_by_ours(c);
	if (!firmware_is_stock(f))
		return "not known: the SHA-256 of its firmware is none of this release's: "
		       "ask who made it";
	return strcmp(f->bios, "ovmf")
		       ? "no: Debian's SeaBIOS does not on Xen; bios_path_override=\"" FOLDER
			 "xen-vtpm-seabios.bin\" does, of the package xen-vtpm-seabios "
			 "(docs/hvm.md)"
		       : "no: Debian's OVMF has no drivers for Xen; "
			 "bios_path_override=\"" FOLDER
			 "xen-vtpm-ovmf.fd\" does, of the package xen-vtpm-ovmf "
			 "(docs/hvm.md)";
}

static const char *measured_by(const struct guestfile *c)
{
	const char *acpi = guestfile_text(c, "acpi");

	if (guestfile_is_hvm(c))
		return acpi && strcmp(acpi, "1")
			       ? "no: without ACPI its firmware finds no TPM"
			       : measured_by_firmware(c);
	return guestfile_boots_kernel(c) && guestfile_text(c, "kernel")
		       ? "not by `xl create`; `vtpmctl launch` measures what it boots"
		       : "no: what it boots is not in domain 0";
}

/* What `xl create` would fail of, or the guest's TPM with it, on standard error; what only
 * `vtpmctl launch` refuses, in the same words, beside the rest. */
static int print_refusals(const struct refusals *r)
{
	int status = VTPMCTL_OK;

	for (unsigned int i = 0; i < r->count; i++)
		if (r->one[i].by_xl) {
			fprintf(stderr, "vtpmctl: %s\n", r->one[i].text);
			status = VTPMCTL_FAILED;
		} else {
			printf("launch: refused: %s\n", r->one[i].text);
		}
	return status;
}

static int check_boots(const struct check *k, struct guestfile *c)
{
	static uint8_t bytes[MEASURE_MAX];
	struct cursor list = cursor_writer(bytes, sizeof(bytes));
	struct refusals r = {.count = 0};
	bool whole = boot_find(c, k->file, &r);

	whole = boot_read(c, k->file, &r) && whole;
	if (whole)
		(void)!boot_measure(c, k->file, &list, &r);
	printf("guest: %s\n", guestfile_is_hvm(c)
				      ? "HVM, finds it on its board, by its own drivers"
				      : "PV or PVH, finds it by the module xen-tpmfront");
	boot_print(c);
	printf("measured: %s%s\n", measured_by(c),
	       r.count && guestfile_is_hvm(c) ? "; but see what is said below" : "");
	if (!r.count)
		printf("launch: %s what is hashed above\n",
		       guestfile_is_hvm(c) ? "records" : "measures");
	return print_refusals(&r);
}

int check_main(int argc, char **argv)
{
	struct check k = {.socket = CLIENT_SOCKET};
	struct guestfile c;
	int status, boots;

	args_parse_or_exit(&check_command, argc, argv, &k);
	status = guestfile_read(k.file, &c);
	if (status)
		return status;
	status = check_vtpms(&k, &c);
	boots = check_boots(&k, &c);
	status = status ? status : boots;
	guestfile_free(&c);
	return fflush(stdout) ? VTPMCTL_FAILED : status;
}
