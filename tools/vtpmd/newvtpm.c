/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/newvtpm.h"
#include "tools/vtpmd/bind.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

static const char *new_text(const json_t *request, const char *key, const char *fallback)
{
	const json_t *value = json_object_get(request, key);

	return value ? json_string_value(value) : fallback;
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

/* One of two words; what is not there stays as it is. */
static int take_either(const json_t *value, const char *no, const char *yes, bool *out)
{
	const char *text = json_string_value(value);

	if (!value)
		return 0;
	if (!text || (strcmp(text, no) && strcmp(text, yes)))
		return -EINVAL;
	*out = !strcmp(text, yes);
	return 0;
}

int newvtpm_ppi(const json_t *value, bool *denied)
{
	return take_either(value, META_PPI_ALLOW, META_PPI_DENY, denied);
}

int newvtpm_bind(const json_t *value, bool *by_name)
{
	return take_either(value, BIND_UUID, BIND_NAME, by_name);
}

static int take_uuid(const json_t *value, struct registry_new *n)
{
	const char *text = json_string_value(value);

	n->has_uuid = value != NULL;
	return value && (!text || uuid_parse(text, n->uuid) || uuid_is_null(n->uuid))
		       ? -EINVAL
		       : 0;
}

static int take_source(const json_t *value, struct registry_new *n)
{
	n->source = json_string_value(value);
	return value && (!n->source || json_string_length(value) > 2 * CHANNEL_SOURCE_MAX)
		       ? -EINVAL
		       : 0;
}

/* Of a request that names none; "host" on a host that is not set up, which is told later. */
static const char *policy_here(struct vtpmd *d)
{
	const char *policy = "host";
	struct config *config;

	if (config_get(&d->host, d->config, &config, NULL))
		return policy;
	policy = config_policy(config);
	config_put(config);
	return policy;
}

int newvtpm_parse(struct vtpmd *d, const json_t *request, struct registry_new *n)
{
	const json_t *memory = json_object_get(request, "memory");
	const char *version = new_text(request, "tpm", "2.0");
	const char *placement =
		new_text(request, "placement", d->processes ? "process" : "stubdom");

	*n = (struct registry_new){.policy = new_text(request, "policy", policy_here(d)),
				   .memory = 8,
				   .localities = META_LOCALITIES};
	if (!n->policy || !placement ||
	    (strcmp(placement, "process") && strcmp(placement, "stubdom")) || !version ||
	    meta_version_parse(version, &n->tpm12) ||
	    take_mask(json_object_get(request, "localities"), META_LOCALITIES, 31,
		      &n->localities) ||
	    take_mask(json_object_get(request, "pcr_banks"), 0, 15, &n->pcr_banks) ||
	    newvtpm_ppi(json_object_get(request, "ppi"), &n->ppi_denied) ||
	    take_uuid(json_object_get(request, "uuid"), n))
		return -EINVAL;
	n->process = !strcmp(placement, "process");
	/* several processes are in domain 0; and who chose a uuid wants it asked for */
	n->by_name = !n->process && !n->has_uuid;
	if (newvtpm_bind(json_object_get(request, "bind"), &n->by_name))
		return -EINVAL;
	if (memory)
		n->memory = json_integer_value(memory) < META_MEMORY_MIN ||
					    json_integer_value(memory) > META_MEMORY_MAX
				    ? 0
				    : (unsigned int)json_integer_value(memory);
	n->measured = json_is_true(json_object_get(request, "measured"));
	return take_source(json_object_get(request, "source"), n);
}

static void __attribute__((format(printf, 2, 3)))
differ(struct error *e, const char *format, ...)
{
	size_t n = strlen(e->text);
	va_list args;

	if (n) {
		snprintf(e->text + n, sizeof(e->text) - n, ", ");
		n = strlen(e->text);
	}
	va_start(args, format);
	vsnprintf(e->text + n, sizeof(e->text) - n, format, args);
	va_end(args);
}

static void differ_word(struct error *e, const char *key, const char *is,
			const char *asked)
{
	if (strcmp(is, asked))
		differ(e, "%s is %s, not %s", key, is, asked);
}

static void differ_number(struct error *e, const char *key, unsigned int is,
			  unsigned int asked)
{
	if (is != asked)
		differ(e, "%s is %u, not %u", key, is, asked);
}

static const char *placement_word(bool process)
{
	return process ? "process" : "stubdom";
}

static const char *measured_word(bool measured)
{
	return measured ? "measured" : "all";
}

/* In a pool a vTPM of the one is made with a slot of the other. */
static bool is_policy(const char *is, const char *asked)
{
	return !strcmp(is, asked) || (!strcmp(is, "pool") && !strcmp(asked, "host")) ||
	       (!strcmp(is, "pool-get") && !strcmp(asked, "host-get"));
}

/* What the header says, and so stays. */
static void compare_fixed(const struct meta *m, const struct registry_new *n,
			  struct error *e)
{
	if (!is_policy(m->policy, n->policy))
		differ_word(e, "policy", m->policy, n->policy);
	differ_number(e, "memory", m->memory, n->memory);
	differ_word(e, "placement", placement_word(m->process),
		    placement_word(n->process));
	differ_word(e, "tpm", m->tpm12 ? "1.2" : "2.0", n->tpm12 ? "1.2" : "2.0");
	if (m->localities != n->localities)
		differ(e, "localities differ");
	if (m->pcr_banks != n->pcr_banks)
		differ(e, "PCR banks differ");
	differ_word(e, "guests", measured_word(m->measured), measured_word(n->measured));
}

int newvtpm_compare(const struct vtpm *v, const json_t *request,
		    const struct registry_new *n, struct error *e)
{
	const struct meta *m = &v->meta;
	struct error found = {.cause = CAUSE_NONE};
	char uuid[37], asked[37];

	compare_fixed(m, n, &found);
	if (json_object_get(request, "ppi"))
		differ_word(&found, "ppi", meta_ppi(m),
			    n->ppi_denied ? META_PPI_DENY : META_PPI_ALLOW);
	if (json_object_get(request, "bind"))
		differ_word(&found, "bind", bind_word(m),
			    n->by_name ? BIND_NAME : BIND_UUID);
	if (n->has_uuid) {
		uuid_unparse_lower(m->uuid, uuid);
		uuid_unparse_lower(n->uuid, asked);
		differ_word(&found, "uuid", uuid, asked);
	}
	if (!found.text[0])
		return 0;
	return error_set(e, -EEXIST, CAUSE_STATE_EXISTS,
			 "There is a vTPM %s already, and it differs: %s. Choose another "
			 "name, ask for what is there, or `vtpmctl delete %s` first.",
			 m->name, found.text, m->name);
}
