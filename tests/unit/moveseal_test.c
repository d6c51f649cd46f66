/* SPDX-License-Identifier: Apache-2.0 */
/* A vTPM's export: it opens for one manager, one transfer and one vTPM, and as it was. */
#include "tests/unit/unit.h"
#include "stubdom/manager/moveseal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t offer[] = "an offer", other_offer[] = "another";
static uint8_t accept_bytes[512], public[MOVE_KEY_MAX];
static size_t accept_len, public_len;
static EVP_PKEY *key;
static uint8_t *out;
static size_t len;

static struct moveseal sample(void)
{
	static const uint8_t bytes[400] = "bytes of libtpms";
	struct moveseal m = {.uuid = "one vTPM of all",
			     .seq = 41,
			     .epoch = 7,
			     .desc = {.policy = ENVELOPE_SLOT_TPM,
				      .localities = 0x1f,
				      .measured = true},
			     .permanent = {bytes, 300},
			     .volatile_state = {bytes, 400},
			     .log = {bytes, 99},
			     .on = 77};

	m.desc.ek[0].len = 34;
	m.desc.ek[0].bytes[1] = 0x0b;
	return m;
}

static int setup(void **state)
{
	struct move_accept a;
	struct moveseal m = sample();
	struct error e = {.cause = CAUSE_NONE};

	assert_int_equal(moveseal_key(&key, public, &public_len), 0);
	a = (struct move_accept){.key = {public, public_len},
				 .proof = {(const uint8_t *)"{}", 2}};
	accept_len = sizeof(accept_bytes);
	assert_int_equal(move_accept_encode(&a, accept_bytes, &accept_len), 0);
	return moveseal_seal(&m, (struct binding_part){offer, sizeof(offer)},
			     (struct binding_part){accept_bytes, accept_len}, &out, &len,
			     &e);
}

static int teardown(void **state)
{
	EVP_PKEY_free(key);
	free(out);
	return 0;
}

static int opened(struct moveseal *m)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = moveseal_open(m, key, (struct binding_part){offer, sizeof(offer)},
			       (struct binding_part){accept_bytes, accept_len}, out, len,
			       &e);

	assert_int_equal(e.cause, rc ? CAUSE_PEER : CAUSE_NONE);
	return rc;
}

static void there_and_back(void **state)
{
	struct moveseal m = {.uuid = "one vTPM of all"}, s = sample();

	assert_int_equal(opened(&m), 0);
	assert_int_equal(m.seq, 41);
	assert_int_equal(m.epoch, 7);
	assert_int_equal(m.on, 77);
	assert_false(m.crb);
	assert_int_equal(m.permanent.n, 300);
	assert_memory_equal(m.volatile_state.p, s.volatile_state.p, 400);
	assert_int_equal(m.log.n, 99);
	assert_null(m.platform_auth.p);
	assert_int_equal(m.desc.policy, ENVELOPE_SLOT_TPM);
	assert_true(m.desc.measured);
	assert_int_equal(m.desc.ek[0].len, 34);
	moveseal_wipe(&m);
}

static void nothing_in_clear(void **state)
{
	size_t i;

	for (i = 0; i + 16 <= len; i++)
		assert_memory_not_equal(out + i, "bytes of libtpms", 16);
}

static void another_manager(void **state)
{
	struct moveseal m = {.uuid = "one vTPM of all"};

	EVP_PKEY_free(key);
	assert_int_equal(moveseal_key(&key, public, &public_len), 0);
	assert_int_not_equal(opened(&m), 0);
}

static void another_transfer(void **state)
{
	struct moveseal m = {.uuid = "one vTPM of all"};
	struct error e = {.cause = CAUSE_NONE};

	assert_int_equal(
		moveseal_open(
			&m, key, (struct binding_part){other_offer, sizeof(other_offer)},
			(struct binding_part){accept_bytes, accept_len}, out, len, &e),
		-EXDEV);
	accept_bytes[accept_len - 1] ^= 1;
	assert_int_equal(opened(&m), -EXDEV);
}

static void another_vtpm(void **state)
{
	struct moveseal m = {.uuid = "one vTPM of alL"};

	assert_int_equal(opened(&m), -EXDEV);
}

/* All but the few bytes that are checked first are so under the authentication code. */
static void each_byte_counts(void **state)
{
	struct moveseal m;
	size_t i;

	for (i = 0; i < len; i++) {
		m = (struct moveseal){.uuid = "one vTPM of all"};
		out[i] ^= 1;
		if (!opened(&m))
			fail_msg("byte %zu does not count", i);
		out[i] ^= 1;
	}
}

static void each_length_but_the_right_one(void **state)
{
	struct moveseal m;
	size_t whole = len;

	for (len = 0; len < whole; len++) {
		m = (struct moveseal){.uuid = "one vTPM of all"};
		assert_int_not_equal(opened(&m), 0);
	}
}

static void a_key_that_is_none(void **state)
{
	struct moveseal m = sample();
	struct error e = {.cause = CAUSE_NONE};
	struct move_accept a = {.key = {offer, sizeof(offer)}};

	free(out);
	accept_len = sizeof(accept_bytes);
	assert_int_equal(move_accept_encode(&a, accept_bytes, &accept_len), 0);
	assert_int_not_equal(
		moveseal_seal(&m, (struct binding_part){offer, sizeof(offer)},
			      (struct binding_part){accept_bytes, accept_len}, &out, &len,
			      &e),
		0);
	assert_null(out);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(there_and_back),
		CASE(nothing_in_clear),
		CASE(another_manager),
		CASE(another_transfer),
		CASE(another_vtpm),
		CASE(each_byte_counts),
		CASE(each_length_but_the_right_one),
		CASE(a_key_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
