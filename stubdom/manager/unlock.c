/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/unlock.h"
#include "lib/cursor.h"
#include "lib/slot/recovery.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* The sealed client key, as include/channel.h lays it out. */
struct sealed_key {
	const uint8_t *object, *iv, *ct, *tag;
	size_t object_len;
	uint16_t ct_len;
};

/* A PEM in memory, to be wiped. */
struct pem {
	char *text;
	size_t size;
};

/* 0, or -ENOENT with CAUSE_NOT_CONFIGURED: no KMS, or no key for it. */
static int unlock_kms_configured(const struct unlock_config *c, struct error *e)
{
	if (!c->kms_address || !c->kms_ca || !c->kms_cert || !c->kms_key_id)
		return error_set(
			e, -ENOENT, CAUSE_NOT_CONFIGURED,
			"this vTPM's policy asks for a KMS, but none is configured "
			"on this host: run `vtpmctl host init --kms "
			"kmip://HOST:5696 ...`");
	if (!c->kms_key_sealed || !c->tpm.srk_handle)
		return error_set(
			e, -ENOENT, CAUSE_NOT_CONFIGURED,
			"this host's key for the KMS is not sealed to its TPM: run "
			"`vtpmctl host init --kms kmip://HOST:5696 ...`");
	return 0;
}

static int parse_sealed(const struct unlock_config *c, struct sealed_key *k,
			struct error *e)
{
	struct cursor cur = cursor_reader(c->kms_key_sealed, c->kms_key_sealed_len);

	(void)cursor_bytes(&cur, cursor_u16(&cur)); /* TPM2B_PUBLIC */
	(void)cursor_bytes(&cur, cursor_u16(&cur)); /* TPM2B_PRIVATE */
	k->object = c->kms_key_sealed;
	k->object_len = cur.pos;
	k->iv = cursor_bytes(&cur, CRYPT_IV_SIZE);
	k->ct_len = cursor_u16(&cur);
	k->ct = cursor_bytes(&cur, k->ct_len);
	k->tag = cursor_bytes(&cur, CRYPT_TAG_SIZE);
	if (cursor_done(&cur) && k->ct_len)
		return 0;
	return error_set(
		e, -EBADMSG, CAUSE_NOT_CONFIGURED,
		"this host's sealed key for the KMS is damaged: run `vtpmctl host "
		"init` again");
}

static int open_sealed(const struct sealed_key *k, const uint8_t key[CRYPT_KEY_SIZE],
		       struct pem *pem, struct error *e)
{
	static const char aad[] = "xen-vtpm kms client key";
	int rc;

	pem->size = (size_t)k->ct_len + 1;
	pem->text = calloc(1, pem->size);
	if (!pem->text)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL,
				 "out of memory for the KMS's client key");
	rc = crypt_gcm_open(key, k->iv, (const uint8_t *)aad, sizeof(aad) - 1, k->ct,
			    k->ct_len, (uint8_t *)pem->text, k->tag);
	if (rc == -EBADMSG)
		return error_set(
			e, rc, CAUSE_NOT_CONFIGURED,
			"this host's sealed key for the KMS does not open with what the "
			"TPM unsealed: run `vtpmctl host init` again");
	return rc ? error_crypto(e, rc, "AES-256-GCM") : 0;
}

/* pem_wipe() in any case. */
static int unseal_pem(const struct unlock_config *c, const struct hosttpm_transport *tpm,
		      struct pem *pem, struct error *e)
{
	uint8_t key[CRYPT_KEY_SIZE];
	size_t len = sizeof(key);
	struct sealed_key k;
	int rc;

	rc = parse_sealed(c, &k, e);
	if (rc)
		return rc;
	rc = hosttpm_unseal(&c->tpm, tpm, APPROVAL_KMS, c->tpm.auth, k.object,
			    k.object_len, key, &len, e);
	if (!rc && len != sizeof(key))
		rc = error_set(e, -EBADMSG, CAUSE_NOT_CONFIGURED,
			       "this host's sealed key for the KMS has the wrong length: "
			       "run `vtpmctl host init` again");
	if (!rc)
		rc = open_sealed(&k, key, pem, e);
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

static void pem_wipe(struct pem *pem)
{
	if (pem->text)
		OPENSSL_cleanse(pem->text, pem->size);
	free(pem->text);
}

static struct kms_config kms_config(const struct unlock_config *c, const struct pem *pem)
{
	return (struct kms_config){
		.address = c->kms_address,
		.ca_pem = c->kms_ca,
		.cert_pem = c->kms_cert,
		.key_pem = pem->text,
		.key_id = c->kms_key_id,
	};
}

/* A slot that the KMS does not open again is none, least of all in another's place. */
static int prove(const struct kms_config *config, const struct kms_stream *kms,
		 const struct unlock_config *c, const struct kms_wrapped *wrapped,
		 const uint8_t secret[UNLOCK_SECRET_SIZE], struct error *e)
{
	uint8_t again[UNLOCK_SECRET_SIZE];
	int rc = kms_unwrap(config, kms, c->uuid, sizeof(c->uuid), wrapped, again, e);

	if (!rc && CRYPTO_memcmp(again, secret, sizeof(again)))
		rc = error_set(e, -EPROTO, CAUSE_KMS_REFUSED,
			       "the KMS at %s does not give back what it encrypted: see "
			       "its log; nothing was changed",
			       config->address);
	OPENSSL_cleanse(again, sizeof(again));
	return rc;
}

int unlock_kms_wrap(const struct unlock_config *c, const struct hosttpm_transport *tpm,
		    const struct kms_stream *kms,
		    const uint8_t secret[UNLOCK_SECRET_SIZE], struct kms_wrapped *out,
		    struct error *e)
{
	struct kms_config config;
	struct pem pem = {0};
	int rc;

	rc = unseal_pem(c, tpm, &pem, e);
	if (!rc) {
		config = kms_config(c, &pem);
		rc = kms_wrap(&config, kms, c->uuid, sizeof(c->uuid), secret, out, e);
		if (!rc)
			rc = prove(&config, kms, c, out, secret, e);
	}
	pem_wipe(&pem);
	return rc;
}

int unlock_kms_unwrap(const struct unlock_config *c, const struct hosttpm_transport *tpm,
		      const struct kms_stream *kms, const struct kms_wrapped *in,
		      uint8_t secret[UNLOCK_SECRET_SIZE], struct error *e)
{
	struct kms_config config;
	struct pem pem = {0};
	int rc;

	rc = unseal_pem(c, tpm, &pem, e);
	if (!rc) {
		config = kms_config(c, &pem);
		rc = kms_unwrap(&config, kms, c->uuid, sizeof(c->uuid), in, secret, e);
	}
	pem_wipe(&pem);
	return rc;
}

/* What this host lacks for a slot of this kind. */
static int configured(const struct unlock_config *c, uint16_t kind, struct error *e)
{
	if (!unlock_slot_needs_tpm(kind) && !unlock_slot_needs_kms(kind))
		return error_set(
			e, -EOPNOTSUPP, CAUSE_NOT_CONFIGURED,
			"key slots of kind %u cannot be used here: the policies are "
			"host, kms and tpm",
			kind);
	if (unlock_slot_needs_tpm(kind) &&
	    (!c->tpm.srk_handle || !c->tpm.policy_key || !c->tpm.approvals))
		return error_set(
			e, -ENOENT, CAUSE_NOT_CONFIGURED,
			"this vTPM's policy asks for the host's TPM, but this host "
			"is not set up for it: run `vtpmctl host init`");
	return unlock_slot_needs_kms(kind) ? unlock_kms_configured(c, e) : 0;
}

/* The authValue of the sealed object: without the KMS half, the TPM's is shut. */
static int tpm_auth(const uint8_t uuid[16], const struct unlock_secrets *secrets,
		    uint8_t auth[CRYPT_HASH_SIZE])
{
	static const char label[] = "xen-vtpm tpm auth";
	uint8_t info[sizeof(label) - 1 + 16];
	struct cursor c = cursor_writer(info, sizeof(info));

	cursor_put(&c, label, sizeof(label) - 1);
	cursor_put(&c, uuid, 16);
	return crypt_hkdf(secrets->kms, sizeof(secrets->kms), NULL, 0, info, sizeof(info),
			  auth);
}

/* Two generators, ours and the host TPM's: either alone is enough. */
static int random_mixed(const struct unlock_config *c,
			const struct hosttpm_transport *tpm, uint8_t out[CRYPT_HASH_SIZE],
			struct error *e)
{
	static const char info[] = "xen-vtpm random";
	uint8_t pool[2 * CRYPT_HASH_SIZE] = {0};
	int rc;

	rc = crypt_random(pool, CRYPT_HASH_SIZE);
	if (rc) {
		error_set(e, rc, CAUSE_RANDOM,
			  "there is no good source of random numbers: the processor "
			  "needs RDRAND");
		goto out;
	}
	if (c->tpm.srk_handle)
		rc = hosttpm_random(tpm, pool + CRYPT_HASH_SIZE, CRYPT_HASH_SIZE, e);
	if (rc)
		goto out;
	rc = crypt_hkdf(pool, sizeof(pool), NULL, 0, (const uint8_t *)info,
			sizeof(info) - 1, out);
	if (rc)
		error_crypto(e, rc, "HMAC-SHA256");
out:
	OPENSSL_cleanse(pool, sizeof(pool));
	return rc;
}

static int seal_tpm(const struct unlock_config *c, const struct hosttpm_transport *tpm,
		    uint16_t kind, const struct unlock_secrets *secrets,
		    struct unlock_slot *s, struct error *e)
{
	uint8_t auth[CRYPT_HASH_SIZE];
	const uint8_t *a = unlock_slot_needs_kms(kind) ? auth : NULL;
	int rc;

	rc = tpm_auth(c->uuid, secrets, auth);
	if (rc)
		return error_crypto(e, rc, "HMAC-SHA256");
	memcpy(s->srk_name, c->tpm.srk_name, sizeof(s->srk_name));
	s->object_len = sizeof(s->object);
	rc = hosttpm_seal(&c->tpm, tpm, APPROVAL_VTPM, a, secrets->tpm,
			  sizeof(secrets->tpm), s->object, &s->object_len, e);
	OPENSSL_cleanse(auth, sizeof(auth));
	return rc;
}

static int unseal_tpm(const struct unlock_config *c, const struct hosttpm_transport *tpm,
		      uint16_t kind, const struct unlock_slot *s,
		      struct unlock_secrets *secrets, struct error *e)
{
	uint8_t auth[CRYPT_HASH_SIZE];
	const uint8_t *a = unlock_slot_needs_kms(kind) ? auth : NULL;
	struct error of_tpm = {.cause = CAUSE_NONE};
	size_t len = sizeof(secrets->tpm);
	int rc;

	rc = tpm_auth(c->uuid, secrets, auth);
	if (rc)
		return error_crypto(e, rc, "HMAC-SHA256");
	rc = hosttpm_unseal(&c->tpm, tpm, APPROVAL_VTPM, a, s->object, s->object_len,
			    secrets->tpm, &len, &of_tpm);
	if (rc == -EKEYREJECTED && a)
		error_set(
			e, rc, CAUSE_KMS_REFUSED,
			"the KMS gives another secret for this vTPM than the one that its "
			"key slots were made with, as the host's TPM tells: nothing was "
			"changed; have the KMS's operator see whether the key's material "
			"was replaced");
	else if (rc)
		error_set(e, rc, of_tpm.cause, "%s", of_tpm.text);
	if (!rc && len != sizeof(secrets->tpm))
		rc = error_set(e, -EBADMSG, CAUSE_HEADER_CORRUPT,
			       "what the host's TPM unsealed for this vTPM has the wrong "
			       "length: restore the header from a backup");
	OPENSSL_cleanse(auth, sizeof(auth));
	return rc;
}

/* Seals fresh key shares to the TPM and the KMS. */
static int lock_slot(const struct unlock_config *c, const struct hosttpm_transport *tpm,
		     const struct kms_stream *kms, const uint8_t *data_key,
		     struct envelope_slot *out, struct error *e)
{
	struct unlock_secrets secrets = {0};
	struct unlock_slot s = {0};
	int rc = 0;

	if (unlock_slot_needs_kms(out->kind)) {
		rc = random_mixed(c, tpm, secrets.kms, e);
		if (!rc)
			rc = unlock_kms_wrap(c, tpm, kms, secrets.kms, &s.kms, e);
	}
	if (!rc && unlock_slot_needs_tpm(out->kind)) {
		rc = random_mixed(c, tpm, secrets.tpm, e);
		if (!rc)
			rc = seal_tpm(c, tpm, out->kind, &secrets, &s, e);
	}
	if (rc)
		goto out;
	rc = unlock_slot_wrap(out, c->uuid, &secrets, data_key, &s);
	if (!rc)
		rc = unlock_slot_encode(&s, out);
	if (rc)
		error_set(e, rc, CAUSE_INTERNAL, "the key slot could not be made");
out:
	OPENSSL_cleanse(&secrets, sizeof(secrets));
	return rc;
}

/* Replaces the recovery slot, or adds one. */
static int put_recovery(const struct unlock_config *c, const uint8_t *data_key,
			struct envelope_header *h, struct error *e)
{
	struct envelope_slot *slot;
	uint16_t i = slot_find(h, ENVELOPE_SLOT_RECOVERY);
	int rc;

	if (i == ENVELOPE_SLOTS_MAX)
		return error_set(e, -ENOSPC, CAUSE_INTERNAL,
				 "the header has no room for a recovery slot");
	slot = &h->slots[i];
	if (i == h->slot_count) {
		slot->kind = ENVELOPE_SLOT_RECOVERY;
		slot->id = slot_free_id(h);
		h->slot_count++;
	}
	h->desc.recovery = true;
	rc = recovery_wrap(c->recovery_key, c->recovery_key_len, h->uuid, data_key, slot);
	if (rc == -EIO)
		return error_crypto(e, rc, "the recovery slot");
	return rc ? error_set(e, rc, CAUSE_NOT_CONFIGURED,
			      "the recovery key in host.json cannot be used: run "
			      "`vtpmctl host init --recovery-key` with an EC public key")
		  : 0;
}

int unlock_seal(const struct unlock_config *c, const struct hosttpm_transport *tpm,
		const struct kms_stream *kms, const uint8_t data_key[32], uint64_t seq,
		uint8_t *header, size_t *header_len, struct error *e)
{
	struct envelope_header *h;
	int rc = configured(c, c->desc.policy, e);

	if (rc)
		return rc;
	h = calloc(1, sizeof(*h));
	if (!h)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	memcpy(h->uuid, c->uuid, sizeof(h->uuid));
	h->seq = seq;
	h->epoch = c->epoch;
	h->desc = c->desc;
	h->desc.recovery = false;
	h->slot_count = 1;
	h->slots[0].kind = c->desc.policy;
	rc = lock_slot(c, tpm, kms, data_key, &h->slots[0], e);
	if (!rc && c->recovery_key)
		rc = put_recovery(c, data_key, h, e);
	if (!rc) {
		rc = envelope_header_seal(h, data_key, header, header_len);
		if (rc)
			error_set(e, rc, CAUSE_INTERNAL, "the header could not be made");
	}
	free(h);
	return rc;
}

int unlock_new_key(const struct unlock_config *c, const struct hosttpm_transport *tpm,
		   uint8_t data_key[32], struct error *e)
{
	return random_mixed(c, tpm, data_key, e);
}

int unlock_create(const struct unlock_config *c, const struct hosttpm_transport *tpm,
		  const struct kms_stream *kms, uint8_t data_key[32], uint8_t *header,
		  size_t *header_len, struct error *e)
{
	int rc = configured(c, c->desc.policy, e);

	if (!rc)
		rc = unlock_new_key(c, tpm, data_key, e);
	if (!rc)
		rc = unlock_seal(c, tpm, kms, data_key, 1, header, header_len, e);
	if (rc)
		OPENSSL_cleanse(data_key, ENVELOPE_KEY_SIZE);
	return rc;
}

/* Whether a slot is for the recovery key that is configured. */
static bool has_recovery(const struct unlock_config *c, const struct envelope_header *h)
{
	uint8_t want[CRYPT_HASH_SIZE], got[CRYPT_HASH_SIZE];
	size_t i;

	if (recovery_key_id(c->recovery_key, c->recovery_key_len, want))
		return false;
	for (i = 0; i < h->slot_count; i++)
		if (!recovery_slot_key(&h->slots[i], got) &&
		    !memcmp(want, got, sizeof(want)))
			return true;
	return false;
}

int unlock_amend(const struct unlock_config *c, const uint8_t *header, size_t header_len,
		 const uint8_t data_key[32], uint8_t *out, size_t *out_len, uint64_t *seq,
		 struct error *e)
{
	struct envelope_header *h = malloc(sizeof(*h));
	int rc = h ? 0 : -ENOMEM;

	if (!rc)
		rc = envelope_header_parse(header, header_len, h, e);
	if (rc || !c->recovery_key || has_recovery(c, h)) {
		free(h);
		return rc;
	}
	rc = put_recovery(c, data_key, h, e);
	*seq = ++h->seq;
	h->epoch = c->epoch;
	if (!rc)
		rc = envelope_header_seal(h, data_key, out, out_len);
	free(h);
	return rc ? rc : 1;
}

static int open_unlock_slot(const struct unlock_config *c,
			    const struct hosttpm_transport *tpm,
			    const struct kms_stream *kms,
			    const struct envelope_slot *slot,
			    uint8_t data_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct unlock_secrets secrets = {0};
	struct unlock_slot s;
	int rc;

	rc = configured(c, slot->kind, e);
	if (!rc)
		rc = unlock_slot_parse(slot, &s, e);
	if (rc)
		return rc;
	if (unlock_slot_needs_tpm(slot->kind) &&
	    memcmp(s.srk_name, c->tpm.srk_name, sizeof(s.srk_name)))
		return error_set(
			e, -EXDEV, CAUSE_TPM_REPLACED,
			"this vTPM is sealed to another TPM than this host's: start "
			"it on its own host; when that is lost, `vtpmctl recover` it "
			"with the recovery key; nothing was changed");
	if (unlock_slot_needs_kms(slot->kind))
		rc = unlock_kms_unwrap(c, tpm, kms, &s.kms, secrets.kms, e);
	if (!rc && unlock_slot_needs_tpm(slot->kind))
		rc = unseal_tpm(c, tpm, slot->kind, &s, &secrets, e);
	if (!rc)
		rc = unlock_slot_unwrap(slot, c->uuid, &secrets, &s, data_key, e);
	OPENSSL_cleanse(&secrets, sizeof(secrets));
	return rc;
}

/* Of several slots' failures, the one of this host's own slot is the answer. */
static bool is_more_specific(const struct error *than, const struct error *e)
{
	if (than->cause == CAUSE_NONE)
		return true;
	return e->cause != CAUSE_NOT_CONFIGURED && e->cause != CAUSE_TPM_REPLACED &&
	       (than->cause == CAUSE_NOT_CONFIGURED || than->cause == CAUSE_TPM_REPLACED);
}

static int open_slots(const struct unlock_config *c, const struct hosttpm_transport *tpm,
		      const struct kms_stream *kms, const struct envelope_header *h,
		      uint8_t data_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct error best = {0};
	int rc, best_rc = -ENOENT;
	size_t i;

	for (i = 0; i < h->slot_count; i++) {
		struct error one = {0};

		/* those of other kinds are not for a manager */
		if (h->slots[i].kind != h->desc.policy)
			continue;
		rc = open_unlock_slot(c, tpm, kms, &h->slots[i], data_key, &one);
		if (!rc)
			return 0;
		if (is_more_specific(&best, &one)) {
			best = one;
			best_rc = rc;
		}
	}
	if (best.cause == CAUSE_NONE)
		return error_set(e, best_rc, CAUSE_HEADER_CORRUPT,
				 "the vTPM's header has no key slot of its policy: "
				 "restore it from a backup");
	return error_set(e, best_rc, best.cause, "%s", best.text);
}

int unlock_open(const struct unlock_config *c, const struct hosttpm_transport *tpm,
		const struct kms_stream *kms, const uint8_t *header, size_t header_len,
		uint8_t data_key[32], struct envelope_desc *desc, struct error *e)
{
	struct envelope_header *h = malloc(sizeof(*h));
	int rc;

	if (!h)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	rc = envelope_header_parse(header, header_len, h, e);
	if (!rc && memcmp(h->uuid, c->uuid, sizeof(h->uuid)))
		rc = error_set(
			e, -EXDEV, CAUSE_WRONG_VTPM,
			"the header in this vTPM's folder belongs to another vTPM: "
			"put the files of one vTPM together again");
	if (!rc)
		rc = open_slots(c, tpm, kms, h, data_key, e);
	if (!rc)
		rc = envelope_header_verify(header, header_len, data_key, e);
	if (rc)
		OPENSSL_cleanse(data_key, ENVELOPE_KEY_SIZE);
	else
		*desc = h->desc;
	free(h);
	return rc;
}
