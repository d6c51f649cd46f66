/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/channel.h"
#include "lib/hex.h"
#include "tools/vtpmd/config.h"
#include "tools/vtpmd/tunnel.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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
	json_array_foreach(approvals, i, item)
	{
		put_hex(w, CONFIG_APPROVAL, item);
	}
}

static void put_kms(struct cursor *w, const json_t *kms, struct config *c)
{
	const char *address = json_string_value(json_object_get(kms, "address"));
	char host[256], port[256];

	if (!address || tunnel_split(address, host, port))
		cursor_fail(w);
	else
		c->kms_address = strdup(address);
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

	if (json_integer_value(json_object_get(root, "version")) != 1)
		return -EBADMSG;
	c->tlvs = malloc(CONFIG_TLVS_MAX);
	if (!c->tlvs)
		return -ENOMEM;
	w = cursor_writer(c->tlvs, CONFIG_TLVS_MAX);
	if (tpm)
		put_tpm(&w, tpm, c);
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
		return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
				 "This host is not set up for vTPMs (%s is missing): run "
				 "`vtpmctl host init --kms kmip://HOST:PORT ...` first.",
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
	free(c->tlvs);
	memset(c, 0, sizeof(*c));
}
