/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/channel.h"
#include "lib/crypt.h"
#include "lib/text.h"
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/vtpms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#define EKS_MAX (META_EKS * (META_EK_MAX + 2))

/* The endorsement keys, as TPM2B_PUBLICs. */
static size_t put_eks(const struct meta *meta, uint8_t out[EKS_MAX])
{
	struct cursor w = cursor_writer(out, EKS_MAX);
	unsigned int i;

	for (i = 0; i < meta->eks; i++) {
		cursor_put_u16(&w, meta->ek[i].len);
		cursor_put(&w, meta->ek[i].bytes, meta->ek[i].len);
	}
	return cursor_ok(&w) ? w.pos : 0;
}

/* Of the header; an empty text: it is not known. */
static json_t *show_names(const struct meta *meta)
{
	char hex[2 * ENVELOPE_NAME_MAX + 1];
	json_t *names = json_array();
	size_t i;

	for (i = 0; i < ENVELOPE_EKS; i++) {
		hex_encode(meta->names[i].bytes, meta->names[i].len, hex);
		json_array_append_new(names, json_string(hex));
	}
	return names;
}

/* Of a vTPM that moves alone. */
static json_t *describe_saved(const struct vtpm *v)
{
	struct guest saved;
	char uuid[37];

	if (!move_guest_saved(v, &saved))
		return NULL;
	uuid_unparse_lower(saved.uuid, uuid);
	return json_pack("{s:s, s:I}", "uuid", uuid, "on", (json_int_t)saved.on);
}

static char *describe_offer(struct vtpm *v)
{
	const struct meta *meta = &v->meta;
	uint8_t eks[EKS_MAX], guest[16];
	char hex[2 * EKS_MAX + 1], uuid[37], *text;
	json_t *o;

	hex_encode(eks, put_eks(meta, eks), hex);
	o = json_pack("{s:s, s:i, s:b, s:b, s:i, s:i, s:b, s:b, s:b, s:s}", "policy",
		      meta->policy, "memory", (int)meta->memory, "process", meta->process,
		      "by_name", meta->by_name, "localities", meta->localities,
		      "pcr_banks", meta->pcr_banks, "tpm12", meta->tpm12, "measured",
		      meta->measured, "ppi_denied", meta->presence.denied, "ek", hex);
	json_object_set_new(o, "created", json_string(meta->created));
	if (meta->is_copy) {
		uuid_unparse_lower(meta->copy_of, uuid);
		json_object_set_new(o, "copy_of", json_string(uuid));
	}
	json_object_set_new(o, "launched", json_boolean(meta->launched));
	json_object_set_new(o, "imported", json_boolean(meta->imported));
	json_object_set_new(o, "names", show_names(meta));
	json_object_set_new(o, "certs", cert_show(&v->store));
	json_object_set_new(o, "launch", move_launch_describe(v));
	if (move_guest(v, guest)) {
		uuid_unparse_lower(guest, uuid);
		json_object_set_new(o, "guest", json_string(uuid));
	} else {
		json_object_set_new(o, "saved", describe_saved(v));
	}
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

int move_make_offer(struct move *m, struct vtpm *v)
{
	struct move_offer o = {
		.seq = store_seq(&v->store, CHANNEL_OBJECT_PERMALL),
		.epoch = v->store.epoch,
		.name = {(const uint8_t *)v->meta.name, strlen(v->meta.name)}};
	char *text = describe_offer(v);
	size_t len = MOVE_OFFER_MAX;
	uint8_t *out = malloc(len);
	int rc = text && out ? crypt_random(o.nonce, sizeof(o.nonce)) : -ENOMEM;

	if (!rc) {
		o.description = (struct binding_part){(uint8_t *)text, strlen(text)};
		rc = move_offer_encode(&o, out, &len);
	}
	free(text);
	if (rc) {
		free(out);
		return rc;
	}
	free(m->offer.p);
	m->offer = (struct move_bytes){out, len};
	return 0;
}

static int copy_bytes(struct move_bytes *b, const uint8_t *p, size_t n)
{
	free(b->p);
	b->p = malloc(n ? n : 1);
	b->n = b->p ? n : 0;
	if (!b->p)
		return -ENOMEM;
	memcpy(b->p, p, n);
	return 0;
}

int move_take_offer(struct move *m, const uint8_t *body, size_t len)
{
	char name[META_NAME_MAX + 1];
	struct move_offer o;
	int rc = move_offer_decode(body, len, &o);

	if (rc || o.name.n > META_NAME_MAX || memchr(o.name.p, 0, o.name.n))
		return -EBADMSG;
	memcpy(name, o.name.p, o.name.n);
	name[o.name.n] = '\0';
	if (!meta_name_ok(name))
		return -EBADMSG;
	rc = copy_bytes(&m->offer, body, len);
	if (rc)
		return rc;
	strcpy(m->r.name, name);
	m->why[0] = '\0';
	return 0;
}

static int take_eks(struct move *m, const char *hex)
{
	uint8_t eks[EKS_MAX];
	size_t len = sizeof(eks);
	int rc = hex ? hex_decode(hex, eks, &len) : -EINVAL;

	return rc ? rc : copy_bytes(&m->ek, eks, len);
}

static int read_number(const json_t *o, const char *key, json_int_t max,
		       unsigned int *out)
{
	const json_t *value = json_object_get(o, key);
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value) || n < 0 || n > max)
		return -EBADMSG;
	*out = (unsigned int)n;
	return 0;
}

/* What registry_create() does not look at, is looked at here. */
static int read_description(struct move *m, const json_t *o, struct registry_new *n)
{
	unsigned int localities, banks;

	n->policy = json_string_value(json_object_get(o, "policy"));
	n->process = json_is_true(json_object_get(o, "process"));
	n->by_name = json_is_true(json_object_get(o, "by_name"));
	n->tpm12 = json_is_true(json_object_get(o, "tpm12"));
	n->measured = json_is_true(json_object_get(o, "measured"));
	n->ppi_denied = json_is_true(json_object_get(o, "ppi_denied"));
	if (!n->policy || strlen(n->policy) >= sizeof(((struct meta *)0)->policy) ||
	    read_number(o, "memory", META_MEMORY_MAX, &n->memory) ||
	    read_number(o, "localities", 31, &localities) ||
	    read_number(o, "pcr_banks", 15, &banks) ||
	    take_eks(m, json_string_value(json_object_get(o, "ek"))) ||
	    move_launch_take(m, o))
		return -EBADMSG;
	n->localities = (uint8_t)localities;
	n->pcr_banks = (uint8_t)banks;
	n->name = m->r.name;
	n->has_uuid = true;
	memcpy(n->uuid, m->r.uuid, sizeof(n->uuid));
	return 0;
}

static int take_names(struct meta *meta, const json_t *names)
{
	const json_t *item;
	size_t i, len;

	json_array_foreach(names, i, item)
	{
		const char *hex = json_string_value(item);
		struct envelope_name name = {.len = 0};

		len = sizeof(name.bytes);
		if (i >= ENVELOPE_EKS || !hex || hex_decode(hex, name.bytes, &len))
			return -EBADMSG;
		name.len = (uint16_t)len;
		if (len && !envelope_name_ok((enum envelope_ek)i, &name))
			return -EBADMSG;
		meta->names[i] = name;
	}
	return 0;
}

/* A guest that was saved is restored when the vTPM is here. */
static int await_saved(struct vtpm *v, const json_t *saved)
{
	const char *text = json_string_value(json_object_get(saved, "uuid"));
	json_int_t on = json_integer_value(json_object_get(saved, "on"));
	uint8_t uuid[16] = {0};

	if (saved && (!text || uuid_parse(text, uuid) || on <= 0))
		return -EBADMSG;
	return guests_take_saved(&v->guests, uuid, (uint64_t)on);
}

/* Until it is here it has no other guest than the one that comes along. */
static int await_guest(struct vtpm *v, const json_t *description)
{
	const char *text = json_string_value(json_object_get(description, "guest"));
	uint8_t guest[16];
	bool known = text && !uuid_parse(text, guest);

	guests_arrive(&v->guests, true, known ? guest : NULL);
	return known ? 0 : await_saved(v, json_object_get(description, "saved"));
}

/* Since when it is, and of which vTPM it is a copy; an older release does not say so.  The manager of
 * one that is made as a copy may use what another vTPM of this host has, and this one is not. */
static int take_origin(struct move *m, struct meta *meta, const json_t *o)
{
	const char *created = json_string_value(json_object_get(o, "created"));
	const json_t *copy = json_object_get(o, "copy_of");
	size_t n = created ? strlen(created) : 0;

	if (n >= sizeof(meta->created) || (n && !text_is_clean(created, n)))
		return -EBADMSG;
	if (n)
		strcpy(meta->created, created);
	m->is_copy = copy != NULL;
	if (!copy)
		return 0;
	if (!json_is_string(copy) || uuid_parse(json_string_value(copy), m->copy_of) ||
	    uuid_is_null(m->copy_of) || !uuid_compare(m->copy_of, meta->uuid))
		return -EBADMSG;
	return 0;
}

/* What it is besides, and has beside its states. */
static int furnish_vtpm(struct move *m, struct vtpm *v, const json_t *o, struct error *e)
{
	int rc = take_names(&v->meta, json_object_get(o, "names"));

	if (!rc)
		rc = take_origin(m, &v->meta, o);
	if (!rc)
		rc = cert_take(&v->store, json_object_get(o, "certs"));
	if (!rc)
		rc = await_guest(v, o);
	if (rc)
		return error_set(
			e, rc, CAUSE_PEER,
			"The names, certificates or guest that the offer of %s has "
			"make no sense, or could not be stored: %s.",
			v->meta.name, strerror(-rc));
	v->meta.imported = json_is_true(json_object_get(o, "imported"));
	if (json_is_true(json_object_get(o, "launched")))
		vtpm_guest_set_launched(v, true);
	return 0;
}

/* Nor does one move from here.  No other host has what it sends opened in domain 0. */
static int check_placement(const struct move *m, const struct registry_new *n,
			   struct error *e)
{
	if (!n->process || !m->d->xen)
		return 0;
	return error_set(
		e, -EACCES, CAUSE_PEER,
		"The vTPM %s would be a process of domain 0 there, which no other host "
		"may start: stop it, and move its backup (`vtpmctl backup`).",
		m->r.name);
}

/* Not registry_create()'s sentence, whose `vtpmctl delete` would be typed at the source. */
static int check_free_name(const struct move *m, const struct registry_new *n,
			   struct error *e)
{
	if (!n->name || !vtpms_find(m->d, n->name))
		return 0;
	return error_set(
		e, -EEXIST, CAUSE_STATE_EXISTS,
		"This host has another vTPM of the name %s: shut the guest of one of the "
		"two down, `vtpmctl stop` and `vtpmctl rename` its vTPM, on %s what is to "
		"move or on this host the other one, and move it again.",
		n->name, m->r.peer);
}

int move_create(struct move *m, struct error *e)
{
	struct registry_new n = {.name = NULL};
	struct move_offer o;
	struct vtpm *v;
	json_t *description = NULL;
	int rc = move_offer_decode(m->offer.p, m->offer.n, &o);

	if (!rc)
		description = json_loadb((const char *)o.description.p, o.description.n,
					 JSON_REJECT_DUPLICATES, NULL);
	if (!rc)
		rc = json_is_object(description) ? read_description(m, description, &n)
						 : -EBADMSG;
	if (rc)
		error_set(e, rc, CAUSE_PEER,
			  "The offer of %s makes no sense here: install one release on "
			  "both hosts.",
			  m->r.name);
	else
		rc = check_placement(m, &n, e);
	if (!rc)
		rc = check_free_name(m, &n, e);
	if (!rc)
		rc = registry_create(m->d, &n, &v, e);
	/* it starts from the loop */
	if (!rc)
		rc = furnish_vtpm(m, v, description, e);
	json_decref(description);
	return rc;
}

int move_describe(struct move *m, struct vtpm *v, struct error *e)
{
	bool measured = v->meta.measured;
	int rc = describe_stored(&v->meta, &v->store, e);

	if (!rc && v->meta.measured && !measured)
		rc = error_set(
			e, -EBADMSG, CAUSE_PEER,
			"%s serves measured guests alone, by its header, and the offer of "
			"%s said that it serves any: find out who changed what vtpmd "
			"there has of it.",
			v->meta.name, m->r.peer);
	if (rc)
		return rc;
	v->meta.is_copy = m->is_copy;
	memcpy(v->meta.copy_of, m->copy_of, sizeof(v->meta.copy_of));
	return 0;
}

void move_put_config(const struct vtpm *v, struct cursor *out)
{
	size_t i;

	channel_tlv_put_u8(out, CONFIG_INCOMING,
			   v->guests.has_company ? INCOMING_WITH_GUEST : INCOMING_ALONE);
	for (i = 0; i < ENVELOPE_EKS; i++) {
		const struct envelope_name *name = &v->meta.names[i];

		if (!name->len)
			continue;
		cursor_put_u16(out, CONFIG_EK_NAME);
		cursor_put_u32(out, 1u + name->len);
		cursor_put_u8(out, (uint8_t)i);
		cursor_put(out, name->bytes, name->len);
	}
}
