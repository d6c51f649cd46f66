/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/meta.h"
#include "lib/ppi.h"
#include "lib/slot/slot.h"
#include "lib/slot/envelope.h"
#include "lib/text.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#define FILE_MAX 65536

bool meta_name_ok(const char *name)
{
	static const char signs[] = "_.-";
	size_t i, len = strlen(name);

	if (!len || len > META_NAME_MAX)
		return false;
	for (i = 0; i < len; i++) {
		char c = name[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9'))
			continue;
		if (!i || !strchr(signs, c))
			return false;
	}
	return true;
}

uint16_t meta_policy(const char *policy)
{
	const struct slot_kind *k = slot_kind_named(policy);

	/* a new one's slot gets the form of its place from its manager */
	return k && (k->is_offered || k->is_pool) ? slot_kind_of_place(k->kind, false)
						  : 0;
}

const char *meta_version(const struct meta *m)
{
	return m->tpm12 ? "1.2" : "2.0";
}

int meta_version_parse(const char *version, bool *tpm12)
{
	*tpm12 = version && !strcmp(version, "1.2");
	return !version || *tpm12 || !strcmp(version, "2.0") ? 0 : -EINVAL;
}

static bool take_meta_text(const json_t *root, const char *key, char *out, size_t room)
{
	const char *text = json_string_value(json_object_get(root, key));

	if (!text || strlen(text) >= room)
		return false;
	text_clean(out, room, text, strlen(text));
	return true;
}

static bool take_eks(const json_t *array, struct meta *m)
{
	const json_t *item;
	size_t i;

	json_array_foreach(array, i, item)
	{
		const char *hex = json_string_value(item);
		size_t len = META_EK_MAX;

		if (i == META_EKS || !hex || hex_decode(hex, m->ek[i].bytes, &len))
			return false;
		m->ek[i].len = (uint16_t)len;
		m->eks = (unsigned int)i + 1;
	}
	return true;
}

json_t *meta_eks(const struct meta *m)
{
	char hex[2 * META_EK_MAX + 1];
	json_t *array = json_array();
	unsigned int i;

	for (i = 0; i < m->eks; i++) {
		hex_encode(m->ek[i].bytes, m->ek[i].len, hex);
		if (json_array_append_new(array, json_string(hex))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

/* One that is none is not kept: the manager makes another. */
static void take_witness(const json_t *hex, struct meta *m)
{
	size_t len = sizeof(m->ek_witness);

	m->has_witness = json_is_string(hex) &&
			 !hex_decode(json_string_value(hex), m->ek_witness, &len) &&
			 len == sizeof(m->ek_witness);
}

static int put_witness(json_t *root, const struct meta *m)
{
	char hex[2 * sizeof(m->ek_witness) + 1];

	if (!m->has_witness)
		return 0;
	hex_encode(m->ek_witness, sizeof(m->ek_witness), hex);
	return json_object_set_new(root, "ek_witness", json_string(hex)) ? -ENOMEM : 0;
}

static void take_presence(const json_t *root, struct meta_presence *p)
{
	const json_t *ppi = json_object_get(root, "ppi");

	p->denied = ppi && (!json_is_string(ppi) ||
			    strcmp(json_string_value(ppi), META_PPI_ALLOW) != 0);
	p->request = (uint32_t)json_integer_value(json_object_get(root, "ppi_request"));
	if (!ppi_is_clear(p->request))
		p->request = 0;
	p->last = (uint32_t)json_integer_value(json_object_get(root, "ppi_last"));
	p->response = (uint32_t)json_integer_value(json_object_get(root, "ppi_response"));
}

const char *meta_ppi(const struct meta *m)
{
	return m->presence.denied ? META_PPI_DENY : META_PPI_ALLOW;
}

static int take(const json_t *root, struct meta *m)
{
	char uuid[40], placement[16], state[16], bind[16] = "";
	json_int_t memory = json_integer_value(json_object_get(root, "memory"));

	if (!take_meta_text(root, "name", m->name, sizeof(m->name)) ||
	    !take_meta_text(root, "uuid", uuid, sizeof(uuid)) ||
	    !take_meta_text(root, "placement", placement, sizeof(placement)) ||
	    !take_meta_text(root, "state", state, sizeof(state)) ||
	    !take_meta_text(root, "created", m->created, sizeof(m->created)))
		return -EBADMSG;
	if (!meta_name_ok(m->name) || uuid_parse(uuid, m->uuid) ||
	    memory < META_MEMORY_MIN || memory > META_MEMORY_MAX)
		return -EBADMSG;
	strcpy(m->policy, META_NO_POLICY);
	m->localities = META_LOCALITIES;
	m->memory = (unsigned int)memory;
	m->process = !strcmp(placement, "process");
	m->creating = !strcmp(state, "creating");
	m->is_copy = json_object_get(root, "copy_of") != NULL;
	if (m->is_copy && (!take_meta_text(root, "copy_of", uuid, sizeof(uuid)) ||
			   uuid_parse(uuid, m->copy_of)))
		return -EBADMSG;
	m->imported = json_is_true(json_object_get(root, "imported"));
	if (!take_eks(json_object_get(root, "ek"), m))
		return -EBADMSG;
	take_witness(json_object_get(root, "ek_witness"), m);
	take_presence(root, &m->presence);
	/* before this could be said they were bound to their uuids */
	(void)take_meta_text(root, "bind", bind, sizeof(bind));
	m->by_name = !m->process && !strcmp(bind, "name");
	/* of an earlier version: not known */
	(void)take_meta_text(root, "sealed", m->sealed, sizeof(m->sealed));
	(void)take_meta_text(root, "keyed", m->keyed, sizeof(m->keyed));
	m->wanted = json_is_true(json_object_get(root, "wanted"));
	m->launched = json_is_true(json_object_get(root, "launched"));
	m->ending = json_is_true(json_object_get(root, "ending"));
	if (take_meta_text(root, "error", m->error.text, sizeof(m->error.text)))
		m->error.cause =
			(enum cause)json_integer_value(json_object_get(root, "cause"));
	return 0;
}

int meta_parse(const json_t *root, struct meta *m)
{
	json_t *own = json_copy((json_t *)root);
	int rc;

	memset(m, 0, sizeof(*m));
	/* what is said of a host's own affairs does not come from elsewhere */
	if (!own || json_object_set_new(own, "state", json_string("ready")))
		rc = -EBADMSG;
	else
		rc = take(own, m);
	json_decref(own);
	m->wanted = m->launched = m->ending = false;
	m->presence = (struct meta_presence){.denied = m->presence.denied};
	m->has_witness = false;
	m->sealed[0] = m->keyed[0] = 0;
	m->error = (struct error){.cause = CAUSE_NONE};
	return rc;
}

int meta_read(struct store *s, struct meta *m)
{
	uint8_t *text;
	size_t len;
	json_t *root;
	int rc;

	memset(m, 0, sizeof(*m));
	rc = s->ops->get(s, STORE_DESCRIPTION, FILE_MAX, &text, &len);
	if (rc)
		return rc;
	root = json_loadb((char *)text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	rc = root ? take(root, m) : -EBADMSG;
	json_decref(root);
	/* of an earlier version, of any host of the pool */
	if (store_is_leased(s))
		m->error = (struct error){.cause = CAUSE_NONE};
	/* a folder that was copied or renamed is not this vTPM's */
	if (!rc && memcmp(m->uuid, s->uuid, sizeof(m->uuid)))
		rc = -EBADMSG;
	return rc;
}

int meta_write(struct store *s, const struct meta *m)
{
	char uuid[37];
	json_t *root;
	char *text;
	int rc;

	uuid_unparse_lower(m->uuid, uuid);
	root = json_pack(
		"{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:o, "
		"s:s, s:I, s:I, s:I, s:s}",
		"name", m->name, "uuid", uuid, "memory", (int)m->memory, "placement",
		m->process ? "process" : "stubdom", "state",
		m->creating ? "creating" : "ready", "created", m->created, "sealed",
		m->sealed, "keyed", m->keyed, "wanted", (int)m->wanted, "ending",
		(int)m->ending, "launched", (int)m->launched, "imported",
		(int)m->imported, "ek", meta_eks(m), "ppi", meta_ppi(m), "ppi_request",
		(json_int_t)m->presence.request, "ppi_last", (json_int_t)m->presence.last,
		"ppi_response", (json_int_t)m->presence.response, "bind",
		m->by_name ? "name" : "uuid");
	if (root && m->is_copy) {
		uuid_unparse_lower(m->copy_of, uuid);
		if (json_object_set_new(root, "copy_of", json_string(uuid))) {
			json_decref(root);
			return -ENOMEM;
		}
	}
	if (root && put_witness(root, m)) {
		json_decref(root);
		return -ENOMEM;
	}
	/* a pool's other hosts read it, on which it may start */
	if (root && m->error.cause != CAUSE_NONE && !store_is_leased(s)) {
		/* what is not UTF-8 is left out, and the cause still stands */
		(void)json_object_set_new(root, "error", json_string(m->error.text));
		(void)json_object_set_new(root, "cause", json_integer(m->error.cause));
	}
	text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	json_decref(root);
	if (!text)
		return -ENOMEM;
	rc = store_describe(s, text, strlen(text));
	free(text);
	return rc;
}
