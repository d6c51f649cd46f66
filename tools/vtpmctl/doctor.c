/* SPDX-License-Identifier: Apache-2.0 */
/* The table of `vtpmctl doctor`, and what is looked at of this machine, the store and vtpmd. */
#include "tools/vtpmctl/doctor.h"
#include "tools/vtpmctl/vtpmctl.h"
#include "lib/crypt.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/autostart.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/host_anchor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define TEXT(field, NAME, VALUE, HELP)                                                 \
	{                                                                              \
		.name = NAME, .kind = ARGS_TEXT,                                       \
		.offset = offsetof(struct doctor, field), .value = VALUE, .help = HELP \
	}

static const struct args_option options[] = {
	OPTION_FLAG("json", struct doctor, json, "as a JSON array"),
	TEXT(tcti, "tcti", "TCTI", "the TPM, " TPM_TCTI),
	TEXT(config, "config", "FILE", HOSTCONF_PATH),
	TEXT(store, "store", "DIR", VTPMCTL_STORE),
	TEXT(xendomains, "xendomains", "FILE", AUTOSTART_DEFAULTS),
	TEXT(automatic, "auto", "DIR", AUTOSTART_UNITS),
	CLIENT_SOCKET_OPTION(struct doctor),
};

static const struct args_command command = {
	.usage = "doctor [OPTIONS]",
	.about =
		"Looks at all that vTPMs need on this host, and says what to do about what it\n"
		"finds.  Status 0: nothing is wrong (there may be warnings); 1: something is.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

/* In this order: a later one uses what an earlier one opened. */
static const struct {
	const char *name;
	doctor_check *check;
} checks[] = {
	{"xen", doctor_xen},
	{"devices", doctor_devices},
	{"clock", doctor_clock},
	{"config", doctor_config},
	{"policy-key", doctor_policy_key},
	{"recovery", doctor_recovery},
	{"certificate", doctor_certificate},
	{"tpm", doctor_tpm},
	{"lockout", doctor_lockout},
	{"nv", doctor_nv},
	{"keys", doctor_keys},
	{"attestation", doctor_attest},
	{"kms", doctor_kms},
	{"store", doctor_store},
	{"leases", doctor_leases},
	{"anchor", doctor_anchor},
	{"vtpmd", doctor_vtpmd},
	{"pool", doctor_pool},
	{"pool-list", doctor_pool_list},
	{"pool-cert", doctor_pool_cert},
	{"pool-key", doctor_pool_key},
	{"peers", doctor_peers},
	{"peer-cert", doctor_peer_cert},
	{"receive", doctor_receive},
	{"moves", doctor_moves},
	{"xendomains", doctor_xendomains},
	{"autostart", doctor_autostart},
	{"auto", doctor_auto},
};

#define VTPMD_S 20 /* in which vtpmd has answered, unless it hangs */

int doctor_ask(struct doctor *d, json_t *request, json_t **reply, char text[CLIENT_TEXT])
{
	int status;

	if (d->silent[0]) {
		json_decref(request);
		*reply = NULL;
		snprintf(text, CLIENT_TEXT, "%s", d->silent);
		return VTPMCTL_NO_VTPMD;
	}
	status = client_try_soon(d->socket, request, VTPMD_S, reply, text);
	if (status == VTPMCTL_NO_VTPMD)
		snprintf(d->silent, sizeof(d->silent), "%s", text);
	return status;
}

enum finding doctor_say(struct doctor *d, enum finding f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->text, sizeof(d->text), fmt, ap);
	va_end(ap);
	return f;
}

static const char *word(enum finding f)
{
	static const char *const words[] = {[FINE] = "ok",
					    [WARN] = "warning",
					    [BAD] = "wrong",
					    [SKIPPED] = "skipped"};

	return words[f];
}

/* Whether something is wrong. */
static bool examine(struct doctor *d)
{
	json_t *all = d->json ? json_array() : NULL;
	bool wrong = false;
	enum finding f;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(checks); i++) {
		f = checks[i].check(d);
		wrong |= f == BAD;
		if (d->json)
			json_array_append_new(all, json_pack("{s:s, s:s, s:s}", "check",
							     checks[i].name, "finding",
							     word(f), "text", d->text));
		else
			printf("%-11s  %-7s  %s\n", checks[i].name, word(f), d->text);
	}
	if (d->json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(all);
	return wrong;
}

int doctor_main(int argc, char **argv)
{
	struct doctor d = {
		.config = HOSTCONF_PATH,
		.tcti = TPM_TCTI,
		.store = VTPMCTL_STORE,
		.xendomains = AUTOSTART_DEFAULTS,
		.automatic = AUTOSTART_UNITS,
		.socket = CLIENT_SOCKET,
	};
	bool wrong;

	args_parse_or_exit(&command, argc, argv, &d);
	wrong = examine(&d);
	if (d.tpm_open)
		tpm_close(&d.tpm);
	if (d.configured)
		hostconf_free(&d.conf);
	return wrong || fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}

/* Whether an older store would be noticed: the TPM's anchor, and the table that it is
 * the hash of. */

/* Whether a file of the store has this hash. */
static bool has_hash(const char *store, const char *name, const uint8_t *hash)
{
	uint8_t own[CRYPT_HASH_SIZE];
	struct crypt_part part = {0};
	char path[PATH_MAX], *text = NULL;
	bool same = false;

	if (snprintf(path, sizeof(path), "%s/%s", store, name) >= (int)sizeof(path) ||
	    file_read(path, &text, &part.n, NULL))
		return false;
	part.p = text;
	if (!crypt_sha256(&part, 1, own))
		same = !memcmp(own, hash, sizeof(own));
	free(text);
	return same;
}

enum finding doctor_anchor(struct doctor *d)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t value[TPMANCHOR_SIZE];

	if (!d->tpm_pinned)
		return doctor_say(d, SKIPPED, DOCTOR_NO_TPM);
	if (!d->conf.anchor_index)
		return doctor_say(d, WARN,
				  "an older state that is put back into the store is not "
				  "noticed: `vtpmctl host anchor --init`");
	if (tpmanchor_read(&d->tpm, &d->conf, value, &e))
		return doctor_say(d, BAD, "%s", e.text);
	if (!memcmp(value, d->conf.anchor_adopt, sizeof(value)))
		return doctor_say(
			d, WARN,
			"the TPM's anchor is ready, and the store is not anchored "
			"yet: vtpmd does that when it starts");
	if (!has_hash(d->store, "anchor", value) &&
	    !has_hash(d->store, "anchor.prev", value))
		return doctor_say(
			d, BAD,
			"%s/anchor is not the table that the TPM has the hash of: "
			"when vtpmd has another store, give --store DIR; else bring "
			"it back, or see docs/errors.md, rolled-back",
			d->store);
	return doctor_say(d, FINE, "the TPM has the hash of the store's generations");
}

/* The store: who may enter it, its room, its files, and who has the leases. */

#define ROOM_MIN   (64ull << 20)
#define MACHINE_ID "/etc/machine-id"

static bool too_full(const char *path, unsigned long long *room)
{
	struct statvfs v;

	*room = 0;
	if (statvfs(path, &v))
		return true;
	*room = (unsigned long long)v.f_bavail * v.f_frsize;
	return *room < ROOM_MIN || (v.f_files && v.f_favail < 1000);
}

/* Calls look() with each vTPM's folder until it returns something else than 0. */
static int each_folder(const char *store, int (*look)(int dir, const char *name, void *),
		       void *ctx)
{
	DIR *all = opendir(store);
	struct dirent *entry;
	int dir, rc = 0;

	while (all && !rc && (entry = readdir(all))) {
		if (strlen(entry->d_name) != 36)
			continue; /* no uuid */
		dir = openat(dirfd(all), entry->d_name,
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (dir < 0)
			continue;
		rc = look(dir, entry->d_name, ctx);
		close(dir);
	}
	if (all)
		closedir(all);
	return rc;
}

static bool open_to_others(const struct stat *st)
{
	return st->st_uid || st->st_mode & 077;
}

/* The first thing in a folder that others than root may read. */
static int find_open(int dir, const char *name, void *ctx)
{
	static const char *const files[] = {"vtpm.json", "header", "permall"};
	char *path = ctx;
	struct stat st;
	size_t i;

	if (!fstat(dir, &st) && open_to_others(&st)) {
		strcpy(path, name);
		return 1;
	}
	for (i = 0; i < ARRAY_SIZE(files); i++)
		if (!fstatat(dir, files[i], &st, AT_SYMLINK_NOFOLLOW) &&
		    open_to_others(&st)) {
			sprintf(path, "%s/%s", name, files[i]);
			return 1;
		}
	return 0;
}

enum finding doctor_store(struct doctor *d)
{
	unsigned long long room;
	struct stat st;
	char path[64];

	if (stat(d->store, &st))
		return doctor_say(d, WARN, "%s: %s; vtpmd makes it when it starts",
				  d->store, strerror(errno));
	if (open_to_others(&st))
		return doctor_say(d, BAD,
				  "others than root may enter %s: `chown root:root %s; "
				  "chmod 700 %s`",
				  d->store, d->store, d->store);
	if (each_folder(d->store, find_open, path))
		return doctor_say(d, BAD,
				  "others than root may use %s/%s: `chown -R root:root "
				  "%s; chmod -R go= %s`",
				  d->store, path, d->store, d->store);
	if (too_full(d->store, &room))
		return doctor_say(d, WARN,
				  "%s has %llu MiB left, or few files: make room, or "
				  "guests' commands will wait for it",
				  d->store, room >> 20);
	return doctor_say(d, FINE, "%s is root's alone, %llu MiB free", d->store,
			  room >> 20);
}

static bool read_id(int dir, const char *path, char out[33])
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, 32);

	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n == 32;
}

struct leases {
	char own[33];
	unsigned int here, elsewhere;
	char name[37], other[33]; /* of the first one that is another machine's */
};

/* tools/vtpmd/store.c: the file lock has the id of the machine that has the lease. */
static int count_lease(int dir, const char *name, void *ctx)
{
	struct leases *l = ctx;
	char id[33];

	if (!read_id(dir, "lock", id))
		return 0;
	if (!strcmp(id, l->own)) {
		l->here++;
	} else if (!l->elsewhere++) {
		memcpy(l->name, name, sizeof(l->name));
		memcpy(l->other, id, sizeof(l->other));
	}
	return 0;
}

enum finding doctor_leases(struct doctor *d)
{
	struct leases l = {.here = 0};

	if (!read_id(AT_FDCWD, MACHINE_ID, l.own))
		return doctor_say(d, WARN,
				  "there is no " MACHINE_ID ": leases on a store that "
				  "machines share do not tell them apart; "
				  "`systemd-machine-id-setup`");
	if (access(d->store, R_OK | X_OK))
		return doctor_say(d, SKIPPED, "no store");
	(void)each_folder(d->store, count_lease, &l);
	if (l.elsewhere)
		return doctor_say(
			d, WARN,
			"%u vTPM%s of this store leased by other machines, as %s by %s: "
			"stop them there, or, when that machine is gone for "
			"good, empty the file lock in the folder",
			l.elsewhere, l.elsewhere == 1 ? " is" : "s are", l.name, l.other);
	return doctor_say(d, FINE, "%u lease%s of this machine, and of no other", l.here,
			  l.here == 1 ? "" : "s");
}

/* The machine: Xen, its devices, the clock, vtpmd and its vTPMs. */

#define BORN 1704067200 /* 2024-01-01: no clock that is right is before */

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
	return doctor_say(d, FINE, "vtpmd answers, %zu vTPM%s, none has failed",
			  json_array_size(vtpms), json_array_size(vtpms) == 1 ? "" : "s");
}

enum finding doctor_vtpmd(struct doctor *d)
{
	char text[CLIENT_TEXT];
	enum finding f;
	json_t *reply;

	if (doctor_ask(d, client_request("list", NULL), &reply, text))
		return doctor_say(d, BAD, "%s", text);
	f = judge_vtpms(d, json_object_get(reply, "vtpms"));
	json_decref(reply);
	return f;
}

enum finding doctor_xendomains(struct doctor *d)
{
	FILE *f = fopen(d->xendomains, "re");
	char folder[256];

	if (!f)
		return doctor_say(d, SKIPPED, "there is no %s", d->xendomains);
	autostart_setting(f, "XENDOMAINS_SAVE", folder);
	autostart_setting(f, "XENDOMAINS_AUTO", d->autostart);
	fclose(f);
	if (folder[0])
		return doctor_say(
			d, WARN,
			"guests are saved in %s when the host goes down, and what "
			"their TPMs had measured is lost when they are restored (an "
			"HVM guest's TPM fails until it reboots): "
			"XENDOMAINS_SAVE= in %s has them shut down",
			folder, d->xendomains);
	return doctor_say(d, FINE, "guests are shut down before the host, not saved");
}

/* Uses d->autostart, of the check before. */
enum finding doctor_autostart(struct doctor *d)
{
	char text[CLIENT_TEXT];
	struct autostart a;
	json_t *reply;

	if (!d->autostart[0])
		return doctor_say(d, SKIPPED, "xendomains starts no guests");
	if (doctor_ask(d, client_request("list", NULL), &reply, text))
		return doctor_say(d, SKIPPED, "vtpmd does not answer");
	autostart_read(d->autostart, json_object_get(reply, "vtpms"), &a);
	json_decref(reply);
	if (!a.refused)
		return doctor_say(d, FINE,
				  "%u guest%s in %s, none with a vTPM that serves "
				  "measured guests only",
				  a.files, a.files == 1 ? "" : "s", d->autostart);
	return doctor_say(
		d, BAD,
		"xendomains starts %u of %u guests in %s by `xl create`, which "
		"their vTPMs refuse, as they serve measured guests only: %s; move "
		"each to /etc/xen/NAME.cfg (or remove the link) and `systemctl enable "
		"xen-vtpm-guest@NAME`, as xen-vtpm-guest@%s",
		a.refused, a.files, d->autostart, a.names, a.first);
}

enum finding doctor_auto(struct doctor *d)
{
	struct autostart_units u;

	autostart_units(d->automatic, &u);
	if (u.bad)
		return doctor_say(
			d, BAD,
			"%u of %u files in %s do%s not start with the host, as %s: "
			"give it a name of A-Z a-z 0-9 : _ . -, with .cfg behind "
			"it, and `systemctl daemon-reload`",
			u.bad, u.bad + u.files, d->automatic, u.bad == 1 ? "es" : "",
			u.first);
	if (!u.files)
		return doctor_say(d, SKIPPED, "no guest in %s", d->automatic);
	return doctor_say(d, FINE, "%u guest%s of %s start%s with the host", u.files,
			  u.files == 1 ? "" : "s", d->automatic, u.files == 1 ? "s" : "");
}
