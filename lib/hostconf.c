/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/hostconf.h"
#include "lib/channel.h"
#include "lib/slot/recovery.h"
#include "lib/text.h"
#include "lib/vault.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *hex_string(const uint8_t *bytes, size_t len)
{
	char *text = malloc(2 * len + 1);
	json_t *json = NULL;

	if (text) {
		hex_encode(bytes, len, text);
		json = json_string(text);
	}
	free(text);
	return json;
}

static json_t *print_conf_pcrs(uint32_t pcrs)
{
	json_t *array = json_array();
	int n;

	for (n = 0; array && n < APPROVAL_PCRS; n++)
		if (pcrs & 1u << n)
			json_array_append_new(array, json_integer(n));
	return array;
}

static json_t *print_conf_approvals(const struct hostconf *h)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; array && i < h->approval_count; i++) {
		uint8_t bytes[APPROVAL_SIZE_MAX];
		size_t len = sizeof(bytes);

		if (approval_encode(&h->approvals[i], bytes, &len) ||
		    json_array_append_new(array, hex_string(bytes, len))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *print_notes(const struct hostconf *h)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; array && i < h->approval_count; i++) {
		const struct hostconf_note *n = &h->notes[i];

		if (!n->at[0] && !n->label[0])
			continue;
		if (json_array_append_new(
			    array, json_pack("{s:o, s:s, s:s}", "digest",
					     hex_string(h->approvals[i].digest,
							sizeof(h->approvals[i].digest)),
					     "at", n->at, "label", n->label))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static int print_conf_anchor(json_t *all, const struct hostconf *h)
{
	char index[16];

	if (!h->anchor_index)
		return 0;
	snprintf(index, sizeof(index), "0x%08x", h->anchor_index);
	return json_object_set_new(
		json_object_get(all, "tpm"), "anchor",
		json_pack("{s:s, s:o, s:o, s:o, s:b}", "nv_index", index, "nv_name",
			  hex_string(h->anchor_name, sizeof(h->anchor_name)), "key",
			  hex_string(h->anchor_key, h->anchor_key_len), "adopt",
			  hex_string(h->anchor_adopt, sizeof(h->anchor_adopt)),
			  "take_store", h->anchor_take_store));
}

static int print_ak(json_t *all, const struct hostconf *h)
{
	char handle[16];

	if (!h->ak_handle)
		return 0;
	snprintf(handle, sizeof(handle), "0x%08x", h->ak_handle);
	return json_object_set_new(
		json_object_get(all, "tpm"), "ak",
		json_pack("{s:s, s:o, s:o, s:o}", "handle", handle, "name",
			  hex_string(h->ak_name, sizeof(h->ak_name)), "auth",
			  hex_string(h->ak_auth, sizeof(h->ak_auth)), "object",
			  hex_string(h->ak_object, h->ak_object_len)));
}

static int print_conf_store(json_t *all, const struct hostconf_store *s)
{
	if (!s->url)
		return 0;
	return json_object_set_new(all, "store",
				   json_pack("{s:s, s:s, s:s, s:s}", "url", s->url, "ca",
					     s->ca, "cert", s->cert, "key", s->key));
}

char *hostconf_print(const struct hostconf *h)
{
	char handle[16], *text = NULL;
	json_t *all, *kms = NULL;

	snprintf(handle, sizeof(handle), "0x%08x", h->srk_handle);
	/* o steals its reference, also when a value is NULL and json_pack fails */
	all = json_pack("{s:i, s:{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}}", "version",
			HOSTCONF_VERSION, "tpm", "srk_handle", handle, "srk_name",
			hex_string(h->srk_name, sizeof(h->srk_name)), "policy_key",
			hex_string(h->policy_key, sizeof(h->policy_key)), "pcrs",
			print_conf_pcrs(h->pcrs), "approvals", print_conf_approvals(h),
			"approval_notes", print_notes(h), "counter_name",
			hex_string(h->counter_name, sizeof(h->counter_name)), "auth",
			hex_string(h->auth, sizeof(h->auth)));
	if (print_conf_anchor(all, h) || print_ak(all, h)) {
		json_decref(all);
		return NULL;
	}
	if (h->has_kms) {
		kms = json_pack("{s:s, s:s, s:s*, s:o, s:s}", "address", h->kms_address,
				"ca", h->kms_ca, "cert", h->kms_cert, "key_sealed",
				hex_string(h->kms_key_sealed, h->kms_key_sealed_len),
				"key_id", h->kms_key_id);
		if (h->kms_get)
			json_object_set_new(kms, "mode", json_string("get"));
		if (json_object_set_new(all, "kms", kms)) {
			json_decref(all);
			return NULL;
		}
	}
	if (h->recovery_key_len &&
	    json_object_set_new(all, "recovery_key",
				hex_string(h->recovery_key, h->recovery_key_len))) {
		json_decref(all);
		return NULL;
	}
	if (print_conf_store(all, &h->store)) {
		json_decref(all);
		return NULL;
	}
	if (all)
		text = json_dumps(all, JSON_INDENT(2));
	json_decref(all);
	return text;
}

static int take_hex(const json_t *object, const char *key, uint8_t *out, size_t size)
{
	const char *text = json_string_value(json_object_get(object, key));
	size_t len = size;

	return !text || hex_decode(text, out, &len) || len != size ? -EBADMSG : 0;
}

/* A handle of the kind that its first digits tell (Part 2, 7.2). */
static int take_handle(const json_t *object, const char *key, const char *kind,
		       uint32_t *handle)
{
	const char *text = json_string_value(json_object_get(object, key));
	unsigned long value;
	char *end;

	if (!text || strncmp(text, kind, 4))
		return -EBADMSG;
	value = strtoul(text, &end, 16);
	if (*end || value > UINT32_MAX)
		return -EBADMSG;
	*handle = (uint32_t)value;
	return 0;
}

static int take_pcrs(const json_t *tpm, uint32_t *pcrs)
{
	const json_t *array = json_object_get(tpm, "pcrs"), *item;
	size_t i;

	*pcrs = 0;
	json_array_foreach(array, i, item)
	{
		json_int_t n = json_is_integer(item) ? json_integer_value(item) : -1;

		if (n < 0 || n >= APPROVAL_PCRS)
			return -EBADMSG;
		*pcrs |= 1u << n;
	}
	return *pcrs ? 0 : -EBADMSG;
}

/* Notes are for people: one that is malformed, or of no approval, is left out. */
static void take_notes(const json_t *tpm, struct hostconf *h)
{
	const json_t *note, *notes = json_object_get(tpm, "approval_notes");
	uint8_t digest[APPROVAL_HASH_SIZE];
	size_t i, n;

	json_array_foreach(notes, i, note)
	{
		const char *at = json_string_value(json_object_get(note, "at"));
		const char *label = json_string_value(json_object_get(note, "label"));

		if (take_hex(note, "digest", digest, sizeof(digest)))
			continue;
		for (n = 0; n < h->approval_count; n++) {
			struct hostconf_note *to = &h->notes[n];

			if (memcmp(h->approvals[n].digest, digest, sizeof(digest)))
				continue;
			if (at && strlen(at) < sizeof(to->at))
				strcpy(to->at, at);
			if (label && hostconf_label_ok(label))
				strcpy(to->label, label);
		}
	}
}

static int take_approvals(const json_t *tpm, struct hostconf *h)
{
	const json_t *array = json_object_get(tpm, "approvals"), *item;
	size_t i;

	if (json_array_size(array) > HOSTCONF_APPROVALS_MAX)
		return -EBADMSG;
	json_array_foreach(array, i, item)
	{
		uint8_t bytes[APPROVAL_SIZE_MAX];
		size_t len = sizeof(bytes);

		if (!json_is_string(item) ||
		    hex_decode(json_string_value(item), bytes, &len) ||
		    approval_decode(bytes, len, h->counter_name, &h->approvals[i]))
			return -EBADMSG;
	}
	h->approval_count = json_array_size(array);
	take_notes(tpm, h);
	return 0;
}

static int take_anchor(const json_t *anchor, struct hostconf *h)
{
	const json_t *take_store = json_object_get(anchor, "take_store");
	const char *key = json_string_value(json_object_get(anchor, "key"));

	if (!anchor)
		return 0;
	h->anchor_take_store = json_is_true(take_store);
	h->anchor_key_len = sizeof(h->anchor_key);
	if (!json_is_boolean(take_store) || !key ||
	    hex_decode(key, h->anchor_key, &h->anchor_key_len))
		return -EBADMSG;
	return take_handle(anchor, "nv_index", "0x01", &h->anchor_index) ||
			       take_hex(anchor, "nv_name", h->anchor_name,
					sizeof(h->anchor_name)) ||
			       take_hex(anchor, "adopt", h->anchor_adopt,
					sizeof(h->anchor_adopt))
		       ? -EBADMSG
		       : 0;
}

static int take_ak(const json_t *ak, struct hostconf *h)
{
	const char *object = json_string_value(json_object_get(ak, "object"));

	if (!ak)
		return 0;
	h->ak_object_len = sizeof(h->ak_object);
	if (!object || hex_decode(object, h->ak_object, &h->ak_object_len) ||
	    take_hex(ak, "auth", h->ak_auth, sizeof(h->ak_auth)))
		return -EBADMSG;
	return take_handle(ak, "handle", "0x81", &h->ak_handle) ||
			       take_hex(ak, "name", h->ak_name, sizeof(h->ak_name))
		       ? -EBADMSG
		       : 0;
}

static int take_text(const json_t *object, const char *key, char **out)
{
	const char *text = json_string_value(json_object_get(object, key));

	*out = text && text[0] ? strdup(text) : NULL;
	return *out ? 0 : -EBADMSG;
}

static int take_kms(const json_t *kms, struct hostconf *h)
{
	const char *sealed = json_string_value(json_object_get(kms, "key_sealed"));
	const json_t *mode = json_object_get(kms, "mode");

	h->kms_get = mode;
	if (mode && (!json_is_string(mode) || strcmp(json_string_value(mode), "get")))
		return -EBADMSG;
	if (take_text(kms, "address", &h->kms_address) ||
	    take_text(kms, "ca", &h->kms_ca) ||
	    take_text(kms, "key_id", &h->kms_key_id) || !sealed)
		return -EBADMSG;
	/* a token of Vault's has no certificate */
	if ((json_object_get(kms, "cert") || !vault_is_key_id(h->kms_key_id)) &&
	    take_text(kms, "cert", &h->kms_cert))
		return -EBADMSG;
	h->kms_key_sealed_len = HOSTCONF_SEALED_MAX;
	h->kms_key_sealed = malloc(HOSTCONF_SEALED_MAX);
	if (!h->kms_key_sealed)
		return -ENOMEM;
	return hex_decode(sealed, h->kms_key_sealed, &h->kms_key_sealed_len) ? -EBADMSG
									     : 0;
}

/* What another process is to find, whatever its working directory. */
static int take_path(const json_t *object, const char *key, char **out)
{
	return take_text(object, key, out) || (*out)[0] != '/' ? -EBADMSG : 0;
}

static int take_store(const json_t *store, struct hostconf_store *s)
{
	if (!store)
		return 0;
	return take_text(store, "url", &s->url) || take_path(store, "ca", &s->ca) ||
			       take_path(store, "cert", &s->cert) ||
			       take_path(store, "key", &s->key)
		       ? -EBADMSG
		       : 0;
}

static int take_recovery(const json_t *key, struct hostconf *h)
{
	const char *hex = json_string_value(key);

	if (!key)
		return 0;
	h->recovery_key_len = sizeof(h->recovery_key);
	return !hex || hex_decode(hex, h->recovery_key, &h->recovery_key_len) ||
			       !recovery_public_ok(h->recovery_key, h->recovery_key_len)
		       ? -EBADMSG
		       : 0;
}

static int take_tpm(const json_t *tpm, struct hostconf *h)
{
	if (take_handle(tpm, "srk_handle", "0x81", &h->srk_handle) ||
	    take_hex(tpm, "srk_name", h->srk_name, sizeof(h->srk_name)) ||
	    take_hex(tpm, "policy_key", h->policy_key, sizeof(h->policy_key)) ||
	    take_hex(tpm, "counter_name", h->counter_name, sizeof(h->counter_name)) ||
	    take_hex(tpm, "auth", h->auth, sizeof(h->auth)) || take_pcrs(tpm, &h->pcrs) ||
	    take_approvals(tpm, h))
		return -EBADMSG;
	return take_anchor(json_object_get(tpm, "anchor"), h) ||
			       take_ak(json_object_get(tpm, "ak"), h)
		       ? -EBADMSG
		       : 0;
}

static int take_all(const json_t *all, struct hostconf *h)
{
	const json_t *tpm = json_object_get(all, "tpm");
	const json_t *kms = json_object_get(all, "kms");

	if (json_integer_value(json_object_get(all, "version")) != HOSTCONF_VERSION)
		return -EBADMSG;
	if (tpm && take_tpm(tpm, h))
		return -EBADMSG;
	if (take_recovery(json_object_get(all, "recovery_key"), h) ||
	    take_store(json_object_get(all, "store"), &h->store))
		return -EBADMSG;
	h->has_kms = kms;
	return kms ? take_kms(kms, h) : 0;
}

int hostconf_parse(const char *text, struct hostconf *h)
{
	json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	int rc;

	memset(h, 0, sizeof(*h));
	rc = take_all(all, h);
	json_decref(all);
	if (rc)
		hostconf_free(h);
	return rc;
}

static void put_approvals(struct cursor *w, const struct hostconf *h)
{
	size_t i;

	for (i = 0; i < h->approval_count; i++) {
		uint8_t bytes[APPROVAL_SIZE_MAX];
		size_t len = sizeof(bytes);

		if (approval_encode(&h->approvals[i], bytes, &len))
			cursor_fail(w);
		else
			channel_tlv_put(w, CONFIG_APPROVAL, bytes, len);
	}
}

static void put_text(struct cursor *w, uint16_t tag, const char *text)
{
	channel_tlv_put(w, tag, text, strlen(text));
}

int hostconf_encode(const struct hostconf *h, struct cursor *w)
{
	if (h->srk_handle) {
		channel_tlv_put_u32(w, CONFIG_SRK_HANDLE, h->srk_handle);
		channel_tlv_put(w, CONFIG_SRK_NAME, h->srk_name, sizeof(h->srk_name));
		channel_tlv_put(w, CONFIG_POLICY_KEY, h->policy_key,
				sizeof(h->policy_key));
		channel_tlv_put(w, CONFIG_COUNTER_NAME, h->counter_name,
				sizeof(h->counter_name));
		channel_tlv_put(w, CONFIG_HOST_AUTH, h->auth, sizeof(h->auth));
		put_approvals(w, h);
	}
	if (h->has_kms) {
		put_text(w, CONFIG_KMS_ADDRESS, h->kms_address);
		put_text(w, CONFIG_KMS_CA, h->kms_ca);
		if (h->kms_cert)
			put_text(w, CONFIG_KMS_CERT, h->kms_cert);
		channel_tlv_put(w, CONFIG_KMS_KEY_SEALED, h->kms_key_sealed,
				h->kms_key_sealed_len);
		put_text(w, CONFIG_KMS_KEY_ID, h->kms_key_id);
	}
	if (h->recovery_key_len)
		channel_tlv_put(w, CONFIG_RECOVERY_KEY, h->recovery_key,
				h->recovery_key_len);
	return cursor_ok(w) ? 0 : -EMSGSIZE;
}

void hostconf_drop_store(struct hostconf *h)
{
	free(h->store.url);
	free(h->store.ca);
	free(h->store.cert);
	free(h->store.key);
	memset(&h->store, 0, sizeof(h->store));
}

void hostconf_free(struct hostconf *h)
{
	hostconf_drop_store(h);
	free(h->kms_address);
	free(h->kms_ca);
	free(h->kms_cert);
	free(h->kms_key_id);
	free(h->kms_key_sealed);
	OPENSSL_cleanse(h, sizeof(*h));
}

/* The list of approved boot states in host.json, as operators speak of it. */

bool hostconf_label_ok(const char *label)
{
	static const char digits[] = "0123456789";
	static const char signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_.-";
	size_t n = strlen(label);

	return n && n <= HOSTCONF_LABEL_MAX && strspn(label, signs) == n &&
	       strspn(label, digits) != n;
}

int hostconf_approve(struct hostconf *h, const struct approval *a, const char *label)
{
	struct hostconf_note *n = &h->notes[h->approval_count];
	time_t now = time(NULL);
	struct tm tm;

	if (h->approval_count == HOSTCONF_APPROVALS_MAX)
		return -ENOSPC;
	memset(n, 0, sizeof(*n));
	if (gmtime_r(&now, &tm))
		strftime(n->at, sizeof(n->at), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (label)
		snprintf(n->label, sizeof(n->label), "%s", label);
	h->approvals[h->approval_count++] = *a;
	return 0;
}

int hostconf_find_approval(const struct hostconf *h, const char *which, size_t *index)
{
	unsigned long number;
	char *end;
	size_t i;

	for (i = 0; i < h->approval_count; i++)
		if (which[0] && !strcmp(h->notes[i].label, which)) {
			*index = i;
			return 0;
		}
	if (which[0] < '1' || which[0] > '9')
		return -ENOENT;
	number = strtoul(which, &end, 10);
	if (*end || number > h->approval_count)
		return -ENOENT;
	*index = number - 1;
	return 0;
}

void hostconf_revoke(struct hostconf *h, size_t index)
{
	size_t after = h->approval_count - index - 1;

	memmove(&h->approvals[index], &h->approvals[index + 1],
		after * sizeof(h->approvals[0]));
	memmove(&h->notes[index], &h->notes[index + 1], after * sizeof(h->notes[0]));
	h->approval_count--;
	memset(&h->notes[h->approval_count], 0, sizeof(h->notes[0]));
}
