/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xl create with the guest's vTPMs started first, and with what the guest boots measured
 * into them.  What that is is read from the guest's own file, by xl's parser, once.
 */
#include "tools/vtpmctl/vtpmctl.h"
#include "include/compiler.h"
#include "lib/text.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/boot.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/guestfile.h"
#include "tools/vtpmctl/measure.h"
#include "tools/vtpmctl/vtpmline.h"
#include "tools/vtpmctl/xl.h"
#include "tools/vtpmctl/xlboot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int lease_fd = -1; /* of vtpmd's file, locked */

struct launch {
	const char *file;
	const char *socket;
	const char *restore; /* what xl save wrote; NULL: the guest boots */
	bool dry_run;
	bool unmeasured;
	bool shutdown; /* the guest is not started, but ended */
	json_t *vtpms; /* their names */
};

static const struct args_option options[] = {
	OPTION_FLAG("dry-run", struct launch, dry_run,
		    "say what would be done and measured; do nothing"),
	OPTION_FLAG("unmeasured", struct launch, unmeasured,
		    "measure nothing: its PCRs start with zeroes"),
	OPTION_TEXT("restore", struct launch, restore, "SAVED",
		    "the guest that `xl save` wrote, with its PCRs"),
	OPTION_FLAG("shutdown", struct launch, shutdown,
		    "shut the guest down, and wait until it has gone"),
	CLIENT_SOCKET_OPTION(struct launch),
};

static const struct args_command command = {
	.usage = "launch FILE [OPTIONS]",
	.about =
		"Starts the vTPMs that a guest's xl file names, waits until they are ready,\n"
		"measures the guest's kernel, ramdisk, command line and machine into them, or of\n"
		"an HVM guest records the firmware, which measures these by itself, and has xl\n"
		"create the guest of the very bytes that were hashed.  The guest is not\n"
		"created when a vTPM does not open, or when it cannot be measured.  A guest that\n"
		"is restored goes on as it was saved; what is measured boots at its next reboot.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "FILE",
	.word_offset = offsetof(struct launch, file),
};

static struct vtpmline_guest guest_of(const struct launch *l, const struct guestfile *c)
{
	return (struct vtpmline_guest){
		.file = l->file,
		.socket = l->socket,
		.how = l->unmeasured ? VTPMLINE_UNMEASURED : VTPMLINE_MEASURED,
		.is_hvm = guestfile_is_hvm(c),
	};
}

static int start(const struct launch *l, const json_t *vtpm)
{
	const char *name = json_string_value(json_object_get(vtpm, "name"));
	const char *state = json_string_value(json_object_get(vtpm, "state"));
	json_t *reply;
	int status;

	if (!name || !state || json_array_append_new(l->vtpms, json_string(name)))
		return VTPMCTL_FAILED;
	if (!strcmp(state, "running")) {
		fprintf(stderr, "vTPM %s is running\n", name);
		return VTPMCTL_OK;
	}
	if (l->restore) {
		fprintf(stderr,
			"vtpmctl: the vTPM %s is %s, and what it held in memory for the saved "
			"guest is lost: launch the guest without --restore\n",
			name, state);
		return VTPMCTL_FAILED;
	}
	if (l->dry_run) {
		printf("vtpmctl start %s\n", name);
		return VTPMCTL_OK;
	}
	fprintf(stderr, "starting vTPM %s, which is %s\n", name, state);
	status = client_call(l->socket, client_request("start", name), &reply);
	json_decref(reply);
	return status;
}

/* What the guest boots is read, and said what is wrong with it, before a vTPM is started
 * for it. */
static int measure_boots(const struct launch *l, struct guestfile *c, struct cursor *list)
{
	struct refusals r = {.count = 0};
	bool whole;

	if (l->unmeasured)
		return VTPMCTL_OK;
	whole = boot_find(c, l->file, &r);
	/* without a part of it there is nothing to measure; a dry run reads the others */
	if (whole || l->dry_run)
		whole = boot_read(c, l->file, &r) && whole;
	if (whole)
		(void)!boot_measure(c, l->file, list, &r);
	return refusals_print(&r, l->dry_run);
}

/* All lines are checked, then what the guest boots, before the first vTPM is started.  A dry
 * run tells all that is wrong. */
static int start_listed(const struct launch *l, struct guestfile *c, const json_t *vtpms,
			XLU_ConfigList *lines, int n, struct cursor *list)
{
	struct vtpmline_guest g = guest_of(l, c);
	const json_t *vtpm[VTPMLINE_MAX];
	int i, status = VTPMCTL_OK;

	if (n > VTPMLINE_MAX) {
		fprintf(stderr,
			"vtpmctl: %s names %d vTPMs; %d are the most: leave the others out\n",
			l->file, n, VTPMLINE_MAX);
		return VTPMCTL_FAILED;
	}
	for (i = 0; i < n && (!status || l->dry_run); i++) {
		int rc = vtpmline_check(&g, vtpms, xlu_cfg_get_listitem(lines, i),
					&vtpm[i]);

		status = status ? status : rc;
	}
	if (!status || l->dry_run)
		status = measure_boots(l, c, list) && !status ? VTPMCTL_FAILED : status;
	for (i = 0; i < n && !status; i++)
		status = start(l, vtpm[i]);
	return status;
}

static int start_all(const struct launch *l, struct guestfile *c, struct cursor *list)
{
	struct vtpmline_guest g = guest_of(l, c);
	XLU_ConfigList *lines;
	json_t *reply;
	int n, status = vtpmline_list(&g, c, &lines, &n, &reply);

	if (!status)
		status = start_listed(l, c, json_object_get(reply, "vtpms"), lines, n,
				      list);
	json_decref(reply);
	return status;
}

/* The uuid that the guest had as it was saved, by the description in xl's file; NULL: the file has
 * none, or can be read once only. */
static json_t *read_saved_uuid(const char *path)
{
	static struct xlboot_stream s;
	json_t *config = NULL, *uuid;
	uint8_t bytes[4096];
	int rc = -EAGAIN;
	struct stat st;
	FILE *f;
	size_t n;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return NULL;
	f = fopen(path, "re");
	while (f && rc == -EAGAIN && (n = fread(bytes, 1, sizeof(bytes), f)))
		rc = xlboot_stream_take(&s, bytes, n, &config);
	if (f)
		fclose(f);
	uuid = json_incref(json_object_get(json_object_get(config, "c_info"), "uuid"));
	json_decref(config);
	return uuid;
}

/* For each vTPM: the saved guest goes on with what it left in it.  uuid: the one that
 * the launched guest has; NULL: as it was saved.  Or revoke: it does not after all. */
static int resume_all(const struct launch *l, const char *uuid, bool revoke)
{
	json_t *reply, *r, *name, *saved = read_saved_uuid(l->restore);
	size_t i;
	int status = VTPMCTL_OK;

	json_array_foreach(l->vtpms, i, name)
	{
		r = json_pack("{s:s, s:O, s:b}", "op", "resume", "name", name, "revoke",
			      revoke);
		if (r && uuid)
			json_object_set_new(r, "uuid", json_string(uuid));
		if (r && saved)
			json_object_set(r, "saved", saved);
		status = client_call(l->socket, r, &reply);
		json_decref(reply);
		if (status)
			break;
	}
	json_decref(saved);
	return status;
}

/* uuid of a measured guest, or NULL */
static int run_xl_create(const struct launch *l, const char *file, const char *uuid)
{
	char *const argv[] = {"xl", l->restore ? "restore" : "create", (char *)file,
			      (char *)l->restore, NULL};

	return uuid ? xl_run_held(argv) : xl_run(argv, -1);
}

/* The number of the domain of that name, as xl says it.  Returns xl's status. */
static int ask_domid(const char *name, char domid[static 16])
{
	int fd[2], status = VTPMCTL_FAILED;
	ssize_t n = 0;

	if (pipe2(fd, O_CLOEXEC))
		return status;
	status = xl_run((char *[]){"xl", "domid", "--", (char *)name, NULL}, fd[1]);
	close(fd[1]);
	if (!status)
		n = read(fd[0], domid, 15);
	close(fd[0]);
	domid[n > 0 ? n : 0] = '\0';
	domid[strspn(domid, "0123456789")] = '\0';
	return status || domid[0] ? status : VTPMCTL_FAILED;
}

enum found { DOMAIN_FOUND, DOMAIN_GONE, DOMAIN_UNKNOWN, DOMAIN_NO_XL };

/* xl takes a name of digits for a number, too, but where it is asked for the number.  It has
 * one status for a domain that is not there and for a xenstore that does not answer; then it
 * does not know domain 0 either. */
static enum found find_domid(const char *name, char domid[static 16])
{
	char own[16];
	int status = ask_domid(name, domid);

	if (!status)
		return DOMAIN_FOUND;
	if (status == XL_MISSING)
		return DOMAIN_NO_XL;
	return ask_domid("Domain-0", own) ? DOMAIN_UNKNOWN : DOMAIN_GONE;
}

#define GONE_S	     120
#define GONE_STEP_MS 200

/* xl returns when the guest has shut down, and its domain, with its memory, goes later: until
 * then it has its vTPM and its uuid, and cannot be launched again. */
static int wait_until_gone(const struct launch *l, char *name)
{
	char domid[16] = "";
	int i;

	for (i = 0; i < GONE_S * 1000 / GONE_STEP_MS; i++) {
		if (find_domid(name, domid) == DOMAIN_GONE)
			return VTPMCTL_OK;
		usleep(GONE_STEP_MS * 1000);
	}
	fprintf(stderr,
		"vtpmctl: %s has shut down, and its domain is there after %d s: see "
		"on_poweroff= in %s, and `xl destroy %s`\n",
		name, GONE_S, l->file, domid);
	return VTPMCTL_FAILED;
}

static int shut_down_domain(const struct launch *l, char *name)
{
	char domid[16];
	int status;

	switch (find_domid(name, domid)) {
	case DOMAIN_FOUND:
	case DOMAIN_NO_XL: /* which is said */
		status =
			xl_run((char *[]){"xl", "shutdown", "-F", "-w", domid, NULL}, -1);
		return status ? status : wait_until_gone(l, name);
	case DOMAIN_GONE:
		return VTPMCTL_OK;
	default:
		fprintf(stderr,
			"vtpmctl: xl does not say whether %s runs, so it was not shut down: "
			"see what `xl list` says, and `systemctl status xenstored`\n",
			name);
		return VTPMCTL_XL;
	}
}

/* Shuts the file's guest down, by an ACPI event where it has no driver of Xen's. */
static int shut_down(const struct launch *l)
{
	struct guestfile c;
	int status = guestfile_read(l->file, &c);
	char *name;

	if (status)
		return status;
	name = (char *)guestfile_text(&c, "name");
	if (!name) {
		fprintf(stderr, "vtpmctl: %s has no name=, which xl asks for: add it\n",
			l->file);
		status = VTPMCTL_FAILED;
	} else if (l->dry_run) {
		printf("xl shutdown -F -w $(xl domid -- '%s')\n", name);
	} else {
		status = shut_down_domain(l, name);
	}
	guestfile_free(&c);
	return status;
}

/* The last guest that each vTPM of l->vtpms refused, or null. */
static json_t *list_refused(const struct launch *l)
{
	json_t *refused = json_array(), *reply, *name;
	char why[CLIENT_TEXT];
	size_t i;

	json_array_foreach(l->vtpms, i, name)
	{
		json_t *vtpm = NULL;

		if (!client_try(l->socket,
				client_request("show", json_string_value(name)), &reply,
				why))
			vtpm = json_object_get(json_object_get(reply, "vtpm"),
					       "refused_guest");
		json_array_append_new(refused, vtpm ? json_incref(vtpm) : json_null());
		json_decref(reply);
	}
	return refused;
}

/* Behind xl's lines, which do not say why: what vTPMs refused since before was listed. */
static void print_refused(const struct launch *l, const json_t *before)
{
	json_t *now = list_refused(l), *one;
	size_t i;

	json_array_foreach(now, i, one)
	{
		if (json_is_string(one) && !json_equal(one, json_array_get(before, i)))
			fprintf(stderr, "vtpmctl: the vTPM %s refused %s\n",
				json_string_value(json_array_get(l->vtpms, i)),
				json_string_value(one));
	}
	json_decref(now);
}

/* `systemctl stop` of the unit while xl makes the guest: an xl that is killed in the midst
 * leaves half of one, and one that is left alone a guest that nobody asked for. */
static volatile sig_atomic_t is_ended;

static void note_end(int number)
{
	is_ended = 1;
}

/* The guest is there, and not wanted any more: shuts it down, and ends as SIGTERM ends it. */
static void end_created(const struct launch *l)
{
	fprintf(stderr,
		"vtpmctl: asked to end while xl made the guest, which is shut down "
		"now\n");
	(void)!shut_down(l);
	(void)signal(SIGTERM, SIG_DFL);
	(void)raise(SIGTERM);
}

/* As run_xl_create(); when that fails since a vTPM refused the guest, says so. */
static int run_xl_told(const struct launch *l, const char *file, const char *uuid)
{
	json_t *before = list_refused(l);
	int status;

	is_ended = 0;
	(void)signal(SIGTERM, note_end);
	status = run_xl_create(l, file, uuid);
	if (status)
		print_refused(l, before);
	json_decref(before);
	if (!status && is_ended)
		end_created(l);
	(void)signal(SIGTERM, SIG_DFL);
	return status;
}

/* uuid of a measured guest, or NULL.  When xl fails, what was changed for it is put
 * back. */
static int create_guest(const struct launch *l, const char *file, const char *uuid)
{
	int status = l->restore ? resume_all(l, uuid, false) : VTPMCTL_OK;
	json_t *reply;

	if (!status)
		status = run_xl_told(l, file, uuid);
	if (!status)
		return VTPMCTL_OK;
	if (uuid) {
		/* From here on a late domain of this launch is not measured any more, also
		 * when xl has left another one of its kind, for which the lock is held. */
		(void)!flock(lease_fd, LOCK_UN);
		close(lease_fd);
		(void)!client_call(
			l->socket,
			json_pack("{s:s, s:s}", "op", "launch-failed", "uuid", uuid),
			&reply);
		json_decref(reply);
	} else if (l->restore) {
		(void)!resume_all(l, NULL, true);
	}
	return status;
}

static json_t *request(const struct launch *l, const char *op, const char *uuid)
{
	return json_pack("{s:s, s:s, s:O, s:b}", "op", op, "uuid", uuid, "vtpms",
			 l->vtpms, "restore", l->restore != NULL);
}

/* The measurements to vtpmd; *lease: the file that has to be locked, in *reply. */
static int send_list(const struct launch *l, const char *uuid, const struct cursor *list,
		     json_t **reply)
{
	json_t *r = request(l, "launch", uuid);
	char *hex = malloc(2 * list->pos + 1);

	if (hex)
		hex_encode(list->wr, list->pos, hex);
	if (r && (!hex || json_object_set_new(r, "measurements", json_string(hex)))) {
		json_decref(r);
		r = NULL;
	}
	free(hex);
	return client_call(l->socket, r, reply);
}

/*
 * Takes the lock that says that this process, or the xl that it starts, is there.  It is held for
 * xl by xl_run_held(): what xl itself has its children have too, and a QEMU that hangs after its
 * domain's end would keep the guest's name taken.  flock(2) is of the open file, which processes
 * share by fork; a lock of fcntl(2) would be this process's alone.
 */
static int hold(const char *lease)
{
	lease_fd = lease ? xl_lease(lease) : -ENOENT;
	if (lease_fd >= 0)
		return VTPMCTL_OK;
	fprintf(stderr, "vtpmctl: %s of vtpmd cannot be locked: %s; launch again\n",
		lease ? lease : "the file", strerror(-lease_fd));
	return VTPMCTL_FAILED;
}

static int announce(const struct launch *l, const char *uuid, const struct cursor *list)
{
	json_t *reply;
	int status = send_list(l, uuid, list, &reply);

	if (status)
		return status;
	status = hold(json_string_value(json_object_get(reply, "lease")));
	json_decref(reply);
	if (status)
		return status;
	status = client_call(l->socket, request(l, "launched", uuid), &reply);
	json_decref(reply);
	return status;
}

/* Creates the guest of the images that were read and measured. */
static int create_launch(const struct launch *l, struct guestfile *c,
			 const struct cursor *list)
{
	struct launch_image config;
	char file[32];
	int rc, status;

	boot_hand(c);
	rc = guestfile_finish(c);
	if (!rc)
		rc = launch_image_make("vtpmctl-config", c->text, c->len, &config);
	if (rc) {
		fprintf(stderr,
			"vtpmctl: the file for xl, which is made of %s, cannot be written "
			"into memory: %s; see `free`\n",
			l->file, strerror(-rc));
		return VTPMCTL_FAILED;
	}
	status = announce(l, c->uuid, list);
	if (status)
		return status;
	snprintf(file, sizeof(file), "/proc/self/fd/%d", config.fd);
	return create_guest(l, file, c->uuid);
}

/* A dry run's last lines. */
static int say_rest(const struct launch *l, const struct guestfile *c,
		    const struct cursor *list)
{
	const json_t *name;
	size_t i;

	boot_print(c);
	launch_measure_print(list->wr, list->pos);
	if (!l->restore) {
		printf("xl create %s\n", l->file);
	} else {
		json_array_foreach(l->vtpms, i, name)
			printf("vtpmctl resume %s\n", json_string_value(name));
		printf("xl restore %s %s\n", l->file, l->restore);
	}
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}

static int run_launch(const struct launch *l)
{
	static uint8_t bytes[MEASURE_MAX];
	struct cursor list = cursor_writer(bytes, sizeof(bytes));
	struct guestfile c;
	int status;

	if (l->restore && access(l->restore, R_OK)) {
		fprintf(stderr,
			"vtpmctl: %s, which `xl save` shall have written, cannot "
			"be read: %s; check the path\n",
			l->restore, strerror(errno));
		return VTPMCTL_FAILED;
	}
	status = guestfile_read(l->file, &c);
	if (status)
		return status;
	status = start_all(l, &c, &list);
	if (!status && l->dry_run)
		status = say_rest(l, &c, &list);
	else if (!status)
		status = l->unmeasured ? create_guest(l, l->file, NULL)
				       : create_launch(l, &c, &list);
	guestfile_free(&c);
	return status;
}

int launch_main(int argc, char **argv)
{
	struct launch l = {.socket = CLIENT_SOCKET};
	int status;

	args_parse_or_exit(&command, argc, argv, &l);
	if (l.shutdown)
		return shut_down(&l);
	l.vtpms = json_array();
	status = l.vtpms ? run_launch(&l) : VTPMCTL_FAILED;
	json_decref(l.vtpms);
	return status;
}
