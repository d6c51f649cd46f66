/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/poolkeys.h"
#include "lib/crypt.h"
#include "lib/tpm2/duplicate.h"
#include "stubdom/manager/poolshare.h"
#include "tools/vtpmctl/tpm.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct poolkeys {
	struct poolfile *file;
	const struct hostconf *conf;
	const struct poolkeys_wish *wish;
	EVP_PKEY *policy;
	struct pool_key newest;
	bool has_key;	  /* newest is one */
	bool makes;	  /* a new version */
	bool renews;	  /* for another policy key: no version before is of use */
	uint32_t version; /* that the list will have as its newest */
	uint8_t secret[TPM2_DUPLICATE_SECRET];
	uint8_t out[POOL_MAX];
	struct cursor w;
};

static struct cursor holders_of(const struct poolkeys *p)
{
	return p->has_key ? p->newest.holder : cursor_reader(p->out, 0);
}

/* Whether a holder of the newest key is not in the list any more. */
static bool has_leaver(const struct poolkeys *p)
{
	struct cursor c = holders_of(p);
	struct pool_holder h;

	while (pool_next_holder(&c, &h))
		if (!poolfile_has_srk(p->file, h.name.p, h.name.n))
			return true;
	return false;
}

static bool holds(const struct poolkeys *p, struct binding_part name)
{
	struct pool_holder h;

	return p->has_key && pool_find_holder(&p->newest, name.p, name.n, &h);
}

/* Whether a host whose storage key is known has not the newest key; and whether there is any. */
static bool has_joiner(const struct poolkeys *p, bool *any)
{
	struct cursor c = p->file->pool.storage;
	struct pool_storage s;
	bool joins = false;

	*any = false;
	while (pool_next_storage(&c, &s)) {
		if (!poolfile_has_srk(p->file, s.name.p, s.name.n))
			continue;
		*any = true;
		joins = joins || !holds(p, s.name);
	}
	return joins;
}

/* The policy of what is kept: TPM2_PolicySigned by the policy key, which then signs a nonce of
 * the TPM's each time. */
static int kept_template(const struct hostconf *h, uint8_t policy[CRYPT_HASH_SIZE],
			 struct tpm2_template *t)
{
	uint8_t name[POLICYKEY_NAME_SIZE];

	memset(policy, 0, CRYPT_HASH_SIZE);
	*t = (struct tpm2_template){
		.type = TPM2_ALG_KEYEDHASH,
		.name_alg = TPM2_ALG_SHA256,
		.attributes = TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_NODA,
		.policy = {policy, CRYPT_HASH_SIZE},
	};
	return policykey_name(h->policy_key, name) || policy_key(policy, name) ? -EIO : 0;
}

/* -- what this host's TPM has kept -------------------------------------------------- */

static int sign_nonce(const struct poolkeys *p, const struct tpm2_session *session,
		      uint8_t out[APPROVAL_SIGNATURE_SIZE])
{
	/* Part 3, 23.3.1: aHash = H(nonceTPM || expiration || cpHashA || policyRef) */
	static const uint8_t no_expiration[4];
	const struct crypt_part parts[] = {{session->nonce_tpm, TPM2_NONCE_SIZE},
					   {no_expiration, sizeof(no_expiration)}};
	struct cursor w = cursor_writer(out, APPROVAL_SIGNATURE_SIZE);
	struct approval_signature s;
	uint8_t hash[CRYPT_HASH_SIZE];
	int rc = crypt_sha256(parts, ARRAY_SIZE(parts), hash);

	if (!rc)
		rc = policykey_sign_hash(p->policy, hash, &s);
	if (!rc)
		approval_put_signature(&w, &s);
	return rc;
}

static int satisfy_kept(const struct poolkeys *p, struct hosttpm *c,
			const struct tpm2_session *session, struct error *e)
{
	uint8_t signature[APPROVAL_SIGNATURE_SIZE];
	uint32_t key;
	int rc;

	if (sign_nonce(p, session, signature))
		return error_set(e, -EIO, CAUSE_INTERNAL,
				 "OpenSSL could not sign with the policy key");
	rc = tpm2_load_external(
		&c->cmd,
		(struct tpm2_bytes){p->conf->policy_key, sizeof(p->conf->policy_key)});
	key = c->cmd.handle;
	if (!rc)
		rc = tpm2_policy_signed(
			&c->cmd, key, session,
			(struct tpm2_bytes){signature, sizeof(signature)});
	rc = hosttpm_result(&c->cmd, rc, e);
	hosttpm_flush(c, key);
	return rc;
}

static int unseal_kept(struct poolkeys *p, struct hosttpm *c, struct tpm2_object object,
		       struct error *e)
{
	struct tpm2_session s = {0};
	struct tpm2_bytes got = {0};
	int rc = hosttpm_start(c, TPM2_SE_POLICY, &s, e);

	if (!rc)
		rc = satisfy_kept(p, c, &s, e);
	if (!rc) {
		tpm2_session_auth(&s, NULL, 0, false);
		rc = tpm2_unseal(&c->cmd, object, &(struct tpm2_auth){.session = &s},
				 &got);
		if (!rc && got.n != sizeof(p->secret))
			rc = -EBADMSG;
		if (!rc)
			memcpy(p->secret, got.p, got.n);
		rc = hosttpm_result(&c->cmd, rc, e);
	}
	hosttpm_end(c, &s);
	return rc;
}

static int open_kept_once(struct poolkeys *p, struct hosttpm *c, struct tpm2_bytes kept,
			  struct error *e)
{
	uint8_t name[TPM2_NAME_SIZE];
	uint32_t handle = 0;
	int rc;

	c->cmd.yields = true;
	rc = poolshare_load(c, kept, &handle, name, e);
	if (!rc)
		rc = unseal_kept(p, c, (struct tpm2_object){handle, name}, e);
	hosttpm_flush(c, handle);
	return rc;
}

static int open_kept(struct poolkeys *p, struct tpm *tpm, struct tpm2_bytes kept,
		     struct error *e)
{
	const struct tpm2_transport t = tpm_transport(tpm);
	struct error why = {.cause = CAUSE_NONE};
	struct tpm2_busy busy = {0};
	struct hosttpm_config config;
	struct hosttpm c;
	int rc;

	tpm_hosttpm_config(p->conf, &config);
	do {
		rc = hosttpm_open(&c, &config, &t, &why);
		if (!rc)
			rc = open_kept_once(p, &c, kept, &why);
	} while (rc && hosttpm_again(&c, &busy, &why));
	hosttpm_close(&c);
	return rc ? error_set(e, rc, why.cause, "%s", why.text) : 0;
}

/* The newest key, for hosts that have come. */
static int find_secret(struct poolkeys *p, struct error *e)
{
	struct pool_holder h;
	struct tpm tpm;
	int rc;

	if (!pool_find_holder(&p->newest, p->conf->srk_name, sizeof(p->conf->srk_name),
			      &h) ||
	    !h.kept.n)
		return error_set(
			e, -ENOENT, CAUSE_PEER,
			"this host does not have the pool's key, and cannot give it to the "
			"hosts that have come: publish on a host that has it (`vtpmctl pool "
			"show`), or give --new-key");
	rc = tpm_open(&tpm, p->wish->tcti, e);
	if (rc)
		return rc;
	rc = open_kept(p, &tpm, (struct tpm2_bytes){h.kept.p, h.kept.n}, e);
	tpm_close(&tpm);
	return rc;
}

/* -- the list ----------------------------------------------------------------------- */

static void put_object(struct poolkeys *p, const struct tpm2_point *srk,
		       const struct tpm2_template *t, int *rc)
{
	size_t mark = cursor_mark_u16(&p->w);

	if (!*rc)
		*rc = tpm2_duplicate_make(srk, t, p->secret, &p->w);
	cursor_patch_u16(&p->w, mark);
}

/* The newest key, for a host that has it not yet. */
static int wrap_for(struct poolkeys *p, const struct pool_storage *s, struct error *e)
{
	uint8_t share[CRYPT_HASH_SIZE], kept[CRYPT_HASH_SIZE], name[TPM2_NAME_SIZE];
	const struct tpm2_bytes public = {s->public.p, s->public.n};
	struct tpm2_template t;
	struct tpm2_point srk;
	int rc;

	if (tpm2_storage_point(public, &srk) || tpm2_name(public, name) ||
	    s->name.n != sizeof(name) || memcmp(s->name.p, name, sizeof(name)) != 0)
		return error_set(
			e, -EINVAL, CAUSE_PEER,
			"a storage key in the list of hosts is none: give it again "
			"by `vtpmctl peer add --srk-public`");
	poolfile_put_part(&p->w, name, sizeof(name));
	rc = poolshare_template(p->conf->policy_key, sizeof(p->conf->policy_key), name,
				share, &t);
	put_object(p, &srk, &t, &rc);
	if (!rc)
		rc = kept_template(p->conf, kept, &t);
	put_object(p, &srk, &t, &rc);
	return rc ? error_crypto(e, rc, "the pool's key") : 0;
}

static void put_holder(struct poolkeys *p, const struct pool_holder *h, bool keeps)
{
	poolfile_put_part(&p->w, h->name.p, h->name.n);
	poolfile_put_part(&p->w, h->share.p, h->share.n);
	poolfile_put_part(&p->w, h->kept.p, keeps ? h->kept.n : 0);
}

/* Those of a key who are in the list still; returns their number. */
static unsigned int put_holders(struct poolkeys *p, const struct pool_key *k, bool keeps)
{
	struct cursor c = k->holder;
	struct pool_holder h;
	unsigned int n = 0;

	while (pool_next_holder(&c, &h)) {
		if (!poolfile_has_srk(p->file, h.name.p, h.name.n))
			continue;
		put_holder(p, &h, keeps);
		n++;
	}
	return n;
}

/* A key that stays, unless no host of the list has it; returns how many were put, 0 or 1. */
static unsigned int put_old_key(struct poolkeys *p, const struct pool_key *k)
{
	size_t start = p->w.pos, count;
	unsigned int n;

	cursor_put_u32(&p->w, k->version);
	count = p->w.pos;
	cursor_put_u8(&p->w, 0);
	n = put_holders(p, k, false);
	if (cursor_ok(&p->w))
		p->out[count] = (uint8_t)n;
	if (!n)
		p->w.pos = start;
	return n != 0;
}

static int put_newest_key(struct poolkeys *p, struct error *e)
{
	struct cursor c = p->file->pool.storage;
	struct pool_storage s;
	unsigned int n = 0;
	size_t count;
	int rc = 0;

	cursor_put_u32(&p->w, p->version);
	count = p->w.pos;
	cursor_put_u8(&p->w, 0);
	if (!p->makes)
		n = put_holders(p, &p->newest, true);
	while (!rc && pool_next_storage(&c, &s)) {
		if (!poolfile_has_srk(p->file, s.name.p, s.name.n) ||
		    (!p->makes && holds(p, s.name)))
			continue;
		rc = wrap_for(p, &s, e);
		n++;
	}
	if (cursor_ok(&p->w))
		p->out[count] = (uint8_t)n;
	return rc;
}

static void put_present_storages(struct poolkeys *p)
{
	struct cursor c = p->file->pool.storage;
	size_t count = p->w.pos;
	struct pool_storage s;
	unsigned int n = 0;

	cursor_put_u8(&p->w, 0);
	while (pool_next_storage(&c, &s)) {
		if (!poolfile_has_srk(p->file, s.name.p, s.name.n))
			continue;
		poolfile_put_part(&p->w, s.name.p, s.name.n);
		poolfile_put_part(&p->w, s.public.p, s.public.n);
		n++;
	}
	if (cursor_ok(&p->w))
		p->out[count] = (uint8_t)n;
}

static int put_pool_keys(struct poolkeys *p, struct error *e)
{
	struct cursor c = p->file->pool.key;
	size_t count = p->w.pos;
	struct pool_key k;
	unsigned int n = 1;
	int rc;

	cursor_put_u8(&p->w, 0);
	while (!p->renews && pool_next_key(&c, &k))
		if (k.version != p->version &&
		    (!p->wish->forget || k.version == p->newest.version))
			n += put_old_key(p, &k);
	if (n > POOL_KEYS_MAX)
		return error_set(
			e, -ENOSPC, CAUSE_PEER,
			"the list has %d keys, which is as many as it has room for: have each "
			"vTPM started once (`vtpmctl pool show` tells which are of older "
			"keys), then give --forget-keys",
			POOL_KEYS_MAX);
	rc = put_newest_key(p, e);
	if (!rc && cursor_ok(&p->w))
		p->out[count] = (uint8_t)n;
	return rc;
}

/* Images and hosts stay, from the number on, byte for byte. */
static void begin_list(struct poolkeys *p, bool has_keys)
{
	const struct pool *old = &p->file->pool;
	size_t from = 2 + strlen(POOL_LABEL) + 8;
	struct cursor c = cursor_reader((const uint8_t *)p->file->bytes, old->signed_len);
	size_t to = old->signed_len - old->tail.len;

	p->w = cursor_writer(p->out, sizeof(p->out));
	poolfile_begin(&p->w, p->file, has_keys);
	cursor_put(&p->w, c.rd + from, to - from);
}

static int write_keys(struct poolkeys *p, struct error *e)
{
	int rc;

	begin_list(p, true);
	put_present_storages(p);
	rc = put_pool_keys(p, e);
	return rc ? rc : poolfile_sign(p->file, p->out, &p->w, p->policy, p->conf, e);
}

/* What is to be done; false: nothing. */
static bool plan_keys(struct poolkeys *p)
{
	const struct pool *pool = &p->file->pool;
	bool any, joins;

	p->has_key = pool_newest_key(pool, &p->newest);
	joins = has_joiner(p, &any);
	if (!any)
		return false;
	p->makes = !p->has_key || has_leaver(p) || p->wish->new_key;
	p->version = (p->has_key ? p->newest.version : 0) + p->makes;
	return p->makes || joins || (p->wish->forget && pool->keys > 1);
}

static int run_update(struct poolkeys *p, struct error *e)
{
	bool joins, any;
	int rc;

	if (!p->wish->policy_key)
		return error_set(
			e, -ENOKEY, CAUSE_PEER,
			"the pool's key is to be made %s: give the policy key, --policy-key "
			"FILE",
			!p->makes || !p->has_key ? "for the hosts that have come"
			: has_leaver(p)		 ? "anew, as a host has left"
						 : "anew");
	rc = poolfile_key(p->wish->policy_key, p->conf, &p->policy, e);
	joins = has_joiner(p, &any);
	if (!rc && p->makes && crypt_random(p->secret, sizeof(p->secret)))
		rc = error_set(e, -EIO, CAUSE_RANDOM,
			       "there are no good random numbers for the pool's key");
	if (!rc && !p->makes && joins)
		rc = find_secret(p, e);
	return rc ? rc : write_keys(p, e);
}

/* Also where there is nothing to sign: who gives another key is to hear of it now. */
static int check_policy_key(const struct poolkeys *p, struct error *e)
{
	EVP_PKEY *key = NULL;
	int rc = p->wish->policy_key ? poolfile_key(p->wish->policy_key, p->conf, &key, e)
				     : 0;

	EVP_PKEY_free(key);
	return rc;
}

int poolkeys_update(struct poolfile *f, const char *config, const struct hostconf *h,
		    const struct poolkeys_wish *w, bool *changed, struct error *e)
{
	struct poolkeys *p = calloc(1, sizeof(*p));
	int rc = 0;

	*changed = false;
	if (!p)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	p->file = f;
	p->conf = h;
	p->wish = w;
	rc = check_policy_key(p, e);
	if (!rc && f->bytes && plan_keys(p)) {
		rc = run_update(p, e);
		*changed = !rc;
	}
	EVP_PKEY_free(p->policy);
	OPENSSL_cleanse(p, sizeof(*p));
	free(p);
	if (!*changed)
		return rc;
	poolfile_free(f);
	return poolfile_load(f, config, h, e);
}

static int renew_list(struct poolkeys *p, struct error *e)
{
	bool any;

	p->has_key = pool_newest_key(&p->file->pool, &p->newest);
	(void)has_joiner(p, &any);
	if (!any) {
		begin_list(p, false);
		return poolfile_sign(p->file, p->out, &p->w, p->policy, p->conf, e);
	}
	p->makes = p->renews = true;
	p->version = (p->has_key ? p->newest.version : 0) + 1;
	if (crypt_random(p->secret, sizeof(p->secret)))
		return error_set(e, -EIO, CAUSE_RANDOM,
				 "there are no good random numbers for the pool's key");
	return write_keys(p, e);
}

int poolkeys_renew(struct poolfile *f, const struct hostconf *h, EVP_PKEY *key,
		   struct error *e)
{
	struct poolkeys *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	p->file = f;
	p->conf = h;
	p->policy = key;
	rc = renew_list(p, e);
	OPENSSL_cleanse(p, sizeof(*p));
	free(p);
	return rc;
}

void poolkeys_missing(const struct pool *p, char *out, size_t room)
{
	struct cursor c = p->host;
	struct pool_holder holder;
	struct pool_host h;
	struct pool_key k;
	size_t used = 0;

	out[0] = '\0';
	if (!pool_newest_key(p, &k))
		return;
	while (pool_next_host(&c, &h))
		if (!pool_find_holder(&k, h.srk.p, h.srk.n, &holder) &&
		    used + h.name.n + 2 < room)
			used += (size_t)snprintf(out + used, room - used, " %.*s",
						 (int)h.name.n, (const char *)h.name.p);
}
