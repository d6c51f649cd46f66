/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/text.h"
#include "lib/channel.h"
#include "tools/vtpmd/config.h"
#include "tools/vtpmd/tunnel.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

#define VERSION 3 /* of host.json */

/* A hex string as one TLV; w goes bad when it is none. */
static void put_hex(struct cursor *w, uint16_t tag, const json_t *value)
{
	const char *hex = json_string_value(value);
	size_t len = hex ? strlen(hex) / 2 : 0;
	uint8_t *bytes = malloc(len + 1);

	if (!len || !bytes || hex_decode(hex, bytes, &len))
		cursor_fail(w);
	else
		channel_tlv_put(w, tag, bytes, len);
	free(bytes);
}

static void put_text(struct cursor *w, uint16_t tag, const json_t *value)
{
	const char *text = json_string_value(value);

	if (!text || !text[0])
		cursor_fail(w);
	else
		channel_tlv_put(w, tag, text, strlen(text));
}

static const json_t *note_of(const json_t *tpm, const uint8_t *digest)
{
	const json_t *note, *notes = json_object_get(tpm, "approval_notes");
	uint8_t bytes[32];
	size_t i;

	json_array_foreach(notes, i, note)
	{
		const char *hex = json_string_value(json_object_get(note, "digest"));
		size_t len = sizeof(bytes);

		if (hex && !hex_decode(hex, bytes, &len) && len == sizeof(bytes) &&
		    !memcmp(bytes, digest, sizeof(bytes)))
			return note;
	}
	return NULL;
}

static void copy_text(char *out, size_t room, const json_t *value)
{
	const char *text = json_string_value(value);

	snprintf(out, room, "%s", text ? text : "");
}

/* For people only: managers and the TPM judge the approval itself. */
static void describe_config(struct config *c, const json_t *tpm, const json_t *item)
{
	struct config_approval *a = &c->approval[c->approvals];
	const char *hex = json_string_value(item);
	uint8_t bytes[2048], digest[32];
	size_t len = sizeof(bytes);
	const json_t *note;
	struct cursor r;
	unsigned int n;

	if (c->approvals == CONFIG_APPROVALS_MAX || !hex || hex_decode(hex, bytes, &len))
		return;
	r = cursor_reader(bytes, len);
	a->pcrs = 0;
	for (n = cursor_u8(&r); n && cursor_ok(&r); n--) {
		uint8_t index = cursor_u8(&r);

		if (index < 24)
			a->pcrs |= 1u << index;
		(void)cursor_bytes(&r, 32);
	}
	(void)cursor_u64(&r); /* number of revocations */
	cursor_copy(&r, digest, sizeof(digest));
	if (!cursor_ok(&r))
		return;
	c->approvals++;
	note = note_of(tpm, digest);
	copy_text(a->label, sizeof(a->label), json_object_get(note, "label"));
	copy_text(a->at, sizeof(a->at), json_object_get(note, "at"));
}

static void put_tpm(struct cursor *w, const json_t *tpm, struct config *c)
{
	const char *handle = json_string_value(json_object_get(tpm, "srk_handle"));
	const json_t *item, *approvals = json_object_get(tpm, "approvals");
	unsigned long value = 0;
	char *end = "?";
	size_t i;

	if (handle)
		value = strtoul(handle, &end, 16);
	/* a persistent handle: Part 2, 7.2 */
	if (*end || value >> 24 != 0x81)
		cursor_fail(w);
	c->srk_handle = (uint32_t)value;
	channel_tlv_put_u32(w, CONFIG_SRK_HANDLE, c->srk_handle);
	put_hex(w, CONFIG_SRK_NAME, json_object_get(tpm, "srk_name"));
	put_hex(w, CONFIG_POLICY_KEY, json_object_get(tpm, "policy_key"));
	put_hex(w, CONFIG_COUNTER_NAME, json_object_get(tpm, "counter_name"));
	put_hex(w, CONFIG_HOST_AUTH, json_object_get(tpm, "auth"));
	json_array_foreach(approvals, i, item)
	{
		put_hex(w, CONFIG_APPROVAL, item);
		describe_config(c, tpm, item);
	}
}

/* For vtpmd alone: no manager has to do with it. */
static void take_anchor(struct cursor *w, const json_t *anchor, struct config *c)
{
	const char *name = json_string_value(json_object_get(anchor, "nv_name"));
	const char *adopt = json_string_value(json_object_get(anchor, "adopt"));
	const json_t *take_store = json_object_get(anchor, "take_store");
	size_t len = sizeof(c->anchor_adopt);

	if (!anchor)
		return;
	c->anchor_take_store = json_is_true(take_store);
	if (!json_is_boolean(take_store) || !name || !name[0] || !adopt ||
	    hex_decode(adopt, c->anchor_adopt, &len) || len != sizeof(c->anchor_adopt))
		cursor_fail(w);
	else
		c->anchor = strdup(name);
}

static void put_kms(struct cursor *w, const json_t *kms, struct config *c)
{
	const char *list = json_string_value(json_object_get(kms, "address"));
	char one[ADDRESS_MAX], host[256], port[256];
	unsigned int i, n = list ? address_count(list) : 0;

	for (i = 0; i < n; i++)
		if (address_nth(list, i, one) || tunnel_split(one, host, port))
			cursor_fail(w);
	if (!n)
		cursor_fail(w);
	if (cursor_ok(w))
		c->kms_address = strdup(list);
	if (json_string_value(json_object_get(kms, "cert")))
		c->kms_cert = strdup(json_string_value(json_object_get(kms, "cert")));
	put_text(w, CONFIG_KMS_ADDRESS, json_object_get(kms, "address"));
	put_text(w, CONFIG_KMS_CA, json_object_get(kms, "ca"));
	put_text(w, CONFIG_KMS_CERT, json_object_get(kms, "cert"));
	put_hex(w, CONFIG_KMS_KEY_SEALED, json_object_get(kms, "key_sealed"));
	put_text(w, CONFIG_KMS_KEY_ID, json_object_get(kms, "key_id"));
}

static int convert(const json_t *root, struct config *c)
{
	const json_t *tpm = json_object_get(root, "tpm");
	const json_t *kms = json_object_get(root, "kms");
	const json_t *recovery = json_object_get(root, "recovery_key");
	struct cursor w;

	if (json_integer_value(json_object_get(root, "version")) != VERSION)
		return -EBADMSG;
	c->tlvs = malloc(CONFIG_TLVS_MAX);
	if (!c->tlvs)
		return -ENOMEM;
	w = cursor_writer(c->tlvs, CONFIG_TLVS_MAX);
	if (tpm)
		put_tpm(&w, tpm, c);
	take_anchor(&w, json_object_get(tpm, "anchor"), c);
	if (kms)
		put_kms(&w, kms, c);
	if (recovery)
		put_hex(&w, CONFIG_RECOVERY_KEY, recovery);
	c->len = w.pos;
	return cursor_ok(&w) ? 0 : -EBADMSG;
}

int config_load(const char *path, struct config *c, struct error *e)
{
	json_error_t why;
	json_t *root;
	int rc;

	memset(c, 0, sizeof(*c));
	root = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
	if (!root && json_error_code(&why) == json_error_cannot_open_file)
		return error_set(
			e, -ENOENT, CAUSE_NOT_CONFIGURED,
			"This host is not set up for vTPMs (%s is missing): bring "
			"it back from a backup, or, on a new host, run `vtpmctl "
			"host init --kms kmip://HOST:PORT ...` first.",
			path);
	rc = root ? convert(root, c) : -EBADMSG;
	json_decref(root);
	if (!rc)
		return 0;
	config_free(c);
	return error_set(e, rc, CAUSE_NOT_CONFIGURED,
			 "%s is not what `vtpmctl host init` writes: run it again.",
			 path);
}

int config_covers(const struct config *c, const char *policy, struct error *e)
{
	bool tpm = strcmp(policy, "kms") != 0, kms = strcmp(policy, "tpm") != 0;

	if (kms && !c->kms_address)
		return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
				 "The policy \"%s\" needs a KMS and this host has none "
				 "configured: run `vtpmctl host init --kms "
				 "kmip://HOST:PORT ...`, or choose `--policy tpm`.",
				 policy);
	if (tpm && !c->srk_handle)
		return error_set(
			e, -ENOENT, CAUSE_NOT_CONFIGURED,
			"The policy \"%s\" needs the host's TPM and this host has "
			"none configured: run `vtpmctl host init` on a host with "
			"a TPM 2.0, or choose `--policy kms`.",
			policy);
	return 0;
}

void config_free(struct config *c)
{
	free(c->kms_address);
	free(c->kms_cert);
	free(c->anchor);
	if (c->tlvs)
		OPENSSL_cleanse(c->tlvs, c->len);
	free(c->tlvs);
	memset(c, 0, sizeof(*c));
}
