/* SPDX-License-Identifier: Apache-2.0 */
/* The machine: Xen, its devices, the clock, vtpmd and its vTPMs. */
#include "tools/vtpmctl/doctor.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define XENDOMAINS "/etc/default/xendomains"
#define BORN	   1704067200 /* 2024-01-01: no clock that is right is before */

static bool read_line(const char *path, char *out, size_t room)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(out, (int)room, f);

	if (f)
		fclose(f);
	if (ok)
		out[strcspn(out, "\n")] = '\0';
	return ok;
}

enum finding doctor_xen(struct doctor *d)
{
	char major[16], minor[16];

	if (access("/dev/xen/privcmd", F_OK) && access("/proc/xen/privcmd", F_OK))
		return doctor_say(d, WARN,
				  "this is no Xen host: boot the Xen entry of GRUB; here "
				  "vTPMs can run as processes only");
	if (!read_line("/sys/hypervisor/version/major", major, sizeof(major)) ||
	    !read_line("/sys/hypervisor/version/minor", minor, sizeof(minor)))
		return doctor_say(d, WARN,
				  "the version of Xen cannot be read: "
				  "`modprobe xen-privcmd`, `mount -t xenfs "
				  "xenfs /proc/xen`");
	if (strcmp(major, "4") || (strcmp(minor, "17") && strcmp(minor, "20")))
		return doctor_say(d, WARN,
				  "this is Xen %s.%s: vTPMs were tested on 4.17 and "
				  "4.20 alone",
				  major, minor);
	return doctor_say(d, FINE, "Xen %s.%s", major, minor);
}

enum finding doctor_devices(struct doctor *d)
{
	static const struct {
		const char *path, *module;
	} devices[] = {
		{"/dev/xen/gntdev", "xen-gntdev"},
		{"/dev/xen/evtchn", "xen-evtchn"},
		{"/dev/xen/xenbus", "xenfs"},
	};
	size_t i;

	if (access("/dev/xen", F_OK))
		return doctor_say(d, SKIPPED, "no Xen");
	for (i = 0; i < ARRAY_SIZE(devices); i++)
		if (access(devices[i].path, F_OK))
			return doctor_say(d, BAD, "%s is missing: `modprobe %s`",
					  devices[i].path, devices[i].module);
	return doctor_say(d, FINE, "grants, event channels and xenstore can be used");
}

enum finding doctor_clock(struct doctor *d)
{
	struct timex t = {.modes = 0};

	if (time(NULL) < BORN)
		return doctor_say(d, BAD,
				  "the clock is years behind: set it, or no "
				  "certificate of the KMS will be valid");
	if (adjtimex(&t) == TIME_ERROR || t.status & STA_UNSYNC)
		return doctor_say(
			d, WARN,
			"no time service keeps the clock right, and certificates "
			"are judged by it: `timedatectl set-ntp true`");
	return doctor_say(d, FINE, "the clock is plausible, and kept right");
}

static enum finding judge_vtpms(struct doctor *d, const json_t *vtpms)
{
	size_t i, failed = 0;
	const json_t *vtpm;
	const char *name = NULL, *why = NULL;

	json_array_foreach(vtpms, i, vtpm)
	{
		const char *error = json_string_value(json_object_get(vtpm, "error"));
		const char *store =
			json_string_value(json_object_get(vtpm, "store_error"));

		if (!error && !store)
			continue;
		failed++;
		name = json_string_value(json_object_get(vtpm, "name"));
		why = error ? error : store;
	}
	if (failed)
		return doctor_say(
			d, BAD,
			"%zu of %zu vTPMs have failed or wait for the disk, as %s: %s",
			failed, json_array_size(vtpms), name ? name : "?", why);
	return doctor_say(d, FINE, "vtpmd answers, %zu vTPMs, none has failed",
			  json_array_size(vtpms));
}

enum finding doctor_vtpmd(struct doctor *d)
{
	char text[CLIENT_TEXT];
	enum finding f;
	json_t *reply;

	if (client_try(d->socket, client_request("list", NULL), &reply, text))
		return doctor_say(d, BAD, "%s", text);
	f = judge_vtpms(d, json_object_get(reply, "vtpms"));
	json_decref(reply);
	return f;
}

/* What XENDOMAINS_SAVE= is set to last, without quotes; "": it is not. */
static void saves_to(FILE *f, char out[256])
{
	char line[256], *value;

	out[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "XENDOMAINS_SAVE=", 16))
			continue;
		value = line + 16 + strspn(line + 16, "\"'");
		value[strcspn(value, "\"' \t#\n")] = '\0';
		snprintf(out, 256, "%s", value);
	}
}

enum finding doctor_xendomains(struct doctor *d)
{
	FILE *f = fopen(XENDOMAINS, "re");
	char folder[256];

	if (!f)
		return doctor_say(d, SKIPPED, "there is no " XENDOMAINS);
	saves_to(f, folder);
	fclose(f);
	if (folder[0])
		return doctor_say(d, WARN,
				  "guests are saved in %s when the host goes down, and "
				  "find an empty TPM when they are restored: "
				  "XENDOMAINS_SAVE= in " XENDOMAINS,
				  folder);
	return doctor_say(d, FINE, "guests are shut down before the host, not saved");
}
