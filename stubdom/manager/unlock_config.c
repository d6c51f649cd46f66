/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration that a manager gets of vtpmd, TLVs of include/channel.h. */
#include "stubdom/manager/unlock.h"
#include "include/channel.h"
#include "include/ekwitness.h"
#include "lib/cursor.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 65536 /* certificates with their chain */

/* A text of at most TEXT_MAX bytes, terminated; refuses a second one. */
static void take_text(struct cursor *v, size_t len, char **out)
{
	const uint8_t *p = cursor_bytes(v, len);

	if (*out || !p || !len || len > TEXT_MAX || memchr(p, 0, len) ||
	    !(*out = strndup((const char *)p, len)))
		cursor_fail(v);
}

static void take_name(struct cursor *v, size_t len, struct unlock_config *c)
{
	if (len >= sizeof(c->name)) {
		cursor_fail(v);
		return;
	}
	cursor_copy(v, c->name, len);
	c->name[len] = '\0';
}

static void take_approval(struct cursor *v, size_t len, struct hosttpm_config *c)
{
	if (c->approvals == UNLOCK_APPROVALS_MAX) {
		cursor_fail(v);
		return;
	}
	c->approval[c->approvals] = cursor_bytes(v, len);
	c->approval_len[c->approvals++] = len;
}

static void take_cert(struct cursor *v, size_t len, struct unlock_config *c)
{
	if (c->certs == UNLOCK_CERTS_MAX || len < 4) {
		cursor_fail(v);
		return;
	}
	c->cert[c->certs].index = cursor_u32(v);
	c->cert[c->certs].der = cursor_bytes(v, len - 4);
	c->cert[c->certs++].len = len - 4;
}

static void take_witness(struct cursor *v, size_t len, struct unlock_config *c)
{
	if (len && len != EKWITNESS_SIZE)
		cursor_fail(v);
	c->keeps_witness = true;
	c->ek_witness = (struct tpm2_bytes){cursor_bytes(v, len), len};
}

static void take_pool_key(struct cursor *v, size_t len, struct unlock_config *c)
{
	uint32_t version = cursor_u32(v);

	if (c->pool_keys == UNLOCK_POOL_KEYS_MAX || len <= 4 || !version) {
		cursor_fail(v);
		return;
	}
	c->pool_key[c->pool_keys].version = version;
	c->pool_key[c->pool_keys].object =
		(struct tpm2_bytes){cursor_bytes(v, len - 4), len - 4};
	c->pool_keys++;
}

static void take_version(struct cursor *v, bool *tpm12)
{
	uint8_t version = cursor_u8(v);

	*tpm12 = version == 12;
	if (version != 12 && version != 20)
		cursor_fail(v);
}

static void take_ek_name(struct cursor *v, struct envelope_desc *desc)
{
	uint8_t which = cursor_u8(v);
	size_t len = cursor_left(v);
	struct envelope_name name = {.len = (uint16_t)len};

	if (which >= ENVELOPE_EKS || len > sizeof(name.bytes)) {
		cursor_fail(v);
		return;
	}
	cursor_copy(v, name.bytes, len);
	if (len && envelope_name_ok((enum envelope_ek)which, &name))
		desc->ek[which] = name;
	else
		cursor_fail(v);
}

/* What the vTPM is; false: the TLV is of another kind. */
static bool take_vtpm(struct cursor *v, uint16_t tag, struct unlock_config *c)
{
	uint8_t what;

	switch (tag) {
	case CONFIG_UUID:
		cursor_copy(v, c->uuid, sizeof(c->uuid));
		break;
	case CONFIG_NAME:
		take_name(v, cursor_left(v), c);
		break;
	case CONFIG_CREATE:
		c->create = cursor_u8(v) != 0;
		break;
	case CONFIG_POLICY:
		c->desc.policy = cursor_u16(v);
		break;
	case CONFIG_COPY_OF:
		cursor_copy(v, c->copy_of, sizeof(c->copy_of));
		c->is_copy = true;
		break;
	case CONFIG_LOCALITIES:
		c->desc.localities = cursor_u8(v);
		break;
	case CONFIG_MEASURED:
		c->desc.measured = cursor_u8(v) != 0;
		break;
	case CONFIG_PCR_BANKS:
		c->desc.pcr_banks = cursor_u8(v);
		break;
	case CONFIG_TPM_VERSION:
		take_version(v, &c->desc.tpm12);
		break;
	case CONFIG_EPOCH:
		c->epoch = cursor_u64(v);
		break;
	case CONFIG_SOURCE:
		c->has_source = cursor_u8(v) != 0;
		break;
	case CONFIG_KEEP_CERTS:
		c->keeps_certs = cursor_u8(v) != 0;
		break;
	case CONFIG_INCOMING:
		what = cursor_u8(v);
		c->incoming = what != 0;
		c->alone = what == INCOMING_ALONE;
		break;
	case CONFIG_EK_NAME:
		take_ek_name(v, &c->desc);
		break;
	case CONFIG_LEASED:
		c->leased = cursor_u8(v) != 0;
		break;
	case CONFIG_WATCHDOG:
		c->watchdog = cursor_u8(v) != 0;
		break;
	case CONFIG_TRIAL:
		c->trial = cursor_u8(v) != 0;
		break;
	default:
		return false;
	}
	return true;
}

/* What its host has to open it with. */
static void take_host(struct cursor *v, uint16_t tag, struct unlock_config *c)
{
	size_t len = cursor_left(v);

	switch (tag) {
	case CONFIG_SRK_HANDLE:
		c->tpm.srk_handle = cursor_u32(v);
		break;
	case CONFIG_SRK_NAME:
		cursor_copy(v, c->tpm.srk_name, sizeof(c->tpm.srk_name));
		break;
	case CONFIG_POLICY_KEY:
		c->tpm.policy_key = cursor_bytes(v, len);
		c->tpm.policy_key_len = len;
		break;
	case CONFIG_APPROVAL:
		take_approval(v, len, &c->tpm);
		break;
	case CONFIG_COUNTER_NAME:
		cursor_copy(v, c->tpm.counter_name, sizeof(c->tpm.counter_name));
		break;
	case CONFIG_HOST_AUTH:
		cursor_copy(v, c->tpm.auth, sizeof(c->tpm.auth));
		break;
	case CONFIG_KMS_ADDRESS:
		take_text(v, len, &c->kms_address);
		break;
	case CONFIG_KMS_CA:
		take_text(v, len, &c->kms_ca);
		break;
	case CONFIG_KMS_CERT:
		take_text(v, len, &c->kms_cert);
		break;
	case CONFIG_KMS_KEY_SEALED:
		c->kms_key_sealed = cursor_bytes(v, len);
		c->kms_key_sealed_len = len;
		break;
	case CONFIG_RECOVERY_KEY:
		c->recovery_key = cursor_bytes(v, len);
		c->recovery_key_len = len;
		break;
	case CONFIG_CERTIFICATE:
		take_cert(v, len, c);
		break;
	case CONFIG_EK_WITNESS:
		take_witness(v, len, c);
		break;
	case CONFIG_POOL_KEY:
		take_pool_key(v, len, c);
		break;
	case CONFIG_IN_POOL:
		c->in_pool = cursor_u8(v) != 0;
		break;
	case CONFIG_KMS_KEY_ID:
		take_text(v, len, &c->kms_key_id);
		break;
	default: /* of a newer vtpmd */
		if (!(tag & CONFIG_MAY_BE_SKIPPED)) {
			c->unknown = tag;
			cursor_fail(v);
		}
		(void)cursor_bytes(v, len);
	}
}

int unlock_config_parse(const uint8_t *tlvs, size_t len, struct unlock_config *c,
			struct error *e)
{
	struct cursor cur = cursor_reader(tlvs, len), value;
	static const uint8_t none[sizeof(c->uuid)];
	uint16_t tag;

	memset(c, 0, sizeof(*c));
	while (cursor_left(&cur)) {
		tag = cursor_u16(&cur);
		value = cursor_sub(&cur, cursor_u32(&cur));
		if (!take_vtpm(&value, tag, c))
			take_host(&value, tag, c);
		if (!cursor_done(&value))
			cursor_fail(&cur);
	}
	if (c->unknown) {
		tag = c->unknown;
		unlock_config_free(c);
		return error_set(
			e, -EPROTO, CAUSE_VERSION,
			"vtpmd's configuration has an item, %u, that this vTPM manager does "
			"not know: install vtpmd and the vTPM manager of one release",
			tag);
	}
	if (cursor_ok(&cur) && memcmp(c->uuid, none, sizeof(none)))
		return 0;
	unlock_config_free(c);
	return error_set(
		e, -EBADMSG, CAUSE_CHANNEL,
		"vtpmd sent a configuration that makes no sense: install vtpmd and "
		"the vTPM manager of one version");
}

void unlock_config_free(struct unlock_config *c)
{
	free(c->kms_address);
	free(c->kms_ca);
	free(c->kms_cert);
	free(c->kms_key_id);
	OPENSSL_cleanse(c, sizeof(*c));
}
