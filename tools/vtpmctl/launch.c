/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xl create with the guest's vTPMs started first, and with what the guest boots measured
 * into them.  What that is is read from the guest's own file, by xl's parser, once.
 */
#include "tools/vtpmctl/vtpmctl.h"
#include "include/compiler.h"
#include "lib/text.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/firmware.h"
#include "tools/vtpmctl/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <libxlutil.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uuid/uuid.h>

struct launch_config {
	XLU_Config *cfg;
	char *text; /* of the file; after launch_config_finish() the one for xl */
	size_t len;
	/* of launch_config_measurable() */
	const char *kernel, *ramdisk; /* ramdisk NULL: none */
	char *cmdline;		      /* "": none */
	char uuid[37];		      /* of the guest's domain */
	bool own_uuid;		      /* made here: the file has none */
	struct firmware firmware;     /* of an HVM guest, which has no kernel */
	/* The lines that are added to the text: what was measured is what xl gets. */
	struct {
		const char *key;
		char value[40];
	} line[FIRMWARE_KINDS + 2];
	size_t lines;
};

static void launch_config_free(struct launch_config *c);

/* Lines with which something else is booted than kernel= and ramdisk=, or something
 * more: each names another program that would have to be measured. */
static const char *const others[] = {
	"bootloader",	      "firmware",      "firmware_override",
	"pvshim_path",	      "loader",	       "device_tree",
	"bios_path_override", "acpi_firmware", "smbios_firmware",
};

/* An exit status; a sentence was printed when it is not 0. */
static int launch_config_read(const char *file, struct launch_config *c)
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
		"a pv or pvh guest, or type=\"hvm\", or `vtpmctl launch --unmeasured`\n",
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

static bool is_hvm(const struct launch_config *c)
{
	const char *type = text_of(c, "type"), *builder = text_of(c, "builder");

	return !strcmp(type ? type : builder ? builder : "pv", "hvm");
}

/* Whether all that the guest boots can be measured; else a sentence was printed. */
static bool launch_config_measurable(struct launch_config *c, const char *file)
{
	const char *shim = text_of(c, "pvshim");

	if (is_hvm(c))
		return firmware_find(&c->firmware, c->cfg, file) && take_uuid(c, file);
	if (!boots_a_kernel(c))
		return refuse(file, "is for a guest of another type", "");
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

static bool launch_config_check(const struct launch_config *c)
{
	XLU_Config *again = xlu_cfg_init(stderr, "the launch's file");
	bool good = again && !xlu_cfg_readdata(again, c->text, (int)c->len);

	for (size_t i = 0; good && i < c->lines; i++)
		good = reads(again, c->line[i].key, c->line[i].value);
	if (again)
		xlu_cfg_destroy(again);
	return good;
}

static void add_line(struct launch_config *c, const char *key, const char *value)
{
	c->line[c->lines].key = key;
	snprintf(c->line[c->lines++].value, sizeof(c->line[0].value), "%s", value);
}

/* xl opens the copy by its descriptor. */
static void add_image(struct launch_config *c, const char *key,
		      const struct launch_image *i)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", i->fd);
	add_line(c, key, path);
}

/* The last of several lines counts for xl.  -EINVAL: it would not read these; -ENOMEM */
static int launch_config_finish(struct launch_config *c)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, &c->len);

	if (c->own_uuid)
		add_line(c, "uuid", c->uuid);
	if (!f)
		return -ENOMEM;
	fprintf(f, "%s\n", c->text);
	for (size_t i = 0; i < c->lines; i++)
		fprintf(f, "%s = \"%s\"\n", c->line[i].key, c->line[i].value);
	if (fclose(f)) {
		free(text);
		return -ENOMEM;
	}
	free(c->text);
	c->text = text;
	return launch_config_check(c) ? 0 : -EINVAL;
}

static void launch_config_free(struct launch_config *c)
{
	if (c->cfg)
		xlu_cfg_destroy(c->cfg);
	free(c->text);
	free(c->cmdline);
	memset(c, 0, sizeof(*c));
}

#define BACKEND_PREFIX "vtpm-"
#define VTPMS_MAX      8

static int lease_fd = -1; /* of vtpmd's file, locked */

struct launch {
	const char *file;
	const char *socket;
	const char *restore; /* what xl save wrote; NULL: the guest boots */
	bool dry_run;
	bool unmeasured;
	json_t *vtpms; /* their names */
};

static const struct args_option options[] = {
	OPTION_FLAG("dry-run", struct launch, dry_run,
		    "say what would be done, and do nothing"),
	OPTION_FLAG("unmeasured", struct launch, unmeasured,
		    "measure nothing: its PCRs start with zeroes"),
	OPTION_TEXT("restore", struct launch, restore, "SAVED",
		    "the guest that `xl save` wrote, with its PCRs"),
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

/* One "backend=...,uuid=..." of the file. */
struct line {
	char backend[64], uuid[37];
};

static bool take_launch(struct line *l, const char *key, const char *value)
{
	if (!strcmp(key, "backend") && strlen(value) < sizeof(l->backend))
		strcpy(l->backend, value);
	else if (!strcmp(key, "uuid") && strlen(value) < sizeof(l->uuid))
		strcpy(l->uuid, value);
	else
		return false;
	return true;
}

/* As xl reads it: key=value, commas between them, spaces around a key do not count. */
static bool parse_line(const char *text, struct line *l)
{
	char *copy = strdup(text), *rest = copy, *part, *value;
	bool ok = copy != NULL;

	memset(l, 0, sizeof(*l));
	while (ok && (part = strsep(&rest, ","))) {
		part += strspn(part, " \t");
		value = strchr(part, '=');
		if (value)
			*value++ = '\0';
		ok = value && take_launch(l, part, value);
	}
	free(copy);
	return ok && l->backend[0];
}

/* The vTPM that a line names; NULL: none, and an error was printed. */
static const json_t *find_launch(const json_t *vtpms, const struct line *l,
				 const char *file)
{
	const char *prefix = BACKEND_PREFIX, *name = NULL;
	const json_t *vtpm;
	size_t i;

	if (!strncmp(l->backend, prefix, strlen(prefix)))
		name = l->backend + strlen(prefix);
	json_array_foreach(vtpms, i, vtpm)
	{
		const char *its = json_string_value(json_object_get(vtpm, "name"));
		const char *uuid = json_string_value(json_object_get(vtpm, "uuid"));
		bool named = name && its && !strcmp(its, name);

		if (l->uuid[0] ? uuid && !strcasecmp(uuid, l->uuid) : named) {
			if (!name || named)
				return vtpm;
			fprintf(stderr,
				"vtpmctl: %s names backend %s, but uuid %s is the vTPM "
				"%s: correct one of the two\n",
				file, l->backend, l->uuid, its);
			return NULL;
		}
	}
	fprintf(stderr,
		"vtpmctl: %s asks for the vTPM with backend %s and uuid %s, which is not "
		"on this host: see `vtpmctl list`\n",
		file, l->backend, l->uuid[0] ? l->uuid : "(none given)");
	return NULL;
}

/* xl connects the guest to the domain that the line names: it has to be the vTPM's. */
static bool is_backend(const json_t *vtpm, const char *backend)
{
	const char *domain = json_string_value(json_object_get(vtpm, "domain"));
	const json_t *domid = json_object_get(vtpm, "domid");
	char number[24];

	if (!domain) /* a process of domain 0 */
		return !strcmp(backend, "0") || !strcasecmp(backend, "Domain-0");
	snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(domid));
	return !strcmp(backend, domain) ||
	       (json_is_integer(domid) && !strcmp(backend, number));
}

/* What would make xl fail, or the guest go without its TPM, is said before anything is
 * changed. */
static int launch_check(const struct launch *l, const json_t *vtpm,
			const struct line *line)
{
	const char *name = client_text(vtpm, "name"), *state = client_text(vtpm, "state");
	const char *domain = json_string_value(json_object_get(vtpm, "domain"));
	const char *guests = client_text(vtpm, "guests");
	const json_t *guest = json_object_get(vtpm, "guest_domid");

	if (!line->uuid[0])
		fprintf(stderr,
			"vtpmctl: the vtpm line in %s has no uuid, and without it the "
			"vTPM refuses the guest: write \"backend=%s,uuid=%s\"\n",
			l->file, line->backend, client_text(vtpm, "uuid"));
	else if (!is_backend(vtpm, line->backend))
		fprintf(stderr,
			"vtpmctl: %s names backend %s, but the vTPM %s is in %s: write "
			"\"backend=%s,uuid=%s\"\n",
			l->file, line->backend, name, domain ? domain : "domain 0",
			domain ? domain : "0", line->uuid);
	else if (json_is_integer(guest))
		fprintf(stderr,
			"vtpmctl: domain %lld uses the vTPM %s: shut it down first, or "
			"give each guest its own\n",
			(long long)json_integer_value(guest), name);
	else if (l->unmeasured && !strcmp(guests, "measured"))
		fprintf(stderr,
			"vtpmctl: the vTPM %s was made to serve measured guests only: launch "
			"the guest without --unmeasured, or give it another vTPM\n",
			name);
	else if (l->unmeasured && !strncmp(guests, "measured,", 9))
		fprintf(stderr,
			"vtpmctl: the vTPM %s serves measured guests only, until it is "
			"stopped: `vtpmctl stop %s` first\n",
			name, name);
	else if (!strcmp(state, "stopping"))
		fprintf(stderr, "vtpmctl: the vTPM %s is being stopped: try again\n",
			name);
	else
		return VTPMCTL_OK;
	return VTPMCTL_FAILED;
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

/* The vTPM of one line, when the guest can have it. */
static int check_line(const struct launch *l, const json_t *vtpms, const char *text,
		      const json_t **vtpm)
{
	struct line line;

	if (!text || !parse_line(text, &line)) {
		fprintf(stderr,
			"vtpmctl: \"%s\" in %s is no vTPM: write "
			"\"backend=vtpm-NAME,uuid=UUID\"\n",
			text ? text : "", l->file);
		return VTPMCTL_FAILED;
	}
	*vtpm = find_launch(vtpms, &line, l->file);
	return *vtpm ? launch_check(l, *vtpm, &line) : VTPMCTL_NO_SUCH_VTPM;
}

static int check_boots(const struct launch *l, struct launch_config *c);

/* All lines are checked, then what the guest boots, before the first vTPM is started.  A dry
 * run tells all that is wrong. */
static int start_listed(const struct launch *l, struct launch_config *c,
			const json_t *vtpms, XLU_ConfigList *lines, int n)
{
	const json_t *vtpm[VTPMS_MAX];
	int i, status = VTPMCTL_OK;

	if (n > VTPMS_MAX) {
		fprintf(stderr, "vtpmctl: %s names %d vTPMs; %d are the most\n", l->file,
			n, VTPMS_MAX);
		return VTPMCTL_FAILED;
	}
	for (i = 0; i < n && (!status || l->dry_run); i++) {
		int rc = check_line(l, vtpms, xlu_cfg_get_listitem(lines, i), &vtpm[i]);

		status = status ? status : rc;
	}
	if (!status || l->dry_run)
		status = check_boots(l, c) && !status ? VTPMCTL_FAILED : status;
	for (i = 0; i < n && !status; i++)
		status = start(l, vtpm[i]);
	return status;
}

/* The file's lines of vTPMs, of which there are some, and all vTPMs of this host: an exit
 * status. */
static int read_lines(const struct launch *l, const struct launch_config *c,
		      XLU_ConfigList **lines, int *n, json_t **reply)
{
	bool has_lines;

	*n = 0;
	*reply = NULL;
	has_lines = !xlu_cfg_get_list(c->cfg, "vtpm", lines, n, 1) && *n;
	if (has_lines && *n > 1 && is_hvm(c))
		fprintf(stderr,
			"vtpmctl: %s is an HVM guest, which has one TPM, and names %d: leave "
			"the other ones out\n",
			l->file, *n);
	else if (has_lines)
		return client_call(l->socket, client_request("list", NULL), reply);
	else
		fprintf(stderr,
			"vtpmctl: %s has no vtpm=[...]: add vtpm=[\"backend=vtpm-NAME,"
			"uuid=UUID\"], or use `xl create`\n",
			l->file);
	return VTPMCTL_FAILED;
}

static int start_all(const struct launch *l, struct launch_config *c)
{
	XLU_ConfigList *lines;
	json_t *reply;
	int n, status = read_lines(l, c, &lines, &n, &reply);

	if (!status)
		status = start_listed(l, c, json_object_get(reply, "vtpms"), lines, n);
	json_decref(reply);
	return status;
}

/* For each vTPM: the saved guest goes on with what it left in it.  uuid: the one that
 * the launched guest has; NULL: as it was saved.  Or revoke: it does not after all. */
static int resume_all(const struct launch *l, const char *uuid, bool revoke)
{
	json_t *reply, *r, *name;
	size_t i;
	int status;

	json_array_foreach(l->vtpms, i, name)
	{
		r = json_pack("{s:s, s:O, s:b}", "op", "resume", "name", name, "revoke",
			      revoke);
		if (r && uuid)
			json_object_set_new(r, "uuid", json_string(uuid));
		status = client_call(l->socket, r, &reply);
		json_decref(reply);
		if (status)
			return status;
	}
	return VTPMCTL_OK;
}

static void be_xl(const struct launch *l, const char *file)
{
	execlp("xl", "xl", l->restore ? "restore" : "create", file, l->restore,
	       (char *)NULL);
	fprintf(stderr, "vtpmctl: xl cannot be run: %s\n", strerror(errno));
	_exit(VTPMCTL_FAILED);
}

/* xl keeps what is open here as long as it is the guest's monitor.  Signals from the
 * terminal are for it; what comes of it is its exit status. */
static int run_xl(const struct launch *l, const char *file)
{
	void (*interrupt)(int) = signal(SIGINT, SIG_IGN);
	void (*quit)(int) = signal(SIGQUIT, SIG_IGN);
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		signal(SIGINT, interrupt);
		signal(SIGQUIT, quit);
		/* vtpmctl ignores it, and xl would inherit that */
		signal(SIGPIPE, SIG_DFL);
		be_xl(l, file);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0)
		fprintf(stderr, "vtpmctl: xl cannot be run: %s\n", strerror(errno));
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : VTPMCTL_FAILED;
}

/* uuid of a measured guest, or NULL.  When xl fails, what was changed for it is put
 * back. */
static int create_guest(const struct launch *l, const char *file, const char *uuid)
{
	int status = l->restore ? resume_all(l, uuid, false) : VTPMCTL_OK;
	json_t *reply;

	if (!status)
		status = run_xl(l, file);
	if (!status)
		return VTPMCTL_OK;
	if (uuid) {
		/* from here on a late domain of this launch is not measured any more */
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

static int cannot_read(const char *path, int rc)
{
	fprintf(stderr,
		"vtpmctl: %s cannot be read into memory: %s; check the path and its "
		"permissions\n",
		path, strerror(-rc));
	return VTPMCTL_FAILED;
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

/* The lock that says that this process, or the xl that it starts, is there. */
static int hold(const char *lease)
{
	lease_fd = lease ? open(lease, O_RDONLY) : -1;
	if (lease_fd >= 0 && !flock(lease_fd, LOCK_SH | LOCK_NB))
		return VTPMCTL_OK;
	fprintf(stderr, "vtpmctl: %s of vtpmd cannot be locked: %s\n",
		lease ? lease : "the file", strerror(errno));
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

/* With the copies made, measured and named in *c: creates the guest of them. */
static int create_launch(const struct launch *l, struct launch_config *c,
			 const struct cursor *list)
{
	struct launch_image config;
	char file[32];
	int rc = launch_config_finish(c), status;

	if (!rc)
		rc = launch_image_make("vtpmctl-config", c->text, c->len, &config);
	if (rc)
		return cannot_read(l->file, rc);
	status = announce(l, c->uuid, list);
	if (status)
		return status;
	snprintf(file, sizeof(file), "/proc/self/fd/%d", config.fd);
	return create_guest(l, file, c->uuid);
}

static int cannot_measure(const struct launch *l, int rc)
{
	fprintf(stderr, "vtpmctl: %s cannot be measured: %s\n", l->file,
		rc == -E2BIG ? "its lines are too long or too many" : "OpenSSL failed");
	return VTPMCTL_FAILED;
}

/* An HVM guest: its firmware measures, and the launch records that firmware. */
static int record_and_create(const struct launch *l, struct launch_config *c,
			     struct cursor *list)
{
	struct firmware *f = &c->firmware;
	const char *path;
	int i, rc = firmware_read(f, &path);

	if (rc)
		return cannot_read(path, rc);
	rc = firmware_record(f, list);
	if (rc)
		return cannot_measure(l, rc);
	add_line(c, "bios", f->bios);
	for (i = 0; i < FIRMWARE_KINDS; i++)
		if (f->one[i].path)
			add_image(c, firmware_key[i], &f->one[i].image);
	return create_launch(l, c, list);
}

static int measure_and_create(const struct launch *l, struct launch_config *c)
{
	static uint8_t bytes[MEASURE_MAX];
	struct cursor list = cursor_writer(bytes, sizeof(bytes));
	struct launch_image kernel, ramdisk;
	struct launch_measured m = {
		.cfg = c->cfg,
		.kernel = c->kernel,
		.kernel_image = &kernel,
		.ramdisk = c->ramdisk,
		.ramdisk_image = &ramdisk,
		.cmdline = c->cmdline,
	};
	int rc;

	if (is_hvm(c))
		return record_and_create(l, c, &list);
	rc = launch_image_read(c->kernel, &kernel);
	if (rc)
		return cannot_read(c->kernel, rc);
	rc = c->ramdisk ? launch_image_read(c->ramdisk, &ramdisk) : 0;
	if (rc)
		return cannot_read(c->ramdisk, rc);
	rc = launch_measure(&m, &list);
	if (rc)
		return cannot_measure(l, rc);
	add_image(c, "kernel", &kernel);
	if (c->ramdisk)
		add_image(c, "ramdisk", &ramdisk);
	return create_launch(l, c, &list);
}

/* A dry run's last lines. */
static int say_rest(const struct launch *l)
{
	const json_t *name;
	size_t i;

	if (!l->restore) {
		printf("xl create %s\n", l->file);
	} else {
		json_array_foreach(l->vtpms, i, name)
			printf("vtpmctl resume %s\n", json_string_value(name));
		printf("xl restore %s %s\n", l->file, l->restore);
	}
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}

/* What the guest boots of is there: said before a vTPM is started for it, and by
 * --dry-run.  What boots is read once, later. */
static int check_images(const struct launch_config *c)
{
	/* an HVM guest has none, and firmware_find() looked at what it has */
	if (c->kernel && access(c->kernel, R_OK))
		return cannot_read(c->kernel, -errno);
	if (c->ramdisk && access(c->ramdisk, R_OK))
		return cannot_read(c->ramdisk, -errno);
	return VTPMCTL_OK;
}

static int check_boots(const struct launch *l, struct launch_config *c)
{
	if (l->unmeasured)
		return VTPMCTL_OK;
	return launch_config_measurable(c, l->file) ? check_images(c) : VTPMCTL_FAILED;
}

static int run_launch(const struct launch *l)
{
	struct launch_config c;
	int status;

	if (l->restore && access(l->restore, R_OK)) {
		fprintf(stderr,
			"vtpmctl: %s, which `xl save` shall have written, cannot "
			"be read: %s\n",
			l->restore, strerror(errno));
		return VTPMCTL_FAILED;
	}
	status = launch_config_read(l->file, &c);
	if (status)
		return status;
	status = start_all(l, &c);
	if (!status && l->dry_run) {
		status = say_rest(l);
	} else if (!status) {
		status = l->unmeasured ? create_guest(l, l->file, NULL)
				       : measure_and_create(l, &c);
	}
	launch_config_free(&c);
	return status;
}

/* vtpmctl check: what `xl create` would meet. */

#define SEABIOS "/usr/lib/xen-vtpm/xen-vtpm-seabios.bin" /* of `make firmware` */

static const struct args_option check_options[] = {
	CLIENT_SOCKET_OPTION(struct launch),
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
	.word_offset = offsetof(struct launch, file),
};

/* What would make xl fail with a vTPM that a line names rightly. */
static int check_ready(const struct launch *l, const struct launch_config *c,
		       const json_t *vtpm)
{
	const char *name = client_text(vtpm, "name"), *state = client_text(vtpm, "state");

	if (is_hvm(c) && strcmp(client_text(vtpm, "tpm"), "2.0"))
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

static int check_vtpms(const struct launch *l, const struct launch_config *c)
{
	XLU_ConfigList *lines;
	const json_t *vtpm;
	json_t *reply;
	int i, n, status = read_lines(l, c, &lines, &n, &reply);

	for (i = 0; i < n && !status; i++) {
		status = check_line(l, json_object_get(reply, "vtpms"),
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
static const char *measured_by(const struct launch_config *c)
{
	const char *bios = text_of(c, "bios"), *file = text_of(c, "bios_path_override");

	if (!is_hvm(c))
		return boots_a_kernel(c) && text_of(c, "kernel")
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
	struct launch l = {.socket = CLIENT_SOCKET};
	struct launch_config c;
	int status;

	args_parse_or_exit(&check_command, argc, argv, &l);
	status = launch_config_read(l.file, &c);
	if (status)
		return status;
	status = check_vtpms(&l, &c);
	if (!status)
		printf("guest: %s\nmeasured: %s\n",
		       is_hvm(&c) ? "HVM, finds it on its board, by its own drivers"
				  : "PV or PVH, finds it by the module xen-tpmfront",
		       measured_by(&c));
	launch_config_free(&c);
	return fflush(stdout) ? VTPMCTL_FAILED : status;
}

int launch_main(int argc, char **argv)
{
	struct launch l = {.socket = CLIENT_SOCKET};
	int status;

	args_parse_or_exit(&command, argc, argv, &l);
	l.vtpms = json_array();
	status = l.vtpms ? run_launch(&l) : VTPMCTL_FAILED;
	json_decref(l.vtpms);
	return status;
}
