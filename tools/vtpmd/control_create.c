/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/control_create.h"
#include "tools/vtpmd/control_answer.h"
#include "tools/vtpmd/control_settle.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *request, const char *key, const char *fallback)
{
	const json_t *value = json_object_get(request, key);

	return value ? json_string_value(value) : fallback;
}

static void create(struct control *c, const struct registry_new *n)
{
	struct error e = {.cause = CAUSE_NONE};
	char text[META_NAME_MAX + 16];
	struct vtpm *v;
	int rc = registry_create(c->d, n, &v, &e);

	if (rc) {
		control_answer_refuse(c, rc, &e);
		return;
	}
	if (n->copy_of) {
		snprintf(text, sizeof(text), "copied to %s", n->name);
		vtpm_audit(n->copy_of, "clone", text);
	}
	c->what = CREATE;
	control_settle(c, v);
}

/* A mask of at least the bits of `least`; what is not there stays as it is. */
static int take_mask(const json_t *value, unsigned int least, unsigned int all,
		     uint8_t *mask)
{
	json_int_t got = json_integer_value(value);

	if (!value)
		return 0;
	if (!json_is_integer(value) || got <= 0 || got > all || (got & least) != least)
		return -EINVAL;
	*mask = (uint8_t)got;
	return 0;
}

void control_create(struct control *c, struct vtpm *v, const json_t *request)
{
	const json_t *memory = json_object_get(request, "memory");
	const char *policy = text_of(request, "policy", "host");
	const char *version = text_of(request, "tpm", "2.0");
	const char *placement =
		text_of(request, "placement", c->d->processes ? "process" : "stubdom");
	struct registry_new n = {.name = c->name,
				 .policy = policy,
				 .memory = 8,
				 .localities = META_LOCALITIES};

	if (!policy || !placement ||
	    (strcmp(placement, "process") && strcmp(placement, "stubdom")) || !version ||
	    meta_version_parse(version, &n.tpm12) ||
	    take_mask(json_object_get(request, "localities"), META_LOCALITIES, 31,
		      &n.localities) ||
	    take_mask(json_object_get(request, "pcr_banks"), 0, 15, &n.pcr_banks)) {
		control_answer_malformed(c);
		return;
	}
	if (memory)
		n.memory = json_integer_value(memory) < 8 ||
					   json_integer_value(memory) > 4096
				   ? 0
				   : (unsigned int)json_integer_value(memory);
	n.process = !strcmp(placement, "process");
	n.measured = json_is_true(json_object_get(request, "measured"));
	create(c, &n);
}

void control_clone(struct control *c, struct vtpm *source, const json_t *request)
{
	const char *to = text_of(request, "to", NULL);
	const char *identity = text_of(request, "identity", NULL);
	struct error e = {.cause = CAUSE_NONE};
	struct registry_new n;
	int rc;

	if (!to || !identity || (strcmp(identity, "new") && strcmp(identity, "copy"))) {
		control_answer_malformed(c);
		return;
	}
	/* what would not start here is not what a new one is to be */
	rc = vtpm_check(source, &e);
	if (rc) {
		control_answer_refuse(c, rc, &e);
		return;
	}
	n = (struct registry_new){
		.name = to,
		.policy = source->meta.policy,
		.memory = source->meta.memory,
		.process = source->meta.process,
		.localities = source->meta.localities,
		.tpm12 = source->meta.tpm12,
		.pcr_banks = source->meta.pcr_banks,
		.measured = source->meta.measured,
	};
	if (!strcmp(identity, "copy")) {
		if (source->meta.creating) {
			control_answer_word(
				c, "busy",
				"The vTPM is just being made: wait until it runs.");
			return;
		}
		n.copy_of = source;
	}
	create(c, &n);
}
