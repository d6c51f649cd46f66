/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tpm2/commands.h"

#include <errno.h>
#include <string.h>

/* A response's parameters that have all been read, or are nonsense. */
static int finish(const struct tpm2_cmd *c)
{
	return cursor_done(&c->out) ? 0 : -EBADMSG;
}

/* A command about one object, which auth authorizes. */
static void begin_on(struct tpm2_cmd *c, TPM2_CC code, struct tpm2_object object,
		     const struct tpm2_auth *auth, TPMA_SESSION attributes)
{
	tpm2_begin(c, code);
	tpm2_handle(c, object.handle, object.name);
	tpm2_authorize(c, auth, attributes);
}

static void begin_on_platform(struct tpm2_cmd *c, TPM2_CC code,
			      const struct tpm2_auth *auth)
{
	begin_on(c, code, (struct tpm2_object){.handle = TPM2_RH_PLATFORM}, auth, 0);
}

/* A command without authorization, about one handle; it has no parameters so far. */
static void begin_plain(struct tpm2_cmd *c, TPM2_CC code, uint32_t handle)
{
	tpm2_begin(c, code);
	tpm2_handle(c, handle, NULL);
}

/* Part 3, 9.3 */
int tpm2_startup(struct tpm2_cmd *c)
{
	tpm2_begin(c, TPM2_CC_Startup);
	cursor_put_u16(&c->in, TPM2_SU_CLEAR);
	return tpm2_run(c);
}

/* Part 3, 30.2; c->out is at the list. */
static int get_capability(struct tpm2_cmd *c, uint32_t capability, uint32_t property,
			  uint32_t count, uint32_t *n)
{
	int rc;

	tpm2_begin(c, TPM2_CC_GetCapability);
	cursor_put_u32(&c->in, capability);
	cursor_put_u32(&c->in, property);
	cursor_put_u32(&c->in, count);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	(void)cursor_u8(&c->out); /* moreData */
	if (cursor_u32(&c->out) != capability)
		return -EBADMSG;
	*n = cursor_u32(&c->out);
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

int tpm2_get_property(struct tpm2_cmd *c, uint32_t property, uint32_t *value)
{
	uint32_t n;
	int rc = get_capability(c, TPM2_CAP_TPM_PROPERTIES, property, 1, &n);

	if (rc)
		return rc;
	if (n != 1 || cursor_u32(&c->out) != property)
		return -EBADMSG;
	*value = cursor_u32(&c->out);
	return finish(c);
}

int tpm2_get_banks(struct tpm2_cmd *c, uint32_t pcrs[TPM2_BANKS])
{
	uint32_t n, i, has;
	uint16_t alg;
	const struct tpm2_hash *hash;
	int rc = get_capability(c, TPM2_CAP_PCRS, 0, TPM2_NUM_PCR_BANKS, &n);

	memset(pcrs, 0, TPM2_BANKS * sizeof(*pcrs));
	if (rc)
		return rc;
	for (i = 0; i < n && cursor_ok(&c->out); i++) {
		has = tpm2_get_selection(&c->out, &alg);
		hash = tpm2_hash_of(alg);
		if (hash && hash < tpm2_hashes + TPM2_BANKS)
			pcrs[hash - tpm2_hashes] = has;
	}
	return finish(c);
}

int tpm2_read_clock(struct tpm2_cmd *c, uint64_t *clock)
{
	int rc;

	tpm2_begin(c, TPM2_CC_ReadClock);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	(void)cursor_u64(&c->out); /* time, since the power-on */
	*clock = cursor_u64(&c->out);
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

int tpm2_clock_set(struct tpm2_cmd *c, const struct tpm2_auth *auth, uint64_t clock)
{
	begin_on_platform(c, TPM2_CC_ClockSet, auth);
	cursor_put_u64(&c->in, clock);
	return tpm2_run(c);
}

/* Part 3, 24.8 */
int tpm2_hierarchy_change_auth(struct tpm2_cmd *c, const struct tpm2_auth *auth,
			       struct tpm2_bytes new_auth)
{
	begin_on_platform(c, TPM2_CC_HierarchyChangeAuth, auth);
	tpm2_put_2b(&c->in, new_auth);
	return tpm2_run(c);
}

/* Part 3, 24.7 */
int tpm2_clear_control(struct tpm2_cmd *c, const struct tpm2_auth *auth, bool disable)
{
	begin_on_platform(c, TPM2_CC_ClearControl, auth);
	cursor_put_u8(&c->in, disable);
	return tpm2_run(c);
}

/* Part 3, 24.6 */
int tpm2_clear(struct tpm2_cmd *c, const struct tpm2_auth *auth)
{
	begin_on_platform(c, TPM2_CC_Clear, auth);
	return tpm2_run(c);
}

/* Part 3, 22.5 */
int tpm2_pcr_allocate(struct tpm2_cmd *c, const struct tpm2_auth *auth,
		      unsigned int banks)
{
	int i, rc;

	begin_on_platform(c, TPM2_CC_PCR_Allocate, auth);
	cursor_put_u32(&c->in, TPM2_BANKS);
	for (i = 0; i < TPM2_BANKS; i++)
		tpm2_put_selection(&c->in, tpm2_hashes[i].id,
				   banks >> i & 1 ? UINT32_MAX : 0);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	return cursor_u8(&c->out) ? 0 : -ENOSPC; /* allocationSuccess */
}

/* Part 3, 22.2 */
int tpm2_pcr_extend(struct tpm2_cmd *c, uint32_t pcr, unsigned int banks,
		    const uint8_t *digests)
{
	int i;

	begin_on(c, TPM2_CC_PCR_Extend, (struct tpm2_object){.handle = pcr}, NULL, 0);
	cursor_put_u32(&c->in, (uint32_t)__builtin_popcount(banks));
	for (i = 0; i < TPM2_BANKS; digests += tpm2_hashes[i++].size) {
		if (!(banks >> i & 1))
			continue;
		cursor_put_u16(&c->in, tpm2_hashes[i].id);
		cursor_put(&c->in, digests, tpm2_hashes[i].size);
	}
	return tpm2_run(c);
}

int tpm2_pcr_read(struct tpm2_cmd *c, const struct tpm2_hash *bank, uint32_t pcrs,
		  uint32_t *got, uint8_t *value)
{
	struct tpm2_bytes digest;
	uint32_t count, i;
	uint16_t alg;
	int rc;

	tpm2_begin(c, TPM2_CC_PCR_Read);
	cursor_put_u32(&c->in, 1);
	tpm2_put_selection(&c->in, bank->id, pcrs);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	(void)cursor_u32(&c->out); /* pcrUpdateCounter */
	if (cursor_u32(&c->out) != 1)
		return -EBADMSG;
	*got = tpm2_get_selection(&c->out, &alg);
	if (alg != bank->id)
		return -EBADMSG;
	count = cursor_u32(&c->out);
	for (i = 0; i < TPM2_PCRS; i++) {
		if (!(*got & 1u << i))
			continue;
		digest = tpm2_get_2b(&c->out);
		if (digest.n != bank->size || !count--)
			return -EBADMSG;
		memcpy(value + i * bank->size, digest.p, digest.n);
	}
	return count ? -EBADMSG : finish(c);
}

int tpm2_get_random(struct tpm2_cmd *c, size_t len, struct tpm2_bytes *random)
{
	int rc;

	tpm2_begin(c, TPM2_CC_GetRandom);
	cursor_put_u16(&c->in, (uint16_t)len);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	*random = tpm2_get_2b(&c->out);
	return random->n && random->n <= len ? finish(c) : -EBADMSG;
}

/* What Create and CreatePrimary have in common: inSensitive, inPublic, outsideInfo,
 * creationPCR. */
static void put_creation(struct cursor *w, const struct tpm2_template *t,
			 struct tpm2_bytes auth, struct tpm2_bytes secret)
{
	size_t mark = cursor_mark_u16(w);

	tpm2_put_2b(w, auth);
	tpm2_put_2b(w, secret);
	cursor_patch_u16(w, mark);
	tpm2_put_public(w, t);
	cursor_put_u16(w, 0);
	cursor_put_u32(w, 0);
}

/* Part 3, 24.1 */
int tpm2_create_primary(struct tpm2_cmd *c, uint32_t hierarchy,
			const struct tpm2_auth *auth, const struct tpm2_template *t,
			struct tpm2_bytes *public, struct tpm2_bytes *name)
{
	const struct tpm2_bytes none = {0};
	int rc;

	begin_on(c, TPM2_CC_CreatePrimary, (struct tpm2_object){.handle = hierarchy},
		 auth, 0);
	c->gives_handle = true;
	put_creation(&c->in, t, none, none);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	*public = tpm2_get_2b(&c->out);
	(void)tpm2_get_2b(&c->out);	    /* creationData */
	(void)tpm2_get_2b(&c->out);	    /* creationHash */
	(void)cursor_bytes(&c->out, 2 + 4); /* creationTicket: tag, hierarchy */
	(void)tpm2_get_2b(&c->out);
	*name = tpm2_get_2b(&c->out);
	return finish(c);
}

int tpm2_create(struct tpm2_cmd *c, struct tpm2_object parent, const struct tpm2_auth *by,
		const struct tpm2_template *t, struct tpm2_bytes auth,
		struct tpm2_bytes secret, struct tpm2_bytes *public,
		struct tpm2_bytes *private)
{
	int rc;

	begin_on(c, TPM2_CC_Create, parent, by, TPMA_SESSION_DECRYPT);
	put_creation(&c->in, t, auth, secret);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	*private = tpm2_get_2b(&c->out);
	*public = tpm2_get_2b(&c->out);
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

int tpm2_load(struct tpm2_cmd *c, struct tpm2_object parent, const struct tpm2_auth *by,
	      struct tpm2_bytes public, struct tpm2_bytes private)
{
	begin_on(c, TPM2_CC_Load, parent, by, 0);
	c->gives_handle = true;
	tpm2_put_2b(&c->in, private);
	tpm2_put_2b(&c->in, public);
	return tpm2_run(c);
}

/* Part 3, 13.3; there is no inner wrapper. */
int tpm2_import(struct tpm2_cmd *c, struct tpm2_object parent, const struct tpm2_auth *by,
		struct tpm2_bytes public, struct tpm2_bytes duplicate,
		struct tpm2_bytes seed, struct tpm2_bytes *private)
{
	int rc;

	begin_on(c, TPM2_CC_Import, parent, by, 0);
	cursor_put_u16(&c->in, 0); /* encryptionKey */
	tpm2_put_2b(&c->in, public);
	tpm2_put_2b(&c->in, duplicate);
	tpm2_put_2b(&c->in, seed);
	cursor_put_u16(&c->in, TPM2_ALG_NULL);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	*private = tpm2_get_2b(&c->out);
	return finish(c);
}

int tpm2_load_external(struct tpm2_cmd *c, struct tpm2_bytes public)
{
	tpm2_begin(c, TPM2_CC_LoadExternal);
	c->gives_handle = true;
	cursor_put_u16(&c->in, 0); /* no private part */
	tpm2_put_2b(&c->in, public);
	cursor_put_u32(&c->in, TPM2_RH_OWNER);
	return tpm2_run(c);
}

/* Part 3, 12.4 */
int tpm2_read_public(struct tpm2_cmd *c, uint32_t handle, struct tpm2_bytes *public,
		     struct tpm2_bytes *name)
{
	int rc;

	begin_plain(c, TPM2_CC_ReadPublic, handle);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	*public = tpm2_get_2b(&c->out);
	*name = tpm2_get_2b(&c->out);
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

int tpm2_unseal(struct tpm2_cmd *c, struct tpm2_object object, const struct tpm2_auth *by,
		struct tpm2_bytes *secret)
{
	int rc;

	begin_on(c, TPM2_CC_Unseal, object, by, TPMA_SESSION_ENCRYPT);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	*secret = tpm2_get_2b(&c->out);
	return finish(c);
}

/* Part 3, 15.4.  The data go in clear: who relays the command may look at them. */
int tpm2_hmac(struct tpm2_cmd *c, struct tpm2_object key, const struct tpm2_auth *by,
	      struct tpm2_bytes data, struct tpm2_bytes *hmac)
{
	int rc;

	begin_on(c, TPM2_CC_HMAC, key, by, TPMA_SESSION_ENCRYPT);
	tpm2_put_2b(&c->in, data);
	cursor_put_u16(&c->in, TPM2_ALG_SHA256);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	*hmac = tpm2_get_2b(&c->out);
	return hmac->n == CRYPT_HASH_SIZE ? finish(c) : -EBADMSG;
}

int tpm2_evict_control(struct tpm2_cmd *c, uint32_t handle, uint32_t persistent)
{
	begin_plain(c, TPM2_CC_EvictControl, TPM2_RH_OWNER);
	tpm2_handle(c, handle, NULL);
	tpm2_authorize(c, NULL, 0);
	cursor_put_u32(&c->in, persistent);
	return tpm2_run(c);
}

int tpm2_flush_context(struct tpm2_cmd *c, uint32_t handle)
{
	begin_plain(c, TPM2_CC_FlushContext, handle);
	return tpm2_run(c);
}

int tpm2_quote(struct tpm2_cmd *c, struct tpm2_object key, const struct tpm2_auth *by,
	       struct tpm2_bytes nonce, const uint32_t pcrs[TPM2_BANKS],
	       struct tpm2_bytes *quote, struct tpm2_bytes *signature)
{
	uint32_t count = 0;
	size_t mark;
	int i, rc;

	begin_on(c, TPM2_CC_Quote, key, by, 0);
	tpm2_put_2b(&c->in, nonce);
	cursor_put_u16(&c->in, TPM2_ALG_NULL); /* the key's own scheme */
	for (i = 0; i < TPM2_BANKS; i++)
		count += !!pcrs[i];
	cursor_put_u32(&c->in, count);
	for (i = 0; i < TPM2_BANKS; i++)
		if (pcrs[i])
			tpm2_put_selection(&c->in, tpm2_hashes[i].id, pcrs[i]);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	*quote = tpm2_get_2b(&c->out);
	mark = cursor_left(&c->out);
	*signature = (struct tpm2_bytes){cursor_bytes(&c->out, mark), mark};
	return finish(c);
}

int tpm2_verify_signature(struct tpm2_cmd *c, uint32_t key,
			  const uint8_t hash[CRYPT_HASH_SIZE],
			  struct tpm2_bytes signature, struct tpm2_bytes *ticket)
{
	int rc;

	begin_plain(c, TPM2_CC_VerifySignature, key);
	tpm2_put_2b(&c->in, (struct tpm2_bytes){hash, CRYPT_HASH_SIZE});
	cursor_put(&c->in, signature.p, signature.n);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	*ticket = (struct tpm2_bytes){c->out.rd, c->out.len};
	(void)cursor_u16(&c->out); /* TPM_ST_VERIFIED */
	(void)cursor_u32(&c->out); /* hierarchy */
	(void)tpm2_get_2b(&c->out);
	return finish(c);
}

int tpm2_start_auth_session(struct tpm2_cmd *c, uint32_t key, uint8_t type,
			    const struct tpm2_point *salt, struct tpm2_session *s)
{
	struct tpm2_bytes nonce;
	size_t mark;
	int rc;

	begin_plain(c, TPM2_CC_StartAuthSession, key);
	c->gives_handle = true;
	tpm2_handle(c, TPM2_RH_NULL, NULL); /* bound to nothing */
	tpm2_put_2b(&c->in,
		    (struct tpm2_bytes){s->nonce_caller, sizeof(s->nonce_caller)});
	mark = cursor_mark_u16(&c->in);
	tpm2_put_2b(&c->in, (struct tpm2_bytes){salt->x, sizeof(salt->x)});
	tpm2_put_2b(&c->in, (struct tpm2_bytes){salt->y, sizeof(salt->y)});
	cursor_patch_u16(&c->in, mark);
	cursor_put_u8(&c->in, type);
	cursor_put_u16(&c->in, TPM2_ALG_AES);
	cursor_put_u16(&c->in, 128);
	cursor_put_u16(&c->in, TPM2_ALG_CFB);
	cursor_put_u16(&c->in, TPM2_ALG_SHA256);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	s->handle = c->handle;
	nonce = tpm2_get_2b(&c->out);
	if (finish(c) || nonce.n != TPM2_NONCE_SIZE || !s->handle)
		return -EBADMSG;
	return tpm2_session_derive_key(s, s->handle, nonce.p);
}

int tpm2_policy_pcr(struct tpm2_cmd *c, uint32_t policy, uint32_t pcrs)
{
	begin_plain(c, TPM2_CC_PolicyPCR, policy);
	cursor_put_u16(&c->in, 0); /* pcrDigest: whatever they are now */
	cursor_put_u32(&c->in, 1);
	tpm2_put_selection(&c->in, TPM2_ALG_SHA256, pcrs);
	return tpm2_run(c);
}

int tpm2_policy_nv(struct tpm2_cmd *c, struct tpm2_object counter,
		   const struct tpm2_auth *by, uint32_t policy, uint64_t number)
{
	tpm2_begin(c, TPM2_CC_PolicyNV);
	tpm2_handle(c, counter.handle, counter.name);
	tpm2_handle(c, counter.handle, counter.name);
	tpm2_handle(c, policy, NULL);
	tpm2_authorize(c, by, 0);
	cursor_put_u16(&c->in, sizeof(number));
	cursor_put_u64(&c->in, number);
	cursor_put_u16(&c->in, 0); /* offset */
	cursor_put_u16(&c->in, TPM2_EO_EQ);
	return tpm2_run(c);
}

int tpm2_policy_authorize(struct tpm2_cmd *c, uint32_t policy,
			  const uint8_t approved[CRYPT_HASH_SIZE],
			  const uint8_t ref[CRYPT_HASH_SIZE],
			  const uint8_t key_name[TPM2_NAME_SIZE],
			  struct tpm2_bytes ticket)
{
	begin_plain(c, TPM2_CC_PolicyAuthorize, policy);
	tpm2_put_2b(&c->in, (struct tpm2_bytes){approved, CRYPT_HASH_SIZE});
	tpm2_put_2b(&c->in, (struct tpm2_bytes){ref, CRYPT_HASH_SIZE});
	tpm2_put_2b(&c->in, (struct tpm2_bytes){key_name, TPM2_NAME_SIZE});
	cursor_put(&c->in, ticket.p, ticket.n);
	return tpm2_run(c);
}

/* Part 3, 23.3; it does not expire. */
int tpm2_policy_signed(struct tpm2_cmd *c, uint32_t key,
		       const struct tpm2_session *policy, struct tpm2_bytes signature)
{
	begin_plain(c, TPM2_CC_PolicySigned, key);
	tpm2_handle(c, policy->handle, NULL);
	tpm2_put_2b(&c->in,
		    (struct tpm2_bytes){policy->nonce_tpm, sizeof(policy->nonce_tpm)});
	cursor_put_u16(&c->in, 0); /* cpHashA */
	cursor_put_u16(&c->in, 0); /* policyRef */
	cursor_put_u32(&c->in, 0); /* expiration */
	cursor_put(&c->in, signature.p, signature.n);
	return tpm2_run(c);
}

int tpm2_policy_auth_value(struct tpm2_cmd *c, uint32_t policy)
{
	begin_plain(c, TPM2_CC_PolicyAuthValue, policy);
	return tpm2_run(c);
}

int tpm2_policy_get_digest(struct tpm2_cmd *c, uint32_t policy, struct tpm2_bytes *digest)
{
	int rc;

	begin_plain(c, TPM2_CC_PolicyGetDigest, policy);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	*digest = tpm2_get_2b(&c->out);
	return finish(c);
}

static void begin_nv(struct tpm2_cmd *c, TPM2_CC code, const struct tpm2_nv *nv)
{
	tpm2_begin(c, code);
	tpm2_handle(c, nv->by, nv->by == nv->index ? nv->name : NULL);
	tpm2_handle(c, nv->index, nv->name);
	tpm2_authorize(c, nv->auth, 0);
}

int tpm2_nv_read_public(struct tpm2_cmd *c, uint32_t index, struct tpm2_nv_public *public)
{
	struct cursor area;
	int rc;

	begin_plain(c, TPM2_CC_NV_ReadPublic, index);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	area = cursor_sub(&c->out,
			  cursor_u16(&c->out)); /* TPMS_NV_PUBLIC, Part 2, 13.5 */
	public->index = cursor_u32(&area);
	(void)cursor_u16(&area); /* nameAlg */
	public->attributes = cursor_u32(&area);
	(void)tpm2_get_2b(&area); /* authPolicy */
	public->size = cursor_u16(&area);
	return cursor_done(&area) ? 0 : -EBADMSG;
}

int tpm2_nv_define_space(struct tpm2_cmd *c, uint32_t hierarchy,
			 const struct tpm2_auth *auth,
			 const struct tpm2_nv_public *public)
{
	size_t mark;

	begin_on(c, TPM2_CC_NV_DefineSpace, (struct tpm2_object){.handle = hierarchy},
		 auth, 0);
	cursor_put_u16(&c->in, 0); /* auth */
	mark = cursor_mark_u16(&c->in);
	cursor_put_u32(&c->in, public->index);
	cursor_put_u16(&c->in, TPM2_ALG_SHA256);
	cursor_put_u32(&c->in, public->attributes);
	cursor_put_u16(&c->in, 0); /* authPolicy */
	cursor_put_u16(&c->in, public->size);
	cursor_patch_u16(&c->in, mark);
	return tpm2_run(c);
}

int tpm2_nv_undefine_space(struct tpm2_cmd *c, const struct tpm2_nv *nv)
{
	begin_nv(c, TPM2_CC_NV_UndefineSpace, nv);
	return tpm2_run(c);
}

int tpm2_nv_write(struct tpm2_cmd *c, const struct tpm2_nv *nv, struct tpm2_bytes data,
		  uint16_t offset)
{
	begin_nv(c, TPM2_CC_NV_Write, nv);
	tpm2_put_2b(&c->in, data);
	cursor_put_u16(&c->in, offset);
	return tpm2_run(c);
}

int tpm2_nv_write_lock(struct tpm2_cmd *c, const struct tpm2_nv *nv)
{
	begin_nv(c, TPM2_CC_NV_WriteLock, nv);
	return tpm2_run(c);
}

int tpm2_nv_read(struct tpm2_cmd *c, const struct tpm2_nv *nv, uint16_t size,
		 uint16_t offset, struct tpm2_bytes *data)
{
	int rc;

	begin_nv(c, TPM2_CC_NV_Read, nv);
	cursor_put_u16(&c->in, size);
	cursor_put_u16(&c->in, offset);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	*data = tpm2_get_2b(&c->out);
	return data->n == size ? finish(c) : -EBADMSG;
}
