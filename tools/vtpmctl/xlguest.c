/* SPDX-License-Identifier: Apache-2.0 */
/* Which vTPM a guest of Xen has, and whether it can move. */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/xl.h"
#include "tools/vtpmctl/xlmigrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OUTPUT_MAX     (64 << 20) /* of xl list -l, some KiB a domain */
#define BACKEND_PREFIX "vtpm-"
#define INCOMING       "--incoming"
#define AWAY	       "--migratedaway"

/* What xl prints, a new string; NULL: it fails. */
static char *read_xl(char *const argv[], int *status)
{
	int fd = memfd_create("xl", MFD_CLOEXEC);
	char *text = NULL;
	off_t size;

	*status = fd >= 0 ? xl_run(argv, fd) : VTPMCTL_FAILED;
	size = *status ? -1 : lseek(fd, 0, SEEK_END);
	if (size >= 0 && size <= OUTPUT_MAX)
		text = calloc(1, (size_t)size + 1);
	if (text && pread(fd, text, (size_t)size, 0) != (ssize_t)size) {
		free(text);
		text = NULL;
	}
	if (fd >= 0)
		close(fd);
	return text;
}

/* Xen's xl says on one line what it can virtualise. */
static bool has_shadow(void)
{
	int status;
	char *text = read_xl((char *[]){"xl", "info", NULL}, &status);
	char *line = text ? strstr(text, "\nvirt_caps") : NULL;
	bool has;

	if (line)
		line[1 + strcspn(line + 1, "\n")] = '\0';
	/* who does not say it is tried */
	has = !line || strstr(line, " shadow");
	free(text);
	return has;
}

static json_t *describe(const char *domid)
{
	int status;
	char *text =
		read_xl((char *[]){"xl", "list", "-l", (char *)domid, NULL}, &status);
	json_t *all = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	json_t *one = json_incref(json_array_get(all, 0));

	json_decref(all);
	free(text);
	return one;
}

json_t *xlguest_config(const struct migrate *m)
{
	json_t *one = describe(m->domid);
	json_t *config = json_incref(json_object_get(one, "config"));

	json_decref(one);
	return config;
}

/* Whether a device is of that vTPM: by its backend's name, when its line had no uuid and libxl
 * made one up, or by its uuid. */
static bool device_is_of(const json_t *device, const json_t *vtpm)
{
	const char *backend = client_text(device, "backend_domname");
	const char *uuid = client_text(vtpm, "uuid");
	size_t n = strlen(BACKEND_PREFIX);

	return (uuid[0] && !strcmp(client_text(device, "uuid"), uuid)) ||
	       (!strncmp(backend, BACKEND_PREFIX, n) && backend[n] &&
		!strcmp(backend + n, client_text(vtpm, "name")));
}

/* Whether a domain has the vTPM, by what xl knows of it or by what vtpmd does. */
static bool is_used_by(const json_t *vtpm, const json_t *config, int64_t domid)
{
	const json_t *user = json_object_get(vtpm, "guest_domid"), *device;
	size_t i;

	json_array_foreach(json_object_get(config, "vtpms"), i, device)
	{
		if (device_is_of(device, vtpm))
			return true;
	}
	return json_is_integer(user) && json_integer_value(user) == domid;
}

static int refuse_guest(struct migrate *m, const char *why)
{
	fprintf(stderr, "vtpmctl: %s %s\n", m->guest, why);
	return VTPMCTL_FAILED;
}

static int check_guest(struct migrate *m, const json_t *config, const json_t *vtpms)
{
	const json_t *vtpm;
	unsigned int count = 0;
	size_t i;

	json_array_foreach(vtpms, i, vtpm)
	{
		if (!is_used_by(vtpm, config, atoll(m->domid)))
			continue;
		count++;
		snprintf(m->of_guest, sizeof(m->of_guest), "%s",
			 client_text(vtpm, "name"));
	}
	if (count > 1 || json_array_size(json_object_get(config, "vtpms")) > 1)
		return refuse_guest(m, "has more than one vTPM, and moves with one only: "
				       "shut it down, and move its vTPMs by their names");
	if (!count)
		return refuse_guest(m, "has no vTPM of this host: move it by `xl "
				       "migrate`");
	if (!strcmp(client_text(json_object_get(config, "c_info"), "type"), "pv") &&
	    !has_shadow())
		return refuse_guest(
			m,
			"is a PV guest, and this Xen cannot move one that runs: it has "
			"no shadow paging (`xl info`, virt_caps); `xl save` it, and "
			"move its vTPM and the file (docs/migration.md)");
	m->name = m->of_guest;
	return VTPMCTL_OK;
}

/* The number of the domain of that name; "": there is none, or no Xen. */
static void find_domain(struct migrate *m)
{
	int status;
	char *text =
		read_xl((char *[]){"xl", "domid", "--", (char *)m->name, NULL}, &status);

	snprintf(m->domid, sizeof(m->domid), "%.15s", text ? text : "");
	m->domid[strspn(m->domid, "0123456789")] = '\0';
	free(text);
}

static int64_t number_of(const json_t *one)
{
	return json_integer_value(json_object_get(one, "domid"));
}

/* Which of xl's domains has the vTPM. */
static void find_guest_of(struct migrate *m, const json_t *all, const json_t *vtpm)
{
	const json_t *one, *config;
	size_t i;

	json_array_foreach(all, i, one)
	{
		config = json_object_get(one, "config");
		if (!is_used_by(vtpm, config, number_of(one)))
			continue;
		snprintf(m->domid, sizeof(m->domid), "%lld", (long long)number_of(one));
		snprintf(m->guest, sizeof(m->guest), "%s",
			 client_text(json_object_get(config, "c_info"), "name"));
	}
}

/* *known: it could be told which there are, of which there are none where there is no xl. */
static json_t *list_known(bool *known)
{
	int status;
	char *text = read_xl((char *[]){"xl", "list", "-l", NULL}, &status);
	json_t *all = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

	*known = json_is_array(all) || status == XL_MISSING;
	free(text);
	return all;
}

static json_t *list_all(void)
{
	bool known;

	return list_known(&known);
}

/* Whether a domain of xl's has it, also one that has not asked for it yet: m->guest is that.  *known: as
 * in list_known(). */
static bool has_guest(struct migrate *m, const json_t *vtpm, bool *known)
{
	json_t *all = list_known(known);

	find_guest_of(m, all, vtpm);
	json_decref(all);
	return m->domid[0] != '\0';
}

/* A vTPM alone: not from under a guest that has it. */
static int check_alone(struct migrate *m, const json_t *vtpms)
{
	const json_t *vtpm, *user;
	bool known;
	size_t i;

	json_array_foreach(vtpms, i, vtpm)
	{
		user = json_object_get(vtpm, "guest_domid");
		if (strcmp(client_text(vtpm, "name"), m->name) != 0)
			continue;
		if (has_guest(m, vtpm, &known)) {
			fprintf(stderr,
				"vtpmctl: the guest %s has the vTPM %s: `vtpmctl migrate "
				"%s %s` moves both\n",
				m->guest, m->name, m->guest, m->host);
			return VTPMCTL_FAILED;
		}
		if (!known) {
			fprintf(stderr,
				"vtpmctl: %s is not moved: whether a guest has it is not "
				"known, as `xl list -l` does not tell it: run that, and see "
				"`systemctl status xenstored`\n",
				m->name);
			return VTPMCTL_FAILED;
		}
		if (!json_is_integer(user))
			continue;
		fprintf(stderr,
			"vtpmctl: the guest with the number %lld uses the vTPM %s: "
			"`vtpmctl migrate` takes the guest's name (`xl list`), and "
			"moves both\n",
			(long long)json_integer_value(user), m->name);
		return VTPMCTL_FAILED;
	}
	return VTPMCTL_OK;
}

int xlguest_find(struct migrate *m)
{
	json_t *reply, *one = NULL;
	const json_t *vtpms;
	int rc = client_call(m->socket, client_request("list", NULL), &reply);

	if (rc)
		return rc;
	vtpms = json_object_get(reply, "vtpms");
	find_domain(m);
	snprintf(m->guest, sizeof(m->guest), "%s", m->name);
	m->gone = m->with_guest && !m->domid[0];
	if (m->gone) {
		rc = VTPMCTL_FAILED;
	} else if (!m->domid[0]) {
		rc = check_alone(m, vtpms);
	} else {
		one = describe(m->domid);
		rc = one ? check_guest(m, json_object_get(one, "config"), vtpms)
			 : refuse_guest(m, "is a guest of which `xl list -l` tells "
					   "nothing: see whether it runs");
	}
	json_decref(one);
	json_decref(reply);
	return rc;
}

/* What vtpmd says of it, a new reference; NULL: it does not answer, which *status tells, or it has none of
 * that name. */
static json_t *ask_vtpm(const struct migrate *m, const char *name, int *status)
{
	char why[CLIENT_TEXT];
	json_t *reply, *vtpm;

	*status = client_try(m->socket, client_request("show", name), &reply, why);
	if (*status)
		return NULL;
	vtpm = json_incref(json_object_get(reply, "vtpm"));
	json_decref(reply);
	return vtpm;
}

static json_t *describe_vtpm(const struct migrate *m, const char *name)
{
	int status;

	return ask_vtpm(m, name, &status);
}

void xlguest_note_vtpm(struct migrate *m)
{
	json_decref(m->comes);
	m->comes = describe_vtpm(m, m->vtpm);
}

/* vtpmd knows a move by the vTPM's uuid, too, and has said its name. */
static json_t *describe_by_uuid(const struct migrate *m, int *status)
{
	json_t *vtpm = ask_vtpm(m, m->vtpm, status);

	if (strcasecmp(client_text(vtpm, "uuid"), m->name) != 0) {
		json_decref(vtpm);
		return NULL;
	}
	return vtpm;
}

/* A guest that is not found is not asked for at the other host: what is here of its vTPM would be erased
 * though it was started nowhere. */
static int refuse_unknown(struct migrate *m, const char *why)
{
	m->said = true;
	if (!m->quietly)
		fprintf(stderr,
			"vtpmctl: nothing is done with %s: whether a guest here has it is "
			"not known, %s; then this again\n",
			m->name, why);
	return VTPMCTL_FAILED;
}

int xlguest_of(struct migrate *m)
{
	bool known;
	int status;
	json_t *all = list_known(&known), *vtpm;

	/* one that is away is not there any more */
	vtpm = ask_vtpm(m, m->name, &status);
	if (status == VTPMCTL_NO_SUCH_VTPM)
		vtpm = describe_by_uuid(m, &status);
	if (known)
		find_guest_of(m, all, vtpm);
	json_decref(vtpm);
	json_decref(all);
	if (!known)
		return refuse_unknown(m, "as `xl list -l` does not tell it: run that, "
					 "and see `systemctl status xenstored`");
	if (status && status != VTPMCTL_NO_SUCH_VTPM)
		return refuse_unknown(m, "as vtpmd does not answer: `journalctl -u "
					 "vtpmd` says why");
	return VTPMCTL_OK;
}

static bool ends_with(const char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	return len > n && !strcmp(name + len - n, suffix);
}

/* Finds the guest that has come with the vTPM; whether it still has the name that xl gives to
 * one that may not start yet. */
static bool find_incoming(struct migrate *m)
{
	bool known = true;
	json_t *all = m->comes ? list_known(&known) : NULL;

	if (!known)
		fprintf(stderr,
			"vtpmctl: whether a guest of %s is left paused here is not known, as "
			"`xl list -l` does not tell it: see docs/migration.md, \"A guest that "
			"stays suspended\"\n",
			m->name);
	m->domid[0] = m->guest[0] = '\0';
	find_guest_of(m, all, m->comes);
	json_decref(all);
	return ends_with(m->guest, INCOMING);
}

/* Says what became of the guest, which is no guest of this process any more. */
static int end_incoming(struct migrate *m, int rc, const char *what)
{
	if (rc)
		fprintf(stderr,
			"vtpmctl: %s, which has come from another host and does not run, "
			"cannot be %s: see `xl list`, and /var/log/xen\n",
			m->guest, what);
	else
		fprintf(stderr,
			"vtpmctl: xl migrate-receive has left %s paused: it was %s\n",
			m->guest, what);
	m->domid[0] = m->guest[0] = '\0';
	return rc;
}

int xlguest_drop_incoming(struct migrate *m)
{
	if (find_incoming(m))
		return end_incoming(
			m, xl_run((char *[]){"xl", "destroy", m->domid, NULL}, -1),
			"destroyed");
	m->domid[0] = m->guest[0] = '\0';
	return VTPMCTL_OK;
}

int xlguest_start_incoming(struct migrate *m, bool *runs)
{
	char name[sizeof(m->guest)];
	int rc = VTPMCTL_OK;

	*runs = false;
	if (find_incoming(m)) {
		snprintf(name, sizeof(name), "%.*s",
			 (int)(strlen(m->guest) - strlen(INCOMING)), m->guest);
		rc = xl_run((char *[]){"xl", "rename", m->domid, name, NULL}, -1);
	}
	if (!m->domid[0])
		return VTPMCTL_OK;
	if (!rc)
		rc = xl_run((char *[]){"xl", "unpause", m->domid, NULL}, -1);
	/* xl's status does not say whether it was */
	*runs = !rc && xlruns(m);
	if (!*runs)
		rc = VTPMCTL_XL;
	return end_incoming(m, rc, "started");
}

/* Whether a domain has one of them; those that come or have gone are no guests of this host. */
static bool is_guest(const json_t *one, const json_t *vtpms)
{
	const json_t *config = json_object_get(one, "config"), *vtpm;
	const char *name = client_text(json_object_get(config, "c_info"), "name");
	size_t i;

	if (!name[0] || ends_with(name, INCOMING) || ends_with(name, AWAY))
		return false;
	json_array_foreach(vtpms, i, vtpm)
	{
		if (is_used_by(vtpm, config, number_of(one)))
			return true;
	}
	return false;
}

static bool has_user(const json_t *vtpm, const json_t *domains)
{
	const json_t *one;
	size_t i;

	json_array_foreach(domains, i, one)
	{
		if (is_used_by(vtpm, json_object_get(one, "config"), number_of(one)))
			return true;
	}
	return json_is_integer(json_object_get(vtpm, "guest_domid"));
}

json_t *xlguest_unused(const struct migrate *m)
{
	json_t *domains = list_all(), *unused = json_array(), *reply, *vtpm;
	char why[CLIENT_TEXT];
	size_t i;

	if (!client_try(m->socket, client_request("list", NULL), &reply, why)) {
		json_array_foreach(json_object_get(reply, "vtpms"), i, vtpm)
		{
			/* another host's, or on its way */
			if (!client_text(vtpm, "in_use_on")[0] &&
			    !json_is_object(json_object_get(vtpm, "handover")) &&
			    !has_user(vtpm, domains))
				json_array_append(unused, vtpm);
		}
		json_decref(reply);
	}
	json_decref(domains);
	return unused;
}

json_t *xlguest_all(const struct migrate *m)
{
	json_t *all = list_all(), *names = json_array(), *reply, *one;
	const json_t *config;
	size_t i;

	if (!json_is_array(all)) {
		fprintf(stderr,
			"vtpmctl: `xl list -l` does not tell the guests: run it, and see "
			"`systemctl status xenstored`\n");
	} else if (!client_call(m->socket, client_request("list", NULL), &reply)) {
		json_array_foreach(all, i, one)
		{
			config = json_object_get(one, "config");
			if (is_guest(one, json_object_get(reply, "vtpms")))
				json_array_append(
					names,
					json_object_get(json_object_get(config, "c_info"),
							"name"));
		}
		json_decref(reply);
		json_decref(all);
		return names;
	}
	json_decref(all);
	json_decref(names);
	return NULL;
}
