/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/control_launch.h"
#include "lib/text.h"
#include "tools/vtpmd/launch.h"
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/vtpms.h"
#include "tools/vtpmd/xen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

/* Whether a launch can be measured into it; false: it was answered. */
static bool fits(struct control *c, const struct vtpm *v)
{
	if (!v || !vtpm_is(v, VTPM_UP))
		control_answer_word(c, v ? "busy" : "no-such-vtpm",
				    "A vTPM of the guest does not run any more: see "
				    "`vtpmctl list`.");
	else if (v->meta.tpm12)
		control_answer_word(
			c, "not-configured",
			"A vTPM of the guest is a TPM 1.2, into which nothing "
			"is measured: `vtpmctl launch --unmeasured`.");
	else
		return true;
	return false;
}

/* The vTPMs that the request names, all of which run; false: it was answered. */
static bool take_vtpms(struct control *c, const json_t *request, struct launch *l,
		       struct vtpm *vtpms[LAUNCH_VTPMS_MAX])
{
	const json_t *names = json_object_get(request, "vtpms"), *name;
	const char *uuid = json_string_value(json_object_get(request, "uuid"));
	struct vtpm *v;
	size_t i;

	if (!uuid || uuid_parse(uuid, l->domain) || !json_array_size(names) ||
	    json_array_size(names) > LAUNCH_VTPMS_MAX) {
		control_answer_malformed(c);
		return false;
	}
	json_array_foreach(names, i, name)
	{
		v = json_is_string(name) ? vtpms_find(c->d, json_string_value(name))
					 : NULL;
		if (!fits(c, v))
			return false;
		vtpms[i] = v;
		memcpy(l->vtpm[i], v->meta.uuid, sizeof(l->vtpm[i]));
	}
	l->vtpms = (unsigned int)i;
	return true;
}

/* A guest that was launched before, and whose xl is there, keeps its measurements; one
 * that its xl restores has no domain yet. */
static bool is_taken(struct control *c, const struct launch *l,
		     struct vtpm *const vtpms[LAUNCH_VTPMS_MAX])
{
	const char *why;
	int domid;

	for (unsigned int i = 0; i < l->vtpms; i++)
		if (vtpm_guest_restores(vtpms[i], l->domain))
			return true;
	return launch_held(c->d->run_dir, l->domain) &&
	       (!c->d->xen ||
		xen_find(c->d->xen, l->domain, &domid, &why) != XEN_DOMAIN_GONE);
}

static void keep_op(struct control *c, struct launch *l, const char *hex)
{
	struct error e = {.cause = CAUSE_NONE};
	char name[LAUNCH_NAME_SIZE], path[512];
	uint8_t *list;
	int rc;

	launch_sweep(c->d->run_dir);
	l->len = strlen(hex) / 2;
	list = malloc(l->len + 1);
	rc = list ? hex_decode(hex, list, &l->len) : -ENOMEM;
	l->list = list;
	if (!rc)
		rc = launch_keep(c->d->run_dir, l);
	free(list);
	if (rc) {
		error_set(
			&e, rc, CAUSE_INTERNAL,
			"The measurements could not be kept in %s: %s; see its disk's space and permissions.",
			c->d->run, strerror(-rc));
		control_answer_refuse(c, rc, &e);
		return;
	}
	launch_name(l->domain, name);
	snprintf(path, sizeof(path), "%s/%s", c->d->run, name);
	control_answer_with(c, json_pack("{s:b, s:s}", "ok", 1, "lease", path));
}

void control_op_launch(struct control *c, struct vtpm *none, const json_t *request)
{
	const char *hex = json_string_value(json_object_get(request, "measurements"));
	struct vtpm *vtpms[LAUNCH_VTPMS_MAX];
	struct launch l = {.vtpms = 0};

	if (!take_vtpms(c, request, &l, vtpms))
		return;
	if (!hex)
		control_answer_malformed(c);
	else if (is_taken(c, &l, vtpms))
		control_answer_word(c, "busy",
				    "A guest with this uuid was launched and runs, or "
				    "is being restored: shut it down first, see `xl "
				    "list`.");
	else
		keep_op(c, &l, hex);
}

void control_op_launched(struct control *c, struct vtpm *none, const json_t *request)
{
	struct vtpm *vtpms[LAUNCH_VTPMS_MAX];
	struct launch l = {.vtpms = 0};

	if (!take_vtpms(c, request, &l, vtpms))
		return;
	if (!launch_held(c->d->run_dir, l.domain)) {
		control_answer_word(c, "busy",
				    "The launch's file is not locked: launch the guest "
				    "again.");
		return;
	}
	for (unsigned int i = 0; i < l.vtpms; i++)
		vtpm_guest_launched(vtpms[i], l.domain,
				    json_is_true(json_object_get(request, "restore")));
	control_answer_with(c, json_pack("{s:b}", "ok", 1));
}

void control_op_launch_failed(struct control *c, struct vtpm *none, const json_t *request)
{
	const char *text = json_string_value(json_object_get(request, "uuid"));
	uint8_t uuid[16];
	struct vtpm *v;

	if (!text || uuid_parse(text, uuid)) {
		control_answer_malformed(c);
		return;
	}
	for (v = c->d->vtpms; v; v = v->next)
		vtpm_guest_failed(v, uuid);
	control_answer_with(c, json_pack("{s:b}", "ok", 1));
}
