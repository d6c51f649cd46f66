/* SPDX-License-Identifier: Apache-2.0 */
#include "unlock_kms.h"
#include "lib/cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

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

int unlock_kms_configured(const struct unlock_config *c, struct error *e)
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
