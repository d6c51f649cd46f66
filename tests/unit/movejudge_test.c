/* SPDX-License-Identifier: Apache-2.0 */
/* The source's manager judges the destination: the good one, and one thing wrong at a time. */
#include "tests/unit/signer.h"
#include "lib/pool.h"
#include "lib/text.h"
#include "stubdom/manager/movejudge.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t uuid[16] = "one vTPM of all";
static const uint8_t offer[] = "an offer", another_offer[] = "another one";
static uint8_t key_der[MOVE_KEY_MAX] = "a public key", manager[32] = "a manager",
	       kernel[32];

static struct signer policy, ak, other;

static uint8_t pool[POOL_MAX], accept_bytes[MOVE_ACCEPT_MAX];
static size_t pool_len, accept_len;

/* What a proof says; each test changes one thing. */
static struct {
	const struct signer *by, *shown;
	const uint8_t *offer;
	size_t offer_len;
	uint8_t uuid[16];
	const char *key;
	uint8_t pcr7, pcr7_shown;
	bool has_kernel;
	uint8_t manager;
	uint32_t magic;
} says;

static void put_host(struct cursor *w, const char *name, const struct signer *s,
		     uint8_t pcr7)
{
	struct tpm2_key k;
	uint8_t value[32] = {pcr7};

	assert_int_equal(tpm2_key_parse(s->public, s->public_len, &k), 0);
	put_b(w, name, strlen(name));
	put_b(w, "host:7771", 9);
	put_b(w, k.name, k.name_len);
	put_b(w, k.name, k.name_len);
	cursor_put_u8(w, 2);
	value[0] = 0xee; /* an older state */
	cursor_put_u8(w, 1);
	cursor_put_u8(w, 7);
	cursor_put(w, value, 32);
	value[0] = pcr7;
	cursor_put_u8(w, 1);
	cursor_put_u8(w, 7);
	cursor_put(w, value, 32);
	tpm2_key_free(&k);
}

static void make_pool(const struct signer *by)
{
	struct cursor w = cursor_writer(pool, sizeof(pool));
	uint8_t signature[TPM2_ECDSA_P256];

	put_b(&w, POOL_LABEL, strlen(POOL_LABEL));
	cursor_put_u64(&w, 5);
	cursor_put_u8(&w, 2);
	put_b(&w, kernel, 32);
	put_b(&w, manager, 32);
	put_b(&w, NULL, 0);
	put_b(&w, manager, 32);
	cursor_put_u8(&w, 2);
	put_host(&w, "alpha", &other, 0x11);
	put_host(&w, "beta", &ak, 0x77);
	sign(by, pool, w.pos, signature);
	cursor_put(&w, signature, sizeof(signature));
	assert_true(cursor_ok(&w));
	pool_len = w.pos;
}

static void hash(const void *p, size_t n, uint8_t out[32])
{
	const struct crypt_part part = {p, n};

	assert_int_equal(crypt_sha256(&part, 1, out), 0);
}

static size_t make_binding(uint8_t out[MOVE_BINDING_MAX])
{
	struct move_binding b = {.manager = {manager, 32}};
	uint8_t other_manager[32] = {says.manager};
	size_t len = MOVE_BINDING_MAX;

	hash(says.offer, says.offer_len, b.offer);
	hash(says.key, strlen(says.key), b.key);
	memcpy(b.uuid, says.uuid, sizeof(b.uuid));
	if (says.manager)
		b.manager.p = other_manager;
	if (says.has_kernel)
		b.kernel = (struct binding_part){kernel, 32};
	assert_int_equal(move_binding_encode(&b, out, &len), 0);
	return len;
}

static size_t make_quote(const uint8_t *binding, size_t binding_len, uint8_t *out,
			 size_t room)
{
	struct cursor w = cursor_writer(out, room);
	uint8_t digest[32], extra[32], value[32] = {says.pcr7};
	static const uint8_t clock[25], select[3] = {0x80};

	hash(binding, binding_len, extra);
	hash(value, sizeof(value), digest);
	cursor_put_u32(&w, says.magic);
	cursor_put_u16(&w, TPM2_ST_ATTEST_QUOTE);
	put_b(&w, "signer", 6);
	put_b(&w, extra, 32);
	cursor_put(&w, clock, sizeof(clock));
	cursor_put_u32(&w, 1);
	cursor_put_u16(&w, TPM2_ALG_SHA256);
	cursor_put_u8(&w, 3);
	cursor_put(&w, select, 3);
	put_b(&w, digest, 32);
	assert_true(cursor_ok(&w));
	return w.pos;
}

static void put_json(char *json, const char *name, const uint8_t *p, size_t n)
{
	char text[2048];

	base64url_encode(p, n, text);
	sprintf(json + strlen(json), "%s\"%s\":\"%s\"", json[1] ? "," : "", name, text);
}

static void make_accept(void)
{
	uint8_t binding[MOVE_BINDING_MAX], quote[512], signature[TPM2_ECDSA_P256];
	uint8_t value[32] = {says.pcr7_shown};
	size_t binding_len = make_binding(binding);
	size_t quote_len = make_quote(binding, binding_len, quote, sizeof(quote));
	char json[8192] = "{", pcr[64];
	struct move_accept a = {.key = {key_der, strlen((char *)key_der)}};

	sign(says.by, quote, quote_len, signature);
	put_json(json, "ak", says.shown->public, says.shown->public_len);
	put_json(json, "quote", quote, quote_len);
	put_json(json, "signature", signature, sizeof(signature));
	base64url_encode(value, 32, pcr);
	sprintf(json + strlen(json), ",\"pcrs\":{\"sha256\":{\"7\":\"%s\"}}", pcr);
	put_json(json, "binding", binding, binding_len);
	strcat(json, "}");
	a.proof = (struct binding_part){(uint8_t *)json, strlen(json)};
	accept_len = sizeof(accept_bytes);
	assert_int_equal(move_accept_encode(&a, accept_bytes, &accept_len), 0);
}

static int setup(void **state)
{
	if (!policy.key) {
		make_signer(&policy, TPMA_OBJECT_SIGN_ENCRYPT);
		make_signer(&ak, tpm2_attestation_key.attributes);
		make_signer(&other, tpm2_attestation_key.attributes);
	}
	make_pool(&policy);
	memset(&says, 0, sizeof(says));
	says.by = says.shown = &ak;
	says.offer = offer;
	says.offer_len = sizeof(offer);
	memcpy(says.uuid, uuid, sizeof(uuid));
	says.key = "a public key";
	says.pcr7 = says.pcr7_shown = 0x77;
	says.magic = TPM2_GENERATED_VALUE;
	return 0;
}

static int teardown_all(void **state)
{
	EVP_PKEY_free(policy.key);
	EVP_PKEY_free(ak.key);
	EVP_PKEY_free(other.key);
	return 0;
}

static int judged(struct error *e)
{
	const struct movejudge j = {.pool = {pool, pool_len},
				    .policy_key = {policy.public, policy.public_len},
				    .uuid = uuid,
				    .offer = {offer, sizeof(offer)},
				    .accept = {accept_bytes, accept_len}};

	*e = (struct error){.cause = CAUSE_NONE};
	return movejudge_check(&j, e);
}

static void refused_as(const char *why)
{
	struct error e;

	assert_int_equal(judged(&e), -EACCES);
	assert_int_equal(e.cause, CAUSE_PEER);
	if (!strstr(e.text, why))
		fail_msg("not \"%s\": %s", why, e.text);
}

static void refused(const char *why)
{
	make_accept();
	refused_as(why);
}

static void the_good_one(void **state)
{
	struct error e;

	make_accept();
	assert_int_equal(judged(&e), 0);
	says.has_kernel = true;
	make_accept();
	assert_int_equal(judged(&e), 0);
}

static void a_key_that_is_not_in_the_pool(void **state)
{
	struct signer stranger;

	make_signer(&stranger, tpm2_attestation_key.attributes);
	says.by = says.shown = &stranger;
	refused("not in the list of hosts");
	EVP_PKEY_free(stranger.key);
}

static void a_key_that_signs_anything(void **state)
{
	struct signer loose;

	make_signer(&loose, TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_FIXEDTPM);
	says.by = says.shown = &loose;
	refused("signs only what its TPM made");
	EVP_PKEY_free(loose.key);
}

static void signed_by_another(void **state)
{
	says.by = &other;
	refused("not signed by its attestation key");
}

/* Another host of the pool, in the state that is approved for this one. */
static void the_state_of_another_host(void **state)
{
	says.by = says.shown = &other;
	refused("no boot state");
}

static void another_boot_state(void **state)
{
	says.pcr7 = says.pcr7_shown = 0x78;
	refused("no boot state");
}

static void pcrs_that_were_not_quoted(void **state)
{
	says.pcr7 = 0x78;
	refused("not those that its quote is of");
}

static void an_older_offer(void **state)
{
	says.offer = another_offer;
	says.offer_len = sizeof(another_offer);
	refused("another offer");
}

static void another_vtpm(void **state)
{
	says.uuid[3] ^= 1;
	refused("another vTPM");
}

static void another_key(void **state)
{
	says.key = "a public keY";
	refused("another key");
}

static void another_image(void **state)
{
	says.manager = 1;
	refused("no image");
}

static void made_outside_of_a_tpm(void **state)
{
	struct error e;

	says.magic ^= 1;
	make_accept();
	assert_int_equal(judged(&e), -EBADMSG);
}

static void a_pool_of_another_key(void **state)
{
	make_accept();
	make_pool(&other);
	refused_as("not signed by this host's policy key");
}

static void no_pool(void **state)
{
	make_accept();
	pool_len = 0;
	refused_as("not signed");
}

/* A relay between the hosts, and who can write to the file. */
static void each_byte_counts(void **state)
{
	struct error e;
	size_t i;

	make_accept();
	for (i = 0; i < accept_len; i++) {
		accept_bytes[i] ^= 1;
		if (!judged(&e))
			fail_msg("byte %zu of the answer does not count", i);
		accept_bytes[i] ^= 1;
	}
	for (i = 0; i < pool_len; i++) {
		pool[i] ^= 0x80;
		if (!judged(&e))
			fail_msg("byte %zu of the pool does not count", i);
		pool[i] ^= 0x80;
	}
	assert_int_equal(judged(&e), 0);
}

static void each_length_but_the_right_one(void **state)
{
	size_t whole, i;
	struct error e;

	make_accept();
	whole = accept_len;
	for (accept_len = 0; accept_len < whole; accept_len++)
		assert_int_not_equal(judged(&e), 0);
	whole = pool_len;
	for (i = 0; i < whole; i++) {
		struct pool p;

		assert_int_equal(pool_parse(pool, i, &p), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_good_one, setup),
		cmocka_unit_test_setup(a_key_that_is_not_in_the_pool, setup),
		cmocka_unit_test_setup(a_key_that_signs_anything, setup),
		cmocka_unit_test_setup(signed_by_another, setup),
		cmocka_unit_test_setup(the_state_of_another_host, setup),
		cmocka_unit_test_setup(another_boot_state, setup),
		cmocka_unit_test_setup(pcrs_that_were_not_quoted, setup),
		cmocka_unit_test_setup(an_older_offer, setup),
		cmocka_unit_test_setup(another_vtpm, setup),
		cmocka_unit_test_setup(another_key, setup),
		cmocka_unit_test_setup(another_image, setup),
		cmocka_unit_test_setup(made_outside_of_a_tpm, setup),
		cmocka_unit_test_setup(a_pool_of_another_key, setup),
		cmocka_unit_test_setup(no_pool, setup),
		cmocka_unit_test_setup(each_byte_counts, setup),
		cmocka_unit_test_setup(each_length_but_the_right_one, setup),
	};

	return cmocka_run_group_tests(tests, NULL, teardown_all);
}
