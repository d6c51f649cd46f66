/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `xl create` would meet with a guest's file.
 */
#include "include/compiler.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/guestfile.h"
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/vtpmline.h"

#include <stdio.h>
#include <string.h>

struct check {
	const char *file, *socket;
};

#define SEABIOS "/usr/lib/xen-vtpm/xen-vtpm-seabios.bin" /* of `make firmware` */

static const struct args_option check_options[] = {
	CLIENT_SOCKET_OPTION(struct check),
};

static const struct args_command check_command = {
	.usage = "check FILE [OPTIONS]",
	.about =
		"Tells what `xl create FILE` would meet: whether the vTPMs that it names are\n"
		"there, run and are free, how the guest reaches them, and whether what it boots\n"
		"is measured.  Nothing is changed.  Exit status 0: the guest gets its TPM.\n",
	.options = check_options,
	.option_count = ARRAY_SIZE(check_options),
	.word = "FILE",
	.word_offset = offsetof(struct check, file),
};

/* What would make xl fail with a vTPM that a line names rightly. */
static int check_ready(const struct check *l, const struct guestfile *c,
		       const json_t *vtpm)
{
	const char *name = client_text(vtpm, "name"), *state = client_text(vtpm, "state");

	if (guestfile_is_hvm(c) && strcmp(client_text(vtpm, "tpm"), "2.0"))
		fprintf(stderr,
			"vtpmctl: %s is an HVM guest, whose TPM is a TPM 2.0, and the vTPM %s "
			"is a TPM %s: create one with --tpm 2.0\n",
			l->file, name, client_text(vtpm, "tpm"));
	else if (!strncmp(client_text(vtpm, "guests"), "measured", 8))
		fprintf(stderr,
			"vtpmctl: the vTPM %s serves measured guests only, which `xl create` "
			"does not make: `vtpmctl launch %s`, or give the guest another vTPM\n",
			name, l->file);
	else if (strcmp(state, "running"))
		fprintf(stderr, "vtpmctl: the vTPM %s is %s: `vtpmctl start %s` first\n",
			name, state, name);
	else
		return VTPMCTL_OK;
	return VTPMCTL_FAILED;
}

static int check_vtpms(const struct check *l, const struct guestfile *c)
{
	XLU_ConfigList *lines;
	const json_t *vtpm;
	json_t *reply;
	struct vtpmline_guest g = {.file = l->file, .socket = l->socket};
	int i, n, status = vtpmline_list(&g, c, &lines, &n, &reply);

	for (i = 0; i < n && !status; i++) {
		status = vtpmline_check(&g, json_object_get(reply, "vtpms"),
					xlu_cfg_get_listitem(lines, i), &vtpm);
		if (!status)
			status = check_ready(l, c, vtpm);
		if (!status)
			printf("vTPM %s: a TPM %s, running, used by no guest\n",
			       client_text(vtpm, "name"), client_text(vtpm, "tpm"));
	}
	json_decref(reply);
	return status;
}

/* Whether what the guest boots is measured, as far as the file says. */
static const char *measured_by(const struct guestfile *c)
{
	const char *bios = guestfile_text(c, "bios"),
		   *file = guestfile_text(c, "bios_path_override");

	if (!guestfile_is_hvm(c))
		return guestfile_boots_kernel(c) && guestfile_text(c, "kernel")
			       ? "not by `xl create`; `vtpmctl launch` measures what it boots"
			       : "no: what it boots is not in domain 0";
	if (file)
		return strcmp(file, SEABIOS)
			       ? "not known: bios_path_override is firmware of your own"
			       : "yes, by its firmware, the SeaBIOS of `make firmware`";
	if (bios && strcmp(bios, "seabios"))
		return "no: Xen's firmware of that name has no TPM (docs/hvm.md)";
	return "no: Debian's SeaBIOS does not on Xen; bios_path_override=\"" SEABIOS
	       "\" does (docs/hvm.md)";
}

int check_main(int argc, char **argv)
{
	struct check l = {.socket = CLIENT_SOCKET};
	struct guestfile c;
	int status;

	args_parse_or_exit(&check_command, argc, argv, &l);
	status = guestfile_read(l.file, &c);
	if (status)
		return status;
	status = check_vtpms(&l, &c);
	if (!status)
		printf("guest: %s\nmeasured: %s\n",
		       guestfile_is_hvm(&c)
			       ? "HVM, finds it on its board, by its own drivers"
			       : "PV or PVH, finds it by the module xen-tpmfront",
		       measured_by(&c));
	guestfile_free(&c);
	return fflush(stdout) ? VTPMCTL_FAILED : status;
}
