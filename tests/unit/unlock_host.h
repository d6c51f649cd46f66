/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host for the units of unlock: a real TPM 2.0 (libtpms) that is set up as `vtpmctl host init`
 * does it, behind vtpmd's filter and a wire that is tapped and cut; and a KMS that is a table.
 */
#ifndef XVTPM_TESTS_UNLOCK_HOST_H
#define XVTPM_TESTS_UNLOCK_HOST_H

#include "tests/unit/unit.h"
#include "lib/channel.h"
#include "lib/cursor.h"
#include "lib/slot/recovery.h"
#include "lib/slot/shares.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/unlock.h"
#include "tools/vtpmctl/policykey.h"
#include "tools/vtpmd/tpm_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SRK  0x81005654
#define WIRE (256 * 1024)
#define ROOM (64 * 1024)

/* The host's TPM: its state lives here. */
static uint8_t *nv;
static size_t nv_len;

static int nv_load(void *ctx, uint8_t **state, size_t *len)
{
	if (!nv)
		return -ENOENT;
	*state = malloc(nv_len);
	memcpy(*state, nv, nv_len);
	*len = nv_len;
	return 0;
}

static int nv_save(void *ctx, const uint8_t *state, size_t len, bool clock_only)
{
	free(nv);
	nv = malloc(len);
	memcpy(nv, state, len);
	nv_len = len;
	return 0;
}

static const struct engine_store store = {NULL, nv_load, nv_save};

/* The wire to it: everything on it, and what is done to it. */
static struct {
	uint8_t log[WIRE];
	size_t len;
	int fail;	    /* what the transport returns instead */
	bool filtered;	    /* something that vtpmd's filter refuses is expected */
	size_t flip;	    /* 1-based response whose last byte is changed */
	uint32_t busy;	    /* answers with this code ... */
	unsigned int times; /* ... so often */
	unsigned int count;
	/* another client holds all sessions but one, and waits for that one before it ends any */
	bool rival;
	unsigned int held; /* sessions of this client */
	bool refused;	   /* one more was */
} wire;

static void tap(const uint8_t *p, size_t n)
{
	assert_true(wire.len + n <= sizeof(wire.log));
	memcpy(wire.log + wire.len, p, n);
	wire.len += n;
}

static inline bool on_wire(const uint8_t *p, size_t n)
{
	return memmem(wire.log, wire.len, p, n) != NULL;
}

/* Whether the TPM has no session left for this command. */
static bool lacks_session(const uint8_t *cmd, size_t len)
{
	struct cursor c = cursor_reader(cmd, len);
	uint32_t code, handle;

	(void)cursor_u16(&c);
	(void)cursor_u32(&c);
	code = cursor_u32(&c);
	handle = cursor_u32(&c);
	if (code == TPM2_CC_StartAuthSession && wire.rival && wire.held) {
		wire.refused = true;
		return true;
	}
	wire.held += code == TPM2_CC_StartAuthSession;
	if (code == TPM2_CC_FlushContext && (handle >> 24 == 2 || handle >> 24 == 3) &&
	    !--wire.held && wire.refused)
		wire.rival = false; /* it has had what it waits for */
	return false;
}

static int say_code(uint32_t code, uint8_t *rsp, size_t *rsp_len)
{
	struct cursor w = cursor_writer(rsp, *rsp_len);

	cursor_put_u16(&w, 0x8001);
	cursor_put_u32(&w, 10);
	cursor_put_u32(&w, code);
	*rsp_len = w.pos;
	return 0;
}

/* vtpmd's filter on the way there: all that is sent here has to pass it. */
static struct tpm_filter filter;
static uint8_t policy_public[POLICYKEY_PUBLIC_SIZE];
static uint8_t host_uuid[16]; /* of the vTPM that sends */

static int tpm(void *ctx, const uint8_t *cmd, size_t len, uint8_t *rsp, size_t *rsp_len)
{
	const struct tpm_filter_host host = {
		SRK, policy_public, sizeof(policy_public), {host_uuid}};
	struct tpm_filter_verdict v;
	uint8_t big[ENGINE_BUFFER_SIZE];
	size_t n = sizeof(big);

	wire.count++;
	if (tpm_filter_check(&filter, &host, cmd, len, &v)) {
		if (!wire.filtered)
			fail_msg("%s: %s", v.name, v.why);
		return -EPERM;
	}
	if (wire.fail)
		return wire.fail;
	if (wire.times) {
		wire.times--;
		return say_code(wire.busy, rsp, rsp_len);
	}
	if (lacks_session(cmd, len))
		return say_code(0x903, rsp, rsp_len);
	tap(cmd, len);
	assert_int_equal(engine_execute(0, cmd, len, big, &n), 0);
	assert_true(n <= *rsp_len);
	tpm_filter_answered(&filter, &v, big, n);
	memcpy(rsp, big, n);
	*rsp_len = n;
	tap(rsp, n);
	if (wire.flip && wire.count == wire.flip)
		rsp[n - 1] ^= 1;
	return 0;
}

/* The KMS: what lib/kms.h promises, in memory. */
static struct {
	uint8_t key_pem[2048];
	enum cause refuse;
	unsigned int wraps, unwraps, derives;
	uint8_t fault; /* in what it encrypts */
	uint8_t wrong; /* in what it decrypts */
} kms;

static int kms_answer(const struct kms_config *c, struct error *e)
{
	snprintf((char *)kms.key_pem, sizeof(kms.key_pem), "%s", c->key_pem);
	if (kms.refuse)
		return error_set(e, -EACCES, kms.refuse, "the KMS says no: ask it");
	return 0;
}

static void mask(const uint8_t *aad, size_t aad_len, const uint8_t *in, uint8_t *out)
{
	static const uint8_t key[32] = "the KMS's";
	const struct crypt_part parts[] = {{aad, aad_len}};
	uint8_t pad[32];
	size_t i;

	assert_int_equal(crypt_hmac(key, sizeof(key), parts, 1, pad), 0);
	for (i = 0; i < 32; i++)
		out[i] = in[i] ^ pad[i];
}

int kms_wrap(const struct kms_config *c, const struct kms_stream *s, const uint8_t *aad,
	     size_t aad_len, const uint8_t secret[KMS_SECRET_SIZE],
	     struct kms_wrapped *out, struct error *e)
{
	kms.wraps++;
	memset(out, 0, sizeof(*out));
	snprintf(out->key_id, sizeof(out->key_id), "%s", c->key_id);
	mask(aad, aad_len, secret, out->ct);
	out->ct[31] ^= kms.fault;
	return kms_answer(c, e);
}

int kms_derive(const struct kms_config *c, const struct kms_stream *s,
	       const uint8_t *context, size_t context_len, bool is_new,
	       struct kms_derived *d, uint8_t secret[KMS_SECRET_SIZE], struct error *e)
{
	kms.derives++;
	if (is_new) {
		snprintf(d->key_id, sizeof(d->key_id), "%s", c->key_id);
		memset(d->nonce, 0x5a, sizeof(d->nonce));
		memset(d->check, 0xa5, sizeof(d->check));
	}
	assert_int_equal(context_len, 16);
	memcpy(secret, context, 16);
	memcpy(secret + 16, d->nonce, 16);
	secret[31] ^= kms.wrong;
	return kms_answer(c, e);
}

int kms_probe(const struct kms_config *c, const struct kms_stream *s, struct error *e)
{
	return kms_answer(c, e);
}

int kms_unwrap(const struct kms_config *c, const struct kms_stream *s, const uint8_t *aad,
	       size_t aad_len, const struct kms_wrapped *in,
	       uint8_t secret[KMS_SECRET_SIZE], struct error *e)
{
	kms.unwraps++;
	mask(aad, aad_len, in->ct, secret);
	secret[31] ^= kms.wrong;
	return kms_answer(c, e);
}

/* The host's configuration, as `vtpmctl host init` would have made it. */
static struct unlock_config config;
static EVP_PKEY *policy;
static uint8_t approvals[2][APPROVAL_SIZE_MAX], sealed[2048];
static uint64_t revocations; /* what approvals are given at */
static struct error error;
static const struct unlock host = {
	.config = &config, .tpm = {NULL, tpm}, .error = &error};
static uint8_t key[32], again[32], header[ROOM];
static size_t header_len;

static const char client_key[] = "-----BEGIN PRIVATE KEY-----\nthe host's\n";

static uint32_t raw(const uint8_t *cmd, size_t len, uint8_t *rsp, size_t *rsp_len)
{
	struct cursor c;

	assert_int_equal(engine_execute(0, cmd, len, rsp, rsp_len), 0);
	c = cursor_reader(rsp, *rsp_len);
	(void)cursor_u16(&c);
	(void)cursor_u32(&c);
	return cursor_u32(&c);
}

static void put_password(struct cursor *w)
{
	cursor_put_u32(w, 9);
	cursor_put_u32(w, 0x40000009);
	cursor_put(w, "\0\0\0\0\0", 5);
}

static uint8_t srk_public[128];
static size_t srk_public_len;

/* Part 3, 24.1: the storage key, kept at SRK; returns its Name. */
static void make_srk(uint8_t name[34])
{
	static const uint8_t template[] = {0, 0x23, 0, 0x0b, 0,	  3, 4,	   0x72, 0,
					   0, 0,    6, 0,    128, 0, 0x43, 0,	 0x10,
					   0, 3,    0, 0x10, 0,	  0, 0,	   0};
	uint8_t cmd[256], rsp[ENGINE_BUFFER_SIZE];
	struct cursor w = cursor_writer(cmd, sizeof(cmd)), r;
	size_t len = sizeof(rsp);
	struct crypt_part public;
	uint32_t handle;

	cursor_put(&w, "\x80\x02\0\0\0\0\0\0\x01\x31", 10);
	cursor_put_u32(&w, 0x40000001);
	put_password(&w);
	cursor_put(&w, "\0\4\0\0\0\0", 6);
	cursor_put_u16(&w, sizeof(template));
	cursor_put(&w, template, sizeof(template));
	cursor_put(&w, "\0\0\0\0\0\0", 6);
	cmd[5] = (uint8_t)w.pos;
	assert_int_equal(raw(cmd, w.pos, rsp, &len), 0);
	r = cursor_reader(rsp + 10, len - 10);
	handle = cursor_u32(&r);
	(void)cursor_u32(&r);
	public.n = cursor_u16(&r);
	public.p = cursor_bytes(&r, public.n);
	name[0] = 0;
	name[1] = 0x0b;
	assert_int_equal(crypt_sha256(&public, 1, name + 2), 0);
	assert_true(public.n <= sizeof(srk_public));
	memcpy(srk_public, public.p, public.n);
	srk_public_len = public.n;

	w = cursor_writer(cmd, sizeof(cmd));
	cursor_put(&w, "\x80\x02\0\0\0\0\0\0\x01\x20", 10);
	cursor_put_u32(&w, 0x40000001);
	cursor_put_u32(&w, handle);
	put_password(&w);
	cursor_put_u32(&w, SRK);
	cmd[5] = (uint8_t)w.pos;
	len = sizeof(rsp);
	assert_int_equal(raw(cmd, w.pos, rsp, &len), 0);

	w = cursor_writer(cmd, sizeof(cmd));
	cursor_put(&w, "\x80\x01\0\0\0\x0e\0\0\x01\x65", 10);
	cursor_put_u32(&w, handle);
	len = sizeof(rsp);
	assert_int_equal(raw(cmd, w.pos, rsp, &len), 0);
}

#define COUNTER_ATTRIBUTES 0x02040014u /* counter, authWrite, authRead, noDA */
#define WRITTEN		   0x20000000u

static void put_counter(struct cursor *w, uint32_t attributes)
{
	cursor_put_u32(w, CHANNEL_COUNTER_INDEX);
	cursor_put_u16(w, 0x000b);
	cursor_put_u32(w, attributes);
	cursor_put_u16(w, 0); /* authPolicy */
	cursor_put_u16(w, 8);
}

/* A command on the counter, authorized by its authValue; gives the response's parameters. */
static uint64_t on_counter(uint32_t code, const void *params, size_t n)
{
	uint8_t cmd[256], rsp[ENGINE_BUFFER_SIZE];
	struct cursor w = cursor_writer(cmd, sizeof(cmd)), r;
	size_t len = sizeof(rsp);

	cursor_put(&w, "\x80\x02\0\0\0\0", 6);
	cursor_put_u32(&w, code);
	cursor_put_u32(&w, CHANNEL_COUNTER_INDEX);
	cursor_put_u32(&w, CHANNEL_COUNTER_INDEX);
	cursor_put_u32(&w, 9 + sizeof(config.tpm.auth));
	cursor_put_u32(&w, 0x40000009);
	cursor_put(&w, "\0\0\0", 3);
	cursor_put_u16(&w, sizeof(config.tpm.auth));
	cursor_put(&w, config.tpm.auth, sizeof(config.tpm.auth));
	cursor_put(&w, params, n);
	cmd[5] = (uint8_t)w.pos;
	assert_int_equal(raw(cmd, w.pos, rsp, &len), 0);
	r = cursor_reader(rsp + 14, len - 14);
	return cursor_u16(&r) == 8 ? cursor_u64(&r) : 0;
}

/* A revocation; the counter's new value. */
static inline uint64_t revoke(void)
{
	(void)on_counter(0x134, "", 0);
	return on_counter(0x14e, "\0\x08\0\0", 4);
}

/* The counter of revocations, as `vtpmctl host init` makes it. */
static void make_counter(void)
{
	uint8_t cmd[256], rsp[ENGINE_BUFFER_SIZE], public[14];
	struct cursor w = cursor_writer(cmd, sizeof(cmd));
	const struct crypt_part part = {public, sizeof(public)};
	size_t len = sizeof(rsp);

	memset(config.tpm.auth, 0x7a, sizeof(config.tpm.auth));
	cursor_put(&w, "\x80\x02\0\0\0\0\0\0\x01\x2a", 10);
	cursor_put_u32(&w, 0x40000001);
	put_password(&w);
	cursor_put_u16(&w, sizeof(config.tpm.auth));
	cursor_put(&w, config.tpm.auth, sizeof(config.tpm.auth));
	cursor_put_u16(&w, sizeof(public));
	put_counter(&w, COUNTER_ATTRIBUTES);
	cmd[5] = (uint8_t)w.pos;
	assert_int_equal(raw(cmd, w.pos, rsp, &len), 0);
	w = cursor_writer(public, sizeof(public));
	put_counter(&w, COUNTER_ATTRIBUTES | WRITTEN);
	config.tpm.counter_name[0] = 0;
	config.tpm.counter_name[1] = 0x0b;
	assert_int_equal(crypt_sha256(&part, 1, config.tpm.counter_name + 2), 0);
	revocations = revoke();
	assert_true(revocations > 0);
}

static void power_on_host(void)
{
	static const uint8_t startup[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0};
	uint8_t rsp[ENGINE_BUFFER_SIZE];
	size_t len = sizeof(rsp);

	assert_int_equal(raw(startup, sizeof(startup), rsp, &len), 0);
}

static void new_host(void)
{
	(void)!engine_close();
	free(nv);
	nv = NULL;
	assert_int_equal(
		engine_open(&store, &(struct engine_options){.create = true}, &error), 0);
	power_on_host();
}

static inline void extend(uint8_t pcr)
{
	uint8_t cmd[65] = {0x80, 2, 0, 0, 0, 65, 0, 0, 1, 0x82, 0, 0, 0, pcr};
	struct cursor w = cursor_writer(cmd + 14, sizeof(cmd) - 14);
	uint8_t rsp[ENGINE_BUFFER_SIZE];
	size_t len = sizeof(rsp);

	put_password(&w);
	cursor_put(&w, "\0\0\0\1\0\x0b", 6);
	assert_int_equal(raw(cmd, sizeof(cmd), rsp, &len), 0);
}

/* Approves PCRs 0, 2, 4, 7 as they are after a start, PCR 7 as given. */
static void approve(size_t n, const uint8_t pcr7[32])
{
	struct approval a = {.pcrs = 1u << 0 | 1u << 2 | 1u << 4 | 1u << 7,
			     .number = revocations};
	size_t len = sizeof(approvals[n]);

	if (pcr7)
		memcpy(a.value[7], pcr7, 32);
	assert_int_equal(approval_digest(&a, config.tpm.counter_name, a.digest), 0);
	assert_int_equal(policykey_sign(policy, config.tpm.srk_name, &a), 0);
	assert_int_equal(approval_encode(&a, approvals[n], &len), 0);
	config.tpm.approval[n] = approvals[n];
	config.tpm.approval_len[n] = len;
	config.tpm.approvals = n + 1;
}

/* The KMS client's key, as include/channel.h has it. */
static void seal_client_key(void)
{
	struct cursor w = cursor_writer(sealed, sizeof(sealed));
	uint8_t gcm[32] = "seals the client's key", iv[12] = {0}, ct[256], tag[16];
	static const char aad[] = "xen-vtpm kms client key";
	uint8_t object[HOSTTPM_OBJECT_MAX];
	size_t len = sizeof(object), n = strlen(client_key);

	assert_int_equal(hosttpm_seal(&config.tpm, &host.tpm, APPROVAL_KMS,
				      config.tpm.auth, gcm, sizeof(gcm), object, &len,
				      &error),
			 0);
	assert_int_equal(crypt_gcm_seal(gcm, iv, (const uint8_t *)aad, strlen(aad),
					(const uint8_t *)client_key, n, ct, tag),
			 0);
	cursor_put(&w, object, len);
	cursor_put(&w, iv, sizeof(iv));
	cursor_put_u16(&w, (uint16_t)n);
	cursor_put(&w, ct, n);
	cursor_put(&w, tag, sizeof(tag));
	assert_true(cursor_ok(&w));
	config.kms_key_sealed = sealed;
	config.kms_key_sealed_len = w.pos;
}

static int setup(void **state)
{
	memset(&config, 0, sizeof(config));
	memset(&error, 0, sizeof(error));
	memset(&wire, 0, sizeof(wire));
	memset(&filter, 0, sizeof(filter));
	memset(&kms, 0, sizeof(kms));
	new_host();
	memset(config.uuid, 5, sizeof(config.uuid));
	memcpy(host_uuid, config.uuid, sizeof(host_uuid));
	config.desc.policy = ENVELOPE_SLOT_HOST;
	config.desc.localities = 1;
	config.tpm.srk_handle = SRK;
	make_srk(config.tpm.srk_name);
	make_counter();
	config.tpm.policy_key = policy_public;
	config.tpm.policy_key_len = sizeof(policy_public);
	approve(0, NULL);
	config.kms_address = (char *)"kms.example:5696";
	config.kms_ca = (char *)"CA";
	config.kms_cert = (char *)"CERT";
	config.kms_key_id = (char *)"1";
	seal_client_key();
	wire.len = wire.count = 0;
	return 0;
}

static struct envelope_desc desc; /* of the header that was opened */

static inline int create(void)
{
	header_len = sizeof(header);
	return unlock_create(&host, key, header, &header_len);
}

static inline int reopen(void)
{
	memset(&error, 0, sizeof(error));
	memset(again, 0, sizeof(again));
	wire.count = 0;
	return unlock_open(&host, header, header_len, again, &desc);
}

static inline void opens(void)
{
	int rc = reopen();

	if (rc)
		print_error("%s: %s\n", error_word(error.cause), error.text);
	assert_int_equal(rc, 0);
	assert_memory_equal(again, key, sizeof(key));
	assert_int_equal(desc.policy, config.desc.policy);
	assert_int_equal(desc.localities, 1);
}

static inline void refused(enum cause cause)
{
	static const uint8_t nothing[32];

	assert_true(reopen() < 0);
	if (error.cause != cause)
		print_error("%s: %s\n", error_word(error.cause), error.text);
	assert_int_equal(error.cause, cause);
	assert_memory_equal(again, nothing, sizeof(again));
}

#endif
