/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/unlock.h"
#include "include/channel.h"
#include "lib/cursor.h"
#include "lib/slot/recovery.h"
#include "lib/slot/shares.h"
#include "lib/vault.h"
#include "stubdom/manager/poolshare.h"

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
	bool has_token = c->kms_key_id && vault_is_key_id(c->kms_key_id);

	if (!c->kms_address || !c->kms_ca || !c->kms_key_id ||
	    (!c->kms_cert && !has_token))
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

static const uint8_t kms_key_aad[] = "xen-vtpm kms client key"; /* its zero is not part */

static int open_sealed(const struct sealed_key *k, const uint8_t key[CRYPT_KEY_SIZE],
		       struct pem *pem, struct error *e)
{
	int rc;

	pem->size = (size_t)k->ct_len + 1;
	pem->text = calloc(1, pem->size);
	if (!pem->text)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL,
				 "out of memory for the KMS's client key");
	rc = crypt_gcm_open(key, k->iv, kms_key_aad, sizeof(kms_key_aad) - 1, k->ct,
			    k->ct_len, (uint8_t *)pem->text, k->tag);
	if (rc == -EBADMSG)
		return error_set(
			e, rc, CAUSE_NOT_CONFIGURED,
			"this host's sealed key for the KMS does not open with what the "
			"TPM unsealed: run `vtpmctl host init` again");
	return rc ? error_crypto(e, rc, "AES-256-GCM") : 0;
}

/* pem_wipe() in any case. */
static int unseal_pem(const struct unlock *u, struct pem *pem)
{
	const struct unlock_config *c = u->config;
	uint8_t key[CRYPT_KEY_SIZE];
	size_t len = sizeof(key);
	struct sealed_key k;
	int rc;

	rc = parse_sealed(c, &k, u->error);
	if (rc)
		return rc;
	rc = hosttpm_unseal(&c->tpm, &u->tpm, APPROVAL_KMS, c->tpm.auth, k.object,
			    k.object_len, key, &len, u->error);
	if (!rc && len != sizeof(key))
		rc = error_set(u->error, -EBADMSG, CAUSE_NOT_CONFIGURED,
			       "this host's sealed key for the KMS has the wrong length: "
			       "run `vtpmctl host init` again");
	if (!rc)
		rc = open_sealed(&k, key, pem, u->error);
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

static void pem_wipe(struct pem *pem)
{
	if (pem->text)
		OPENSSL_cleanse(pem->text, pem->size);
	free(pem->text);
}

/* Encrypts the client key under key, behind what it is sealed with. */
static int encrypt_pem(const char *pem, const uint8_t key[CRYPT_KEY_SIZE],
		       struct cursor *out)
{
	uint8_t iv[CRYPT_IV_SIZE], tag[CRYPT_TAG_SIZE];
	size_t len = strlen(pem);
	uint8_t *ct = malloc(len + 1);
	int rc = ct ? crypt_random(iv, sizeof(iv)) : -ENOMEM;

	if (!rc)
		rc = crypt_gcm_seal(key, iv, kms_key_aad, sizeof(kms_key_aad) - 1,
				    (const uint8_t *)pem, len, ct, tag);
	if (!rc) {
		cursor_put(out, iv, sizeof(iv));
		cursor_put_u16(out, (uint16_t)len);
		cursor_put(out, ct, len);
		cursor_put(out, tag, sizeof(tag));
		rc = len <= UINT16_MAX && cursor_ok(out) ? 0 : -EMSGSIZE;
	}
	free(ct);
	return rc;
}

/* Opens what was sealed just now. */
static int check_sealed(const struct unlock *u, const char *key_pem,
			const uint8_t *sealed, size_t len)
{
	struct unlock_config config = *u->config;
	struct unlock again = *u;
	struct pem pem = {0};
	int rc;

	config.kms_key_sealed = sealed;
	config.kms_key_sealed_len = len;
	again.config = &config;
	rc = unseal_pem(&again, &pem);
	if (!rc && strcmp(pem.text, key_pem))
		rc = error_set(
			u->error, -EIO, CAUSE_TPM_REFUSED,
			"the host's TPM unsealed something else than it sealed; do not "
			"use it");
	pem_wipe(&pem);
	OPENSSL_cleanse(&config, sizeof(config));
	return rc;
}

int unlock_kms_seal_key(const struct unlock *u, const char *key_pem, uint8_t *out,
			size_t *len)
{
	const struct hosttpm_config *tpm = &u->config->tpm;
	uint8_t key[CRYPT_KEY_SIZE], object[HOSTTPM_OBJECT_MAX];
	size_t object_len = sizeof(object);
	struct cursor c = cursor_writer(out, *len);
	int rc = crypt_random(key, sizeof(key));

	if (rc) {
		OPENSSL_cleanse(key, sizeof(key));
		return error_set(
			u->error, rc, CAUSE_RANDOM,
			"there is no good randomness yet; try again in a minute");
	}
	rc = hosttpm_seal(tpm, &u->tpm, APPROVAL_KMS, tpm->auth, key, sizeof(key), object,
			  &object_len, u->error);
	if (!rc) {
		cursor_put(&c, object, object_len);
		rc = encrypt_pem(key_pem, key, &c);
	}
	OPENSSL_cleanse(key, sizeof(key));
	*len = c.pos;
	return rc ? error_set(u->error, rc, CAUSE_INTERNAL,
			      "OpenSSL could not encrypt the KMS key")
		  : check_sealed(u, key_pem, out, *len);
}

int unlock_kms_move_key(const struct unlock *from, const struct unlock *to, uint8_t *out,
			size_t *len)
{
	struct pem pem = {0};
	int rc = unseal_pem(from, &pem);

	if (!rc)
		rc = unlock_kms_seal_key(to, pem.text, out, len);
	pem_wipe(&pem);
	return rc;
}

static struct kms_config kms_config(const struct unlock_config *c, const struct pem *pem)
{
	return (struct kms_config){
		.address = c->kms_address,
		.ca_pem = c->kms_ca,
		.cert_pem = c->kms_cert,
		.key_pem = pem->text,
		.key_id = c->kms_key_id,
		.token = c->token,
	};
}

/* A slot that the KMS does not open again is none, least of all in another's place. */
static int prove(const struct unlock *u, const struct kms_config *config,
		 const struct kms_wrapped *wrapped, const uint8_t secret[KMS_SECRET_SIZE])
{
	const uint8_t *uuid = u->config->uuid;
	uint8_t again[KMS_SECRET_SIZE];
	int rc = kms_unwrap(config, &u->kms, uuid, ENVELOPE_UUID_SIZE, wrapped, again,
			    u->error);

	if (!rc && CRYPTO_memcmp(again, secret, sizeof(again)))
		rc = error_set(u->error, -EPROTO, CAUSE_KMS_REFUSED,
			       "the KMS at %s does not give back what it encrypted: see "
			       "its log; nothing was changed",
			       config->address);
	OPENSSL_cleanse(again, sizeof(again));
	return rc;
}

int unlock_kms_wrap(const struct unlock *u, const uint8_t secret[KMS_SECRET_SIZE],
		    struct kms_wrapped *out)
{
	struct kms_config config;
	struct pem pem = {0};
	int rc = unseal_pem(u, &pem);

	if (!rc) {
		config = kms_config(u->config, &pem);
		rc = kms_wrap(&config, &u->kms, u->config->uuid, ENVELOPE_UUID_SIZE,
			      secret, out, u->error);
		if (!rc)
			rc = prove(u, &config, out, secret);
	}
	pem_wipe(&pem);
	return rc;
}

int unlock_kms_unwrap(const struct unlock *u, const struct kms_wrapped *in,
		      uint8_t secret[KMS_SECRET_SIZE])
{
	struct kms_config config;
	struct pem pem = {0};
	int rc = unseal_pem(u, &pem);

	if (!rc) {
		config = kms_config(u->config, &pem);
		rc = kms_unwrap(&config, &u->kms, u->config->uuid, ENVELOPE_UUID_SIZE, in,
				secret, u->error);
	}
	pem_wipe(&pem);
	return rc;
}

int unlock_kms_derive(const struct unlock *u, bool is_new, struct kms_derived *d,
		      uint8_t secret[KMS_SECRET_SIZE])
{
	struct kms_config config;
	struct pem pem = {0};
	int rc;

	if (u->keeps_key_away)
		return error_set(
			u->error, -EPERM, CAUSE_NOT_CONFIGURED,
			"the KMS gives its key out for this vTPM, and with it all "
			"vTPMs of that key open: it comes into domain 0 "
			"only by `vtpmctl recover --fetch-kms-key`");
	rc = unseal_pem(u, &pem);
	if (!rc) {
		config = kms_config(u->config, &pem);
		rc = kms_derive(&config, &u->kms, u->config->uuid, ENVELOPE_UUID_SIZE,
				is_new, d, secret, u->error);
	}
	pem_wipe(&pem);
	return rc;
}

int unlock_kms_probe(const struct unlock *u)
{
	struct kms_config config;
	struct pem pem = {0};
	int rc = unseal_pem(u, &pem);

	if (!rc) {
		config = kms_config(u->config, &pem);
		rc = kms_probe(&config, &u->kms, u->error);
	}
	pem_wipe(&pem);
	return rc;
}

/* What this host lacks for the vTPM's policy. */
static int check_configured(const struct unlock *u, uint16_t policy)
{
	const struct slot_kind *k = slot_kind_find(policy);
	const struct hosttpm_config *tpm = &u->config->tpm;

	if (!k || (!k->is_offered && !k->is_pool))
		return error_set(
			u->error, -EOPNOTSUPP, CAUSE_NOT_CONFIGURED,
			"key slots of kind %u cannot be used here: the policies are "
			"host, kms, tpm, host-get and kms-get",
			policy);
	if (k->has_tpm && (!tpm->srk_handle || !tpm->policy_key || !tpm->approvals))
		return error_set(
			u->error, -ENOENT, CAUSE_NOT_CONFIGURED,
			"this vTPM's policy asks for the host's TPM, but this host "
			"is not set up for it: run `vtpmctl host init`");
	if (k->is_pool && !u->config->pool_keys)
		return error_set(
			u->error, -ENOKEY, CAUSE_NOT_CONFIGURED,
			"this vTPM is sealed to its pool's key, and the list of hosts that "
			"this host knows has none for its TPM: sign this host in by "
			"`vtpmctl pool publish --policy-key FILE`, or start the vTPM on a "
			"host of the pool");
	return k->has_kms ? unlock_kms_configured(u->config, u->error) : 0;
}

/* Two generators, ours and the host TPM's: either alone is enough. */
int unlock_random(const struct unlock *u, uint8_t out[CRYPT_HASH_SIZE])
{
	static const char info[] = "xen-vtpm random";
	uint8_t pool[2 * CRYPT_HASH_SIZE] = {0};
	int rc;

	rc = crypt_random(pool, CRYPT_HASH_SIZE);
	if (rc) {
		error_set(u->error, rc, CAUSE_RANDOM,
			  "there is no good source of random numbers: the processor "
			  "needs RDRAND");
		goto out;
	}
	if (u->config->tpm.srk_handle)
		rc = hosttpm_random(&u->tpm, pool + CRYPT_HASH_SIZE, CRYPT_HASH_SIZE,
				    u->error);
	if (rc)
		goto out;
	rc = crypt_hkdf(pool, sizeof(pool), NULL, 0, (const uint8_t *)info,
			sizeof(info) - 1, out);
	if (rc)
		error_crypto(u->error, rc, "HMAC-SHA256");
out:
	OPENSSL_cleanse(pool, sizeof(pool));
	return rc;
}

static int seal_tpm(const struct unlock *u, const uint8_t *auth,
		    const uint8_t share[SLOT_SHARE_SIZE], uint8_t *object,
		    size_t *object_len)
{
	return hosttpm_seal(&u->config->tpm, &u->tpm, APPROVAL_VTPM, auth, share,
			    SLOT_SHARE_SIZE, object, object_len, u->error);
}

static int unseal_tpm(const struct unlock *u, const uint8_t *auth, const uint8_t *object,
		      size_t object_len, uint8_t share[SLOT_SHARE_SIZE])
{
	struct error of_tpm = {.cause = CAUSE_NONE};
	size_t len = SLOT_SHARE_SIZE;
	int rc = hosttpm_unseal(&u->config->tpm, &u->tpm, APPROVAL_VTPM, auth, object,
				object_len, share, &len, &of_tpm);

	if (rc == -EKEYREJECTED && auth)
		error_set(
			u->error, rc, CAUSE_KMS_REFUSED,
			"the KMS gives another secret for this vTPM than the one that its "
			"key slots were made with, as the host's TPM tells: nothing was "
			"changed; have the KMS's operator see whether the key's material "
			"was replaced");
	else if (rc)
		error_set(u->error, rc, of_tpm.cause, "%s", of_tpm.text);
	if (!rc && len != SLOT_SHARE_SIZE)
		rc = error_set(u->error, -EBADMSG, CAUSE_HEADER_CORRUPT,
			       "what the host's TPM unsealed for this vTPM has the wrong "
			       "length: restore the header from a backup");
	return rc;
}

/* The pool key of this version, 0: the newest; NULL: this host has it not. */
static const struct tpm2_bytes *find_pool_key(const struct unlock_config *c,
					      uint32_t *version)
{
	unsigned int i = c->pool_keys;

	if (!*version && i)
		*version = c->pool_key[i - 1].version;
	while (i--)
		if (c->pool_key[i].version == *version)
			return &c->pool_key[i].object;
	return NULL;
}

static int derive_pool(const struct unlock *u, uint32_t *version,
		       const uint8_t nonce[SLOT_SHARE_SIZE],
		       uint8_t share[SLOT_SHARE_SIZE])
{
	const struct tpm2_bytes *key = find_pool_key(u->config, version);
	uint8_t data[SHARES_POOL_SIZE];

	if (!key)
		return error_set(
			u->error, -ENOKEY, CAUSE_NOT_CONFIGURED,
			"this vTPM's key slot was made with version %u of its pool's key, "
			"which this host does not have: start the vTPM on a host of the "
			"pool that has it, where the slot is made anew (`vtpmctl pool "
			"show` there)",
			*version);
	shares_pool_data(*version, u->config->uuid, nonce, data);
	return poolshare_derive(&u->config->tpm, &u->tpm, *key,
				(struct tpm2_bytes){data, sizeof(data)}, share, u->error);
}

static struct slot_context context_of(const struct unlock *u)
{
	static const struct slot_host host = {
		.random = unlock_random,
		.tpm_seal = seal_tpm,
		.tpm_unseal = unseal_tpm,
		.kms_wrap = unlock_kms_wrap,
		.kms_unwrap = unlock_kms_unwrap,
		.kms_derive = unlock_kms_derive,
		.pool_derive = derive_pool,
	};

	return (struct slot_context){
		.uuid = u->config->uuid,
		.error = u->error,
		.host = &host,
		.unlock = u,
		.srk_name = u->config->tpm.srk_name,
		.recovery_key = u->config->recovery_key,
		.recovery_key_len = u->config->recovery_key_len,
	};
}

static int put_recovery(const struct unlock *u, struct envelope_header *h,
			const uint8_t *data_key)
{
	const struct slot_context x = context_of(u);

	h->desc.recovery = true;
	return slot_put(&x, h, ENVELOPE_SLOT_RECOVERY, data_key);
}

uint16_t unlock_policy(const struct unlock_config *c)
{
	if (c->leased && !c->in_pool)
		return c->desc.policy;
	return slot_kind_of_place(c->desc.policy, c->in_pool);
}

bool unlock_is_old(const struct unlock_config *c, const uint8_t *header,
		   size_t header_len)
{
	uint32_t newest = 0, version = shares_pool_version(header, header_len);

	if (unlock_policy(c) != c->desc.policy)
		return true;
	return version && find_pool_key(c, &newest) && version < newest;
}

int unlock_seal(const struct unlock *u, const uint8_t data_key[32], uint64_t seq,
		uint8_t *header, size_t *header_len)
{
	const struct slot_context x = context_of(u);
	struct envelope_header *h;
	uint16_t policy = unlock_policy(u->config);
	int rc = check_configured(u, policy);

	if (rc)
		return rc;
	h = calloc(1, sizeof(*h));
	if (!h)
		return error_set(u->error, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	memcpy(h->uuid, u->config->uuid, sizeof(h->uuid));
	h->seq = seq;
	h->epoch = u->config->epoch;
	h->desc = u->config->desc;
	h->desc.policy = policy;
	h->desc.recovery = false;
	h->slot_count = 1;
	h->slots[0].kind = h->desc.policy;
	rc = slot_seal(&x, &h->slots[0], data_key);
	if (!rc && u->config->recovery_key)
		rc = put_recovery(u, h, data_key);
	if (!rc) {
		rc = envelope_header_seal(h, data_key, header, header_len);
		if (rc)
			error_set(u->error, rc, CAUSE_INTERNAL,
				  "the header could not be made");
	}
	free(h);
	return rc;
}

int unlock_create(const struct unlock *u, uint8_t data_key[32], uint8_t *header,
		  size_t *header_len)
{
	int rc = check_configured(u, unlock_policy(u->config));

	if (!rc)
		rc = unlock_random(u, data_key);
	if (!rc)
		rc = unlock_seal(u, data_key, 1, header, header_len);
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

int unlock_amend(const struct unlock *u, const uint8_t *header, size_t header_len,
		 const uint8_t data_key[32], uint8_t *out, size_t *out_len, uint64_t *seq)
{
	struct envelope_header *h = malloc(sizeof(*h));
	int rc = h ? 0 : -ENOMEM;

	if (!rc)
		rc = envelope_header_parse(header, header_len, h, u->error);
	if (rc || !u->config->recovery_key || has_recovery(u->config, h)) {
		free(h);
		return rc;
	}
	rc = put_recovery(u, h, data_key);
	*seq = ++h->seq;
	h->epoch = u->config->epoch;
	if (!rc)
		rc = envelope_header_seal(h, data_key, out, out_len);
	free(h);
	return rc ? rc : 1;
}

/* Of several slots' failures, the one of this host's own slot is the answer. */
static bool is_more_specific(const struct error *than, const struct error *e)
{
	if (than->cause == CAUSE_NONE)
		return true;
	return e->cause != CAUSE_NOT_CONFIGURED && e->cause != CAUSE_TPM_REPLACED &&
	       (than->cause == CAUSE_NOT_CONFIGURED || than->cause == CAUSE_TPM_REPLACED);
}

/* Says, where its own TPM is not there, what else opens the vTPM. */
static int unlock_replaced(const struct unlock *u, const struct envelope_header *h,
			   int rc, const struct error *why)
{
	const char *name = u->config->name[0] ? u->config->name : "NAME";

	if (slot_find(h, ENVELOPE_SLOT_RECOVERY) == h->slot_count)
		return error_set(
			u->error, rc, why->cause,
			"%s (this vTPM has no recovery slot: nothing else opens it)",
			why->text);
	return error_set(u->error, rc, why->cause,
			 "%s (this vTPM has a recovery slot: `vtpmctl recover %s --key "
			 "FILE` seals it to this TPM)",
			 why->text, name);
}

static int open_slots(const struct unlock *u, const struct envelope_header *h,
		      uint8_t data_key[ENVELOPE_KEY_SIZE])
{
	struct error best = {0};
	int rc, best_rc = -ENOENT;
	size_t i;

	for (i = 0; i < h->slot_count; i++) {
		struct error one = {0};
		struct unlock try = *u;
		struct slot_context x;

		/* those of other kinds are not for a manager */
		if (h->slots[i].kind != h->desc.policy)
			continue;
		try.error = &one;
		x = context_of(&try);
		rc = check_configured(&try, h->desc.policy);
		if (!rc)
			rc = slot_open(&x, &h->slots[i], data_key);
		if (!rc)
			return 0;
		if (is_more_specific(&best, &one)) {
			best = one;
			best_rc = rc;
		}
	}
	if (best.cause == CAUSE_NONE)
		return error_set(u->error, best_rc, CAUSE_HEADER_CORRUPT,
				 "the vTPM's header has no key slot of its policy: "
				 "restore it from a backup");
	if (best.cause == CAUSE_TPM_REPLACED)
		return unlock_replaced(u, h, best_rc, &best);
	return error_set(u->error, best_rc, best.cause, "%s", best.text);
}

int unlock_open(const struct unlock *u, const uint8_t *header, size_t header_len,
		uint8_t data_key[32], struct envelope_desc *desc)
{
	struct envelope_header *h = malloc(sizeof(*h));
	int rc;

	if (!h)
		return error_set(u->error, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	rc = envelope_header_parse(header, header_len, h, u->error);
	if (!rc && memcmp(h->uuid, u->config->uuid, sizeof(h->uuid)))
		rc = error_set(
			u->error, -EXDEV, CAUSE_WRONG_VTPM,
			"the header in this vTPM's folder belongs to another vTPM: "
			"put the files of one vTPM together again");
	if (!rc)
		rc = open_slots(u, h, data_key);
	if (!rc)
		rc = envelope_header_verify(header, header_len, data_key, u->error);
	if (rc)
		OPENSSL_cleanse(data_key, ENVELOPE_KEY_SIZE);
	else
		*desc = h->desc;
	free(h);
	return rc;
}
