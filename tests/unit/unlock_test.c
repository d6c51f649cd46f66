/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a header to a data key, with a real TPM 2.0 (libtpms) as the host's, reached
 * through a wire that the tests tap and cut, and a KMS that is a table.
 */
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
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/x509.h>

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

static bool on_wire(const uint8_t *p, size_t n)
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

static int tpm(void *ctx, const uint8_t *cmd, size_t len, uint8_t *rsp, size_t *rsp_len)
{
	const struct tpm_filter_host host = {SRK, policy_public, sizeof(policy_public)};
	struct tpm_filter_verdict v;
	uint8_t big[ENGINE_BUFFER_SIZE];
	size_t n = sizeof(big);

	wire.count++;
	if (tpm_filter_check(&filter, &host, cmd, len, &v))
		fail_msg("%s: %s", v.name, v.why);
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
static uint64_t revoke(void)
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

static void extend(uint8_t pcr)
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

static int create(void)
{
	header_len = sizeof(header);
	return unlock_create(&host, key, header, &header_len);
}

static int reopen(void)
{
	memset(&error, 0, sizeof(error));
	memset(again, 0, sizeof(again));
	wire.count = 0;
	return unlock_open(&host, header, header_len, again, &desc);
}

static void opens(void)
{
	int rc = reopen();

	if (rc)
		print_error("%s: %s\n", error_word(error.cause), error.text);
	assert_int_equal(rc, 0);
	assert_memory_equal(again, key, sizeof(key));
	assert_int_equal(desc.policy, config.desc.policy);
	assert_int_equal(desc.localities, 1);
}

static void refused(enum cause cause)
{
	static const uint8_t nothing[32];

	assert_true(reopen() < 0);
	if (error.cause != cause)
		print_error("%s: %s\n", error_word(error.cause), error.text);
	assert_int_equal(error.cause, cause);
	assert_memory_equal(again, nothing, sizeof(again));
}

static void every_policy_opens_again(void **state)
{
	static const uint16_t kinds[] = {ENVELOPE_SLOT_HOST, ENVELOPE_SLOT_KMS,
					 ENVELOPE_SLOT_TPM, ENVELOPE_SLOT_HOST_GET,
					 ENVELOPE_SLOT_KMS_GET};
	uint8_t first[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		config.desc.policy = kinds[i];
		assert_int_equal(create(), 0);
		opens();
		memcpy(first, key, sizeof(first));
		assert_int_equal(create(), 0);
		assert_memory_not_equal(first, key, sizeof(first));
	}
	config.desc.policy = ENVELOPE_SLOT_RECOVERY;
	assert_int_equal(create(), -EOPNOTSUPP);
	assert_int_equal(error.cause, CAUSE_NOT_CONFIGURED);
}

/* Which of the two a vTPM asks its KMS for, the header says, and nothing beside it. */
static void the_header_says_what_the_kms_does(void **state)
{
	assert_int_equal(create(), 0);
	opens();
	assert_int_equal(kms.derives, 0);
	assert_int_equal(kms.wraps, 1);
	config.desc.policy = ENVELOPE_SLOT_HOST_GET;
	assert_int_equal(create(), 0);
	assert_int_equal(kms.derives, 1);
	config.desc.policy =
		ENVELOPE_SLOT_HOST; /* what vtpmd tells counts at create alone */
	assert_int_equal(reopen(), 0);
	assert_int_equal(desc.policy, ENVELOPE_SLOT_HOST_GET);
	assert_int_equal(kms.derives, 2);
	assert_int_equal(kms.wraps, 1);
}

/* vtpmctl, in domain 0, does not have the KMS's key unless it is told to. */
static void the_kms_key_stays_away(void **state)
{
	struct unlock here = host;

	here.keeps_key_away = true;
	header_len = sizeof(header);
	config.desc.policy = ENVELOPE_SLOT_HOST_GET;
	assert_int_equal(unlock_create(&here, key, header, &header_len), -EPERM);
	assert_non_null(strstr(error.text, "--fetch-kms-key"));
	assert_int_equal(kms.derives, 0);
	config.desc.policy = ENVELOPE_SLOT_HOST;
	error = (struct error){.cause = CAUSE_NONE};
	header_len = sizeof(header);
	assert_int_equal(unlock_create(&here, key, header, &header_len), 0);
}

/* What the relay and the bus see holds no secret, in create and in open. */
static void nothing_secret_crosses_the_wire(void **state)
{
	struct envelope_header *h = malloc(sizeof(*h));
	struct shares *s = malloc(sizeof(*s));
	struct cursor c;
	uint8_t half[32];

	assert_int_equal(create(), 0);
	opens();
	assert_true(wire.len > 1000);
	assert_true(on_wire(config.tpm.policy_key + 24, 32)); /* the tap works */
	assert_false(on_wire(config.tpm.auth, sizeof(config.tpm.auth)));
	assert_false(on_wire(key, sizeof(key)));
	assert_false(on_wire((const uint8_t *)"seals the client's key", 22));
	assert_int_equal(envelope_header_parse(header, header_len, h, &error), 0);
	c = cursor_reader(h->slots[0].data, h->slots[0].len - SLOT_WRAPPED_SIZE);
	assert_int_equal(shares_parse(slot_kind_find(ENVELOPE_SLOT_HOST), &c, s), 0);
	assert_int_equal(unlock_kms_unwrap(&host, &s->kms, half), 0);
	assert_false(on_wire(half, sizeof(half)));
	assert_string_equal((char *)kms.key_pem, client_key);
	free(s);
	free(h);
}

/* No slot is made, or takes another's place, that the KMS does not open. */
static void the_kms_has_to_give_it_back(void **state)
{
	kms.fault = 1;
	assert_int_equal(create(), -EPROTO);
	assert_int_equal(error.cause, CAUSE_KMS_REFUSED);
	assert_non_null(strstr(error.text, "does not give back"));
	kms.fault = 0;
	error = (struct error){.cause = CAUSE_NONE};
	assert_int_equal(create(), 0);
	opens();
}

/* The sealed client key opens whole, on this host, and not otherwise. */
static void the_key_opens_only_whole(void **state)
{
	static uint8_t mine[ROOM];
	size_t i, len = strlen(client_key) + UNLOCK_KEY_OVERHEAD, pem;

	config.kms_key_sealed = NULL;
	assert_int_equal(unlock_kms_seal_key(&host, client_key, mine, &len), 0);
	assert_null(memmem(mine, len, client_key, strlen(client_key)));
	config.kms_key_sealed = mine;
	config.kms_key_sealed_len = len;
	config.desc.policy = ENVELOPE_SLOT_KMS;
	assert_int_equal(create(), 0);
	opens();
	assert_string_equal((char *)kms.key_pem, client_key);
	pem = len - strlen(client_key) - 12 - 2 - 16; /* behind the TPM's object */
	for (i = pem; i < len; i++) {
		mine[i] ^= 0x80;
		refused(CAUSE_NOT_CONFIGURED);
		mine[i] ^= 0x80;
		config.kms_key_sealed_len = i;
		refused(CAUSE_NOT_CONFIGURED);
		config.kms_key_sealed_len = len;
	}
	opens();
	/* behind the object of another key */
	memcpy(mine, sealed, pem);
	refused(CAUSE_NOT_CONFIGURED);
	len = 10;
	error = (struct error){.cause = CAUSE_NONE};
	assert_true(unlock_kms_seal_key(&host, client_key, mine, &len) < 0);
}

/* The TPM's half is shut with the KMS's: the one does not open without the other. */
static void both_are_needed(void **state)
{
	assert_int_equal(create(), 0);
	kms.refuse = CAUSE_KMS_KEY;
	refused(CAUSE_KMS_KEY);
	kms.refuse = CAUSE_NONE;
	opens();
	config.kms_address = NULL;
	refused(CAUSE_NOT_CONFIGURED);
	config.kms_address = (char *)"kms.example:5696";
	config.tpm.approvals = 0;
	refused(CAUSE_NOT_CONFIGURED);
}

/* That the TPM's object does not open then is not the TPM's fault. */
static void a_kms_with_another_secret(void **state)
{
	assert_int_equal(create(), 0);
	kms.wrong = 1;
	refused(CAUSE_KMS_REFUSED);
	assert_non_null(strstr(error.text, "another secret"));
	kms.wrong = 0;
	opens();
}

static void another_boot_state(void **state)
{
	uint8_t pcr7[64] = {0}, extended[32];
	const struct crypt_part part = {pcr7, sizeof(pcr7)};

	assert_int_equal(create(), 0);
	/* PCR 7 as TPM2_PCR_Extend leaves it: H(zeroes | zeroes) */
	extend(7);
	refused(CAUSE_PCRS_CHANGED);
	assert_non_null(strstr(error.text, "7"));
	assert_null(strstr(error.text, "PCR 4"));
	assert_int_equal(crypt_sha256(&part, 1, extended), 0);
	approve(1, extended);
	opens();
	config.tpm.approvals = 1;
	refused(CAUSE_PCRS_CHANGED);
	/* a restart brings the first state back */
	assert_int_equal(engine_power_cycle(), 0);
	power_on_host();
	opens();
}

/* The counter is incremented: what was approved before is void, what is approved then is
 * not. */
static void revoked_approvals(void **state)
{
	assert_int_equal(create(), 0);
	opens();
	revocations = revoke();
	refused(CAUSE_PCRS_CHANGED);
	assert_non_null(strstr(error.text, "revoked"));
	approve(0, NULL);
	opens();
	/* an approval that was signed for a later number */
	revocations++;
	approve(0, NULL);
	refused(CAUSE_PCRS_CHANGED);
	assert_int_equal(revoke(), revocations);
	opens();
	config.tpm.auth[0] ^= 1;
	refused(CAUSE_TPM_REFUSED);
	config.tpm.auth[0] ^= 1;
	config.tpm.counter_name[7] ^= 1;
	refused(CAUSE_TPM_REFUSED);
}

/* Of one purpose for another, and of the host with another storage key. */
static void approvals_of_others(void **state)
{
	uint8_t *one = approvals[0], kept[APPROVAL_SIZE_MAX], name[34];
	size_t at, len = config.tpm.approval_len[0];

	assert_int_equal(create(), 0);
	memcpy(kept, one, sizeof(kept));
	at = len - 3 * 72;
	memcpy(one + at, kept + at + 72, 72); /* the KMS key's for S_tpm */
	refused(CAUSE_TPM_REFUSED);
	memcpy(one, kept, len);
	memcpy(one + at + 72, kept + at, 72); /* the reverse */
	refused(CAUSE_TPM_REFUSED);
	memcpy(one, kept, len);
	memcpy(one + at + 144, kept + at, 72); /* the anchor's does not matter here */
	opens();
	memcpy(one, kept, len);
	memcpy(name, config.tpm.srk_name, sizeof(name));
	config.tpm.srk_name[5] ^= 1;
	approve(0, NULL);
	memcpy(config.tpm.srk_name, name, sizeof(name));
	refused(CAUSE_TPM_REFUSED);
	approve(0, NULL);
	opens();
}

/* An approval that somebody else signed, and one whose values were changed. */
static void forged_approvals(void **state)
{
	assert_int_equal(create(), 0);
	extend(7);
	approvals[0][config.tpm.approval_len[0] - 1] ^= 1;
	assert_true(reopen() < 0);
	approvals[0][config.tpm.approval_len[0] - 1] ^= 1;
	config.tpm.approval_len[0]--;
	assert_true(reopen() < 0);
}

static void another_tpm(void **state)
{
	uint8_t name[34];

	assert_int_equal(create(), 0);
	new_host();
	refused(CAUSE_TPM_REPLACED); /* no key at the handle */
	make_srk(name);
	refused(CAUSE_TPM_REPLACED); /* another key at the handle */
	memcpy(config.tpm.srk_name, name, sizeof(name));
	refused(CAUSE_TPM_REPLACED); /* a host that was set up again */
}

static void other_vtpms_and_damaged_headers(void **state)
{
	size_t at;

	assert_int_equal(create(), 0);
	config.uuid[0]++;
	refused(CAUSE_WRONG_VTPM);
	config.uuid[0]--;
	for (at = 0; at < header_len; at += header_len / 40 + 1) {
		header[at] ^= 1;
		assert_true(reopen() < 0);
		assert_int_not_equal(error.cause, CAUSE_NONE);
		header[at] ^= 1;
	}
	opens();
}

static int open_offline(EVP_PKEY *offline, const struct envelope_header *h)
{
	const struct slot_context x = {.uuid = h->uuid, .recovery_private = offline};

	return slot_open(&x, &h->slots[1], again);
}

/* The slot of an offline key: beside the host's, added when it is configured later,
 * and enough when TPM and KMS are gone. */
static void recovery(void **state)
{
	EVP_PKEY *offline = EVP_EC_gen("P-256"), *newer = EVP_EC_gen("P-256");
	uint8_t public[RECOVERY_PUBLIC_MAX], second[RECOVERY_PUBLIC_MAX], *p = public;
	struct envelope_header *h = malloc(sizeof(*h));
	size_t len = (size_t)i2d_PUBKEY(offline, &p), room = sizeof(header);
	static uint8_t out[ROOM];
	uint64_t seq = 0;

	assert_int_equal(create(), 0);
	assert_int_equal(unlock_amend(&host, header, header_len, key, out, &room, &seq),
			 0); /* none is configured */
	config.recovery_key = public;
	config.recovery_key_len = len;
	room = sizeof(out);
	assert_int_equal(unlock_amend(&host, header, header_len, key, out, &room, &seq),
			 1);
	assert_int_equal(seq, 2);
	memcpy(header, out, room);
	header_len = room;
	room = sizeof(out);
	assert_int_equal(unlock_amend(&host, header, header_len, key, out, &room, &seq),
			 0); /* it is there */
	opens();
	kms.refuse = CAUSE_KMS_KEY;
	new_host();
	assert_true(reopen() < 0);
	assert_int_equal(envelope_header_parse(header, header_len, h, &error), 0);
	assert_int_equal(h->slot_count, 2);
	assert_int_equal(open_offline(offline, h), 0);
	assert_memory_equal(again, key, sizeof(key));
	assert_int_equal(envelope_header_verify(header, header_len, again, &error), 0);

	/* another recovery key takes the place of the old one */
	p = second;
	config.recovery_key = second;
	config.recovery_key_len = (size_t)i2d_PUBKEY(newer, &p);
	room = sizeof(out);
	assert_int_equal(unlock_amend(&host, header, header_len, key, out, &room, &seq),
			 1);
	assert_int_equal(envelope_header_parse(out, room, h, &error), 0);
	assert_int_equal(h->slot_count, 2);
	assert_int_equal(open_offline(offline, h), -ENOKEY);
	assert_int_equal(open_offline(newer, h), 0);

	config.recovery_key_len--;
	room = sizeof(out);
	assert_true(unlock_amend(&host, header, header_len, key, out, &room, &seq) < 0);
	free(h);
	EVP_PKEY_free(offline);
	EVP_PKEY_free(newer);
}

/* Somebody between the vTPM and the TPM changes what they say. */
static void altered_responses(void **state)
{
	unsigned int n, all;

	assert_int_equal(create(), 0);
	opens();
	all = wire.count;
	assert_true(all > 5);
	for (n = 1; n <= all; n++) {
		wire.flip = n;
		/* of a response without a session the last byte may say nothing */
		if (reopen())
			assert_true(
				error.cause ==
					CAUSE_TPM_REFUSED || /* codes are not authenticated: also BAD_AUTH */
				error.cause == CAUSE_KMS_REFUSED ||
				error.cause == CAUSE_TPM_REPLACED ||
				error.cause == CAUSE_PCRS_CHANGED);
		else
			assert_memory_equal(again, key, sizeof(key));
	}
	wire.flip = 0;
	opens();
}

/* tpm2_busy_pause() sleeps here. */
static uint64_t slept_ms;

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	slept_ms += (uint64_t)time->tv_sec * 1000 + (uint64_t)time->tv_nsec / 1000000;
	return 0;
}

static void a_tpm_that_is_busy_or_gone(void **state)
{
	static const uint32_t codes[] = {0x902, 0x903, 0x908, 0x90a, 0x920, 0x922, 0x923};
	/* LOCKOUT, PCR_CHANGED */
	static const uint32_t warnings[] = {0x921, 0x128};
	size_t i;

	assert_int_equal(create(), 0);
	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		wire.busy = codes[i];
		wire.times = 3;
		slept_ms = 0;
		opens();
		assert_int_equal(slept_ms, 20 + 20 + 40);
		wire.times = UINT_MAX; /* for ever */
		slept_ms = 0;
		refused(CAUSE_TPM_BUSY);
		assert_in_range(slept_ms, 20000, 21000);
		assert_in_range(wire.count, 20, 40);
		wire.times = 0;
		opens();
	}
	wire.fail = -EBUSY;
	refused(CAUSE_TPM_BUSY);
	wire.fail = -EPERM;
	refused(CAUSE_TPM_REFUSED);
	wire.fail = 0;
	/* not waited for, and no refusals either */
	for (i = 0; i < ARRAY_SIZE(warnings); i++) {
		wire.busy = warnings[i];
		wire.times = 1;
		refused(CAUSE_TPM_BUSY);
	}
	wire.busy = 0x101;
	wire.times = 1;
	refused(CAUSE_TPM_REFUSED);
	wire.times = 0;
	wire.fail = -ENODEV;
	refused(CAUSE_TPM_UNREACHABLE);
	wire.fail = 0;
	opens();
}

static void a_lease_is_one_of_the_items(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	struct unlock_config c;
	uint8_t tlvs[64];
	struct cursor w = cursor_writer(tlvs, sizeof(tlvs));

	channel_tlv_put(&w, CONFIG_UUID, "0123456789abcdef", 16);
	assert_int_equal(unlock_config_parse(tlvs, w.pos, &c, &e), 0);
	assert_false(c.leased);
	unlock_config_free(&c);
	channel_tlv_put_u8(&w, CONFIG_LEASED, 1);
	assert_int_equal(unlock_config_parse(tlvs, w.pos, &c, &e), 0);
	assert_true(c.leased);
	unlock_config_free(&c);
}

/* Two who hold a session each, and wait for one more: the TPM has three. */
static void nobody_waits_with_a_session_in_hand(void **state)
{
	assert_int_equal(create(), 0);
	assert_int_equal(wire.held, 0);
	wire.rival = true;
	slept_ms = 0;
	opens();
	assert_true(wire.refused);
	assert_false(wire.rival);
	assert_int_equal(wire.held, 0);
	assert_in_range(slept_ms, 1, 2000);
}

/* Of a newer vtpmd: a manager that skips what makes another TPM of it, makes another. */
static void an_unknown_item_is_not_skipped(void **state)
{
	static const uint16_t tags[] = {0, 31, 4711, 0x7fff};
	struct error e = {.cause = CAUSE_NONE};
	struct unlock_config c;
	uint8_t tlvs[64];
	struct cursor w;
	size_t i, known;

	w = cursor_writer(tlvs, sizeof(tlvs));
	channel_tlv_put(&w, CONFIG_UUID, "0123456789abcdef", 16);
	known = w.pos;
	channel_tlv_put_u8(&w, CONFIG_MAY_BE_SKIPPED | 31, 1);
	assert_int_equal(unlock_config_parse(tlvs, w.pos, &c, &e), 0);
	unlock_config_free(&c);
	for (i = 0; i < ARRAY_SIZE(tags); i++) {
		w = cursor_writer(tlvs + known, sizeof(tlvs) - known);
		channel_tlv_put(&w, tags[i], NULL, 0);
		e = (struct error){.cause = CAUSE_NONE};
		assert_int_equal(unlock_config_parse(tlvs, known + w.pos, &c, &e),
				 tags[i] ? -EPROTO : -EBADMSG);
		assert_int_equal(e.cause, tags[i] ? CAUSE_VERSION : CAUSE_CHANNEL);
		channel_tlv_put_u8(&w, CONFIG_CREATE, 1);
		assert_int_not_equal(unlock_config_parse(tlvs, known + w.pos, &c, &e), 0);
	}
}

/* What another host says of the endorsement keys of a vTPM that comes from there. */
static void names_of_endorsement_keys(void **state)
{
	/* which, of how many bytes, and what they begin with */
	static const struct {
		uint8_t which, hash;
		size_t len;
		bool good;
	} names[] = {
		{ENVELOPE_EK_P256, 0x0b, 34, true},  {ENVELOPE_EK_P384, 0x0c, 50, true},
		{ENVELOPE_EK_P256, 0x0b, 33, false}, {ENVELOPE_EK_P256, 0x0c, 34, false},
		{ENVELOPE_EK_P384, 0x0c, 51, false}, {ENVELOPE_EKS, 0x0b, 34, false},
		{ENVELOPE_EK_P256, 0x0b, 0, false},
	};
	uint8_t tlvs[128], value[64];
	struct error e = {.cause = CAUSE_NONE};
	struct unlock_config c;
	struct cursor w;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		memset(value, 7, sizeof(value));
		value[0] = names[i].which;
		value[1] = 0;
		value[2] = names[i].hash;
		w = cursor_writer(tlvs, sizeof(tlvs));
		channel_tlv_put(&w, CONFIG_UUID, "0123456789abcdef", 16);
		channel_tlv_put(&w, CONFIG_EK_NAME, value, 1 + names[i].len);
		assert_int_equal(!unlock_config_parse(tlvs, w.pos, &c, &e),
				 names[i].good);
		if (!names[i].good)
			continue;
		assert_int_equal(c.desc.ek[names[i].which].len, names[i].len);
		assert_memory_equal(c.desc.ek[names[i].which].bytes, value + 1,
				    names[i].len);
		unlock_config_free(&c);
	}
}

#define UNLOCK_TEST(t) cmocka_unit_test_setup(t, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNLOCK_TEST(every_policy_opens_again),
		cmocka_unit_test(an_unknown_item_is_not_skipped),
		cmocka_unit_test(a_lease_is_one_of_the_items),
		cmocka_unit_test(names_of_endorsement_keys),
		UNLOCK_TEST(the_header_says_what_the_kms_does),
		UNLOCK_TEST(the_kms_key_stays_away),
		UNLOCK_TEST(nothing_secret_crosses_the_wire),
		UNLOCK_TEST(the_kms_has_to_give_it_back),
		UNLOCK_TEST(a_kms_with_another_secret),
		UNLOCK_TEST(the_key_opens_only_whole),
		UNLOCK_TEST(both_are_needed),
		UNLOCK_TEST(another_boot_state),
		UNLOCK_TEST(revoked_approvals),
		UNLOCK_TEST(approvals_of_others),
		UNLOCK_TEST(forged_approvals),
		UNLOCK_TEST(another_tpm),
		UNLOCK_TEST(other_vtpms_and_damaged_headers),
		UNLOCK_TEST(recovery),
		UNLOCK_TEST(altered_responses),
		UNLOCK_TEST(a_tpm_that_is_busy_or_gone),
		UNLOCK_TEST(nobody_waits_with_a_session_in_hand),
	};
	int failed;

	if (policykey_make(&policy, &error) || policykey_public(policy, policy_public))
		return 1;
	failed = cmocka_run_group_tests_name("unlock", tests, NULL, NULL);
	(void)!engine_close();
	EVP_PKEY_free(policy);
	free(nv);
	return failed;
}
