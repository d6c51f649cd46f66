/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmline.h"
#include "lib/uuidtext.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BACKEND_PREFIX "vtpm-"

/* One "backend=...,uuid=..." of the file. */
struct vtpmline {
	char backend[64], uuid[37];
};

static bool take_vtpmline(struct vtpmline *l, const char *key, const char *value)
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
static bool parse_vtpmline(const char *text, struct vtpmline *l)
{
	char *copy = strdup(text), *rest = copy, *part, *value;
	bool ok = copy != NULL;

	memset(l, 0, sizeof(*l));
	while (ok && (part = strsep(&rest, ","))) {
		part += strspn(part, " \t");
		value = strchr(part, '=');
		if (value)
			*value++ = '\0';
		ok = value && take_vtpmline(l, part, value);
	}
	free(copy);
	return ok && l->backend[0];
}

/* The vTPM of the line's uuid, or without one of its backend's name; NULL: none.  *named:
 * whether the backend, as far as it has a name, is that vTPM's. */
static const json_t *match_vtpmline(const json_t *vtpms, const struct vtpmline *l,
				    bool *named)
{
	const char *prefix = BACKEND_PREFIX, *name = NULL;
	const json_t *vtpm;
	size_t i;

	if (!strncmp(l->backend, prefix, strlen(prefix)))
		name = l->backend + strlen(prefix);
	json_array_foreach(vtpms, i, vtpm)
	{
		bool has_name = name && !strcmp(client_text(vtpm, "name"), name);

		*named = !name || has_name;
		if (l->uuid[0] ? !strcasecmp(client_text(vtpm, "uuid"), l->uuid)
			       : has_name)
			return vtpm;
	}
	return NULL;
}

/* The vTPM that a line names; NULL: none, and an error was printed. */
static const json_t *find_vtpmline(const json_t *vtpms, const struct vtpmline *l,
				   const char *file)
{
	bool named;
	const json_t *vtpm = match_vtpmline(vtpms, l, &named);

	if (vtpm && named)
		return vtpm;
	if (!l->uuid[0])
		fprintf(stderr,
			"vtpmctl: the vtpm line in %s has no uuid, and its backend %s is no "
			"vTPM's of this host: `vtpmctl list` has their names, `vtpmctl show "
			"NAME` the line\n",
			file, l->backend);
	else if (vtpm)
		fprintf(stderr,
			"vtpmctl: %s names backend %s, but uuid %s is the vTPM %s: correct "
			"one of the two\n",
			file, l->backend, l->uuid, client_text(vtpm, "name"));
	else
		fprintf(stderr,
			"vtpmctl: %s asks for the vTPM with backend %s and uuid %s, which is "
			"not on this host: `vtpmctl list` has their names, `vtpmctl show "
			"NAME` the line\n",
			file, l->backend, l->uuid);
	return NULL;
}

const json_t *vtpmline_match(const json_t *vtpms, const char *text)
{
	struct vtpmline line;
	bool named;

	return text && parse_vtpmline(text, &line) ? match_vtpmline(vtpms, &line, &named)
						   : NULL;
}

bool vtpmline_is_for_measured(const json_t *vtpm)
{
	return !strncmp(client_text(vtpm, "guests"), "measured", 8);
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

/* Whether this guest, started like this, can have this vTPM at all. */
static int check_kind(const struct vtpmline_guest *g, const json_t *vtpm)
{
	const char *name = client_text(vtpm, "name"), *tpm = client_text(vtpm, "tpm");
	const char *guests = client_text(vtpm, "guests");

	if (g->is_hvm && strcmp(tpm, "2.0"))
		fprintf(stderr,
			"vtpmctl: %s is an HVM guest, whose TPM is a TPM 2.0, and the vTPM %s "
			"is a TPM %s: create one with --tpm 2.0\n",
			g->file, name, tpm);
	else if (g->how == VTPMLINE_MEASURED && strcmp(tpm, "2.0")) {
		fprintf(stderr,
			"vtpmctl: the vTPM %s is a TPM %s, into which nothing is measured: "
			"`vtpmctl launch --unmeasured %s`\n",
			name, tpm, g->file);
		return VTPMCTL_NOT_CONFIGURED;
	} else if (g->how == VTPMLINE_UNMEASURED && !strcmp(guests, "measured"))
		fprintf(stderr,
			"vtpmctl: the vTPM %s was made to serve measured guests only: launch "
			"the guest without --unmeasured, or give it another vTPM\n",
			name);
	else if (g->how == VTPMLINE_UNMEASURED && !strncmp(guests, "measured,", 9))
		fprintf(stderr,
			"vtpmctl: the vTPM %s serves measured guests only, until it is "
			"stopped: `vtpmctl stop %s` first\n",
			name, name);
	else if (g->how == VTPMLINE_XL && vtpmline_is_for_measured(vtpm))
		fprintf(stderr,
			"vtpmctl: the vTPM %s serves measured guests only, which `xl create` "
			"does not make: `vtpmctl launch %s`, or give the guest another vTPM\n",
			name, g->file);
	else
		return VTPMCTL_OK;
	return VTPMCTL_FAILED;
}

/* What would make xl fail, or the guest go without its TPM, is said before anything is
 * changed. */
static int check_vtpmline(const struct vtpmline_guest *g, const json_t *vtpm,
			  const struct vtpmline *line)
{
	const char *name = client_text(vtpm, "name"), *state = client_text(vtpm, "state");
	const char *domain = json_string_value(json_object_get(vtpm, "domain"));
	const json_t *guest = json_object_get(vtpm, "guest_domid");
	int status;

	if (!line->uuid[0] && strcmp(client_text(vtpm, "bind"), "name"))
		fprintf(stderr,
			"vtpmctl: the vtpm line in %s has no uuid, and the vTPM %s is bound "
			"to its own: write \"backend=%s,uuid=%s\", or `vtpmctl set %s "
			"--bind name`\n",
			g->file, name, line->backend, client_text(vtpm, "uuid"), name);
	else if (!is_backend(vtpm, line->backend))
		fprintf(stderr,
			"vtpmctl: %s names backend %s, but the vTPM %s is in %s: write "
			"\"backend=%s,uuid=%s\"\n",
			g->file, line->backend, name, domain ? domain : "domain 0",
			domain ? domain : "0", client_text(vtpm, "uuid"));
	else if (json_is_integer(guest))
		fprintf(stderr,
			"vtpmctl: domain %lld uses the vTPM %s: shut it down first, or "
			"give each guest its own\n",
			(long long)json_integer_value(guest), name);
	else if ((status = check_kind(g, vtpm)))
		return status;
	else if (!strcmp(state, "stopping"))
		fprintf(stderr, "vtpmctl: the vTPM %s is being stopped: try again\n",
			name);
	else if (g->how == VTPMLINE_XL && strcmp(state, "running"))
		fprintf(stderr, "vtpmctl: the vTPM %s is %s: `vtpmctl start %s` first\n",
			name, state, name);
	else
		return VTPMCTL_OK;
	return VTPMCTL_FAILED;
}

int vtpmline_check(const struct vtpmline_guest *g, const json_t *vtpms, const char *text,
		   const json_t **vtpm)
{
	uint8_t uuid[UUIDTEXT_SIZE];
	struct vtpmline line;

	if (!text || !parse_vtpmline(text, &line)) {
		fprintf(stderr,
			"vtpmctl: \"%s\" in %s is no vTPM: write "
			"\"backend=vtpm-NAME,uuid=UUID\"\n",
			text ? text : "", g->file);
		return VTPMCTL_FAILED;
	}
	if (line.uuid[0] && uuidtext_parse(line.uuid, uuid)) {
		fprintf(stderr,
			"vtpmctl: uuid %s of the vtpm line in %s is none: `vtpmctl show NAME` "
			"has the line\n",
			line.uuid, g->file);
		return VTPMCTL_FAILED;
	}
	*vtpm = find_vtpmline(vtpms, &line, g->file);
	return *vtpm ? check_vtpmline(g, *vtpm, &line) : VTPMCTL_NO_SUCH_VTPM;
}

int vtpmline_list(const struct vtpmline_guest *g, const struct guestfile *c,
		  XLU_ConfigList **lines, int *n, json_t **reply)
{
	bool has_lines;

	*n = 0;
	*reply = NULL;
	has_lines = !xlu_cfg_get_list(c->cfg, "vtpm", lines, n, 1) && *n;
	if (has_lines && *n > 1 && guestfile_is_hvm(c))
		fprintf(stderr,
			"vtpmctl: %s is an HVM guest, which has one TPM, and names %d: leave "
			"the other ones out\n",
			g->file, *n);
	else if (has_lines)
		return client_call(g->socket, client_request("list", NULL), reply);
	else
		fprintf(stderr,
			"vtpmctl: %s has no vtpm=[...]: add vtpm=[\"backend=vtpm-NAME,"
			"uuid=UUID\"], or use `xl create`\n",
			g->file);
	return VTPMCTL_FAILED;
}

char *vtpmline_text(const json_t *vtpm)
{
	const char *domain = json_string_value(json_object_get(vtpm, "domain"));
	char *text;

	/* without a domain of its own it is a process of domain 0 */
	if (asprintf(&text, "vtpm=[\"backend=%s,uuid=%s\"]", domain ? domain : "0",
		     client_text(vtpm, "uuid")) < 0)
		return NULL;
	return text;
}

void vtpmline_print(const char *socket, const char *name)
{
	char why[CLIENT_TEXT], *text = NULL;
	json_t *reply = NULL;

	if (!client_try(socket, client_request("show", name), &reply, why))
		text = vtpmline_text(json_object_get(reply, "vtpm"));
	if (text)
		fprintf(stderr, "for the guest's file: %s\n", text);
	free(text);
	json_decref(reply);
}
