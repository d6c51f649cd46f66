/* SPDX-License-Identifier: Apache-2.0 */
/* What hosts of a pool ask each other about vTPMs, as bytes. */
#include "tests/unit/unit.h"
#include "lib/witness.h"

#include <errno.h>
#include <string.h>

static struct witness_question q;
static struct witness_answer a;
static uint8_t bytes[WITNESS_ANSWER_MAX + 1];
static size_t len;

static void ask(unsigned int n)
{
	q.pool = (struct binding_part){(const uint8_t *)"p1", 2};
	q.n = n;
	for (unsigned int i = 0; i < n; i++)
		memset(q.uuid[i], (int)i, sizeof(q.uuid[i]));
	len = WITNESS_ASK_MAX;
	assert_int_equal(witness_question_encode(&q, bytes, &len), 0);
}

static void tell(unsigned int n)
{
	memset(&a, 0, sizeof(a));
	a.known = true;
	a.cluster_id = UINT64_MAX;
	a.revision = 77;
	a.n = n;
	for (unsigned int i = 0; i < n; i++) {
		struct witness_said *s = &a.said[i];

		memset(s->uuid, (int)i, sizeof(s->uuid));
		memset(s->header, 1, sizeof(s->header));
		memset(s->base, 2, sizeof(s->base));
		s->header_seq = 3;
		s->epoch = UINT64_C(1) << 63;
		s->permall = i;
		s->base_seq = 9;
		s->use = (enum witness_use)(i % 3);
	}
	len = WITNESS_ANSWER_MAX;
	assert_int_equal(witness_answer_encode(&a, bytes, &len), 0);
}

static int heard(void)
{
	return witness_answer_decode(bytes, len, &a);
}

static int asked(void)
{
	return witness_question_decode(bytes, len, &q);
}

static void says_what_is_asked(void **state)
{
	ask(WITNESS_VTPMS_MAX);
	memset(q.uuid, 0, sizeof(q.uuid));
	assert_int_equal(asked(), 0);
	assert_int_equal(q.n, WITNESS_VTPMS_MAX);
	assert_int_equal(q.pool.n, 2);
	assert_memory_equal(q.pool.p, "p1", 2);
	assert_int_equal(q.uuid[WITNESS_VTPMS_MAX - 1][15], WITNESS_VTPMS_MAX - 1);
	ask(0);
	assert_int_equal(asked(), 0);
	assert_int_equal(q.n, 0);
}

static void says_what_is_told(void **state)
{
	tell(WITNESS_VTPMS_MAX);
	assert_true(len <= WITNESS_ANSWER_MAX);
	memset(&a, 0, sizeof(a));
	assert_int_equal(heard(), 0);
	assert_true(a.known && a.cluster_id == UINT64_MAX && a.revision == 77);
	assert_int_equal(a.n, WITNESS_VTPMS_MAX);
	assert_int_equal(witness_said_seq(&a.said[0]), 9); /* of the epoch's begin */
	assert_int_equal(witness_said_seq(&a.said[5]), 5);
	assert_true(a.said[5].epoch == UINT64_C(1) << 63 && a.said[5].header_seq == 3);
	assert_true(a.said[5].header[31] == 1 && a.said[5].base[31] == 2);
	assert_int_equal(a.said[3].use, WITNESS_FREE);
	assert_int_equal(a.said[4].use, WITNESS_MINE);
	assert_int_equal(a.said[5].use, WITNESS_OTHERS);
}

/* Of any length but the right one; each byte of head and counts. */
static void refuses_other_bytes(void **state)
{
	size_t whole;

	tell(2);
	whole = len;
	for (len = 0; len < whole; len++)
		assert_int_equal(heard(), -EBADMSG);
	len = whole + 1;
	assert_int_equal(heard(), -EBADMSG);
	ask(2);
	whole = len;
	for (len = 0; len < whole; len++)
		assert_int_equal(asked(), -EBADMSG);
	for (size_t i = 0; i < 1 + 2 + strlen(WITNESS_LABEL); i++) {
		ask(2);
		bytes[i] ^= 1;
		assert_int_equal(asked(), -EBADMSG);
		tell(2);
		bytes[i] ^= 1;
		assert_int_equal(heard(), -EBADMSG);
	}
}

static void has_three_words_for_who_has_it(void **state)
{
	for (unsigned int use = 0; use < 256; use++) {
		tell(2);
		bytes[len - 1] = (uint8_t)use;
		assert_int_equal(heard(), use > WITNESS_OTHERS ? -EBADMSG : 0);
		if (use <= WITNESS_OTHERS)
			assert_int_equal(a.said[1].use, use);
	}
}

static void is_no_message_of_the_other_kind(void **state)
{
	ask(1);
	assert_int_equal(heard(), -EBADMSG);
	tell(1);
	assert_int_equal(asked(), -EBADMSG);
}

static void tells_nothing_that_it_does_not_know(void **state)
{
	a.known = false;
	a.n = 1;
	len = sizeof(bytes);
	assert_int_equal(witness_answer_encode(&a, bytes, &len), -EMSGSIZE);
	tell(1);
	bytes[1 + 2 + strlen(WITNESS_LABEL)] = 0;
	assert_int_equal(heard(), -EBADMSG);
	tell(1);
	bytes[1 + 2 + strlen(WITNESS_LABEL)] = 3;
	assert_int_equal(heard(), -EBADMSG);
}

/* A host whose anchor is not known. */
static void tells_who_has_it_alone(void **state)
{
	tell(2);
	a.known = false;
	a.uses = true;
	len = WITNESS_ANSWER_MAX;
	assert_int_equal(witness_answer_encode(&a, bytes, &len), 0);
	memset(&a, 0, sizeof(a));
	assert_int_equal(heard(), 0);
	assert_true(!a.known && a.uses && a.n == 2);
	assert_int_equal(a.said[1].use, WITNESS_MINE);
	tell(2);
	assert_int_equal(heard(), 0);
	assert_true(a.known && !a.uses);
}

static void has_an_end(void **state)
{
	q.n = WITNESS_VTPMS_MAX + 1;
	len = sizeof(bytes);
	assert_int_equal(witness_question_encode(&q, bytes, &len), -EMSGSIZE);
	q.n = 0;
	q.pool.n = WITNESS_POOL_MAX + 1;
	assert_int_equal(witness_question_encode(&q, bytes, &len), -EMSGSIZE);
	q.pool.n = 0;
	assert_int_equal(witness_question_encode(&q, bytes, &len), -EMSGSIZE);
	ask(0);
	bytes[len - 2] = 1; /* 256 of them */
	assert_int_equal(asked(), -EBADMSG);
	tell(2);
	len = 40;
	assert_int_equal(witness_answer_encode(&a, bytes, &len), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_is_asked),
		cmocka_unit_test(says_what_is_told),
		cmocka_unit_test(refuses_other_bytes),
		cmocka_unit_test(has_three_words_for_who_has_it),
		cmocka_unit_test(is_no_message_of_the_other_kind),
		cmocka_unit_test(tells_nothing_that_it_does_not_know),
		cmocka_unit_test(tells_who_has_it_alone),
		cmocka_unit_test(has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
