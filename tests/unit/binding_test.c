/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/binding.h"

#include <errno.h>
#include <string.h>

static uint8_t bytes[BINDING_SIZE_MAX];
static size_t len;

static struct binding sample(void)
{
	static const uint8_t some[80] = "xen-vtpm";
	struct binding b = {.nonce = {some, 32},
			    .user = {some, 64},
			    .uuid = "one vTPM of all",
			    .keys = 2,
			    .ek = {{some, 34}, {some, 50}},
			    .ak = {some, 34},
			    .quote = {some, 32},
			    .guest_log = {some, 32},
			    .kernel = {some, 32},
			    .manager = {some, 32}};

	return b;
}

static int setup(void **state)
{
	struct binding b = sample();

	len = sizeof(bytes);
	return binding_encode(&b, bytes, &len);
}

static void there_and_back(void **state)
{
	struct binding b;

	assert_int_equal(binding_decode(bytes, len, &b), 0);
	assert_int_equal(b.nonce.n, 32);
	assert_int_equal(b.keys, 2);
	assert_int_equal(b.ek[1].n, 50);
	assert_memory_equal(b.uuid, sample().uuid, 16);
	assert_memory_equal(b.ak.p, "xen-vtpm", 9);
	assert_int_equal(b.user.n, 64);
	assert_int_equal(b.quote.n, 32);
	assert_int_equal(b.guest_log.n, 32);
	assert_int_equal(b.host_log.n, 0);
}

static void every_length_but_the_right_one(void **state)
{
	struct binding b;
	size_t n;

	for (n = 0; n < len; n++)
		assert_int_equal(binding_decode(bytes, n, &b), -EBADMSG);
	assert_int_equal(binding_decode(bytes, len + 1, &b), -EBADMSG);
}

static void refused(struct binding b)
{
	len = sizeof(bytes);
	assert_int_equal(binding_encode(&b, bytes, &len), 0);
	assert_int_equal(binding_decode(bytes, len, &b), -EBADMSG);
}

static void limits(void **state)
{
	struct binding b = sample();

	b.nonce.n = BINDING_NONCE_MIN - 1;
	refused(b);
	b.nonce.n = BINDING_NONCE_MAX + 1;
	refused(b);
	b = sample();
	b.user.n = BINDING_USER_MAX + 1;
	refused(b);
	b = sample();
	b.quote.n = 0;
	refused(b);
	b = sample();
	b.keys = 0;
	refused(b);
	b = sample();
	b.kernel.n = 31;
	refused(b);
	b = sample();
	b.manager.n = 0;
	refused(b);
	b = sample();
	b.ak.n = 21;
	refused(b);
}

static void no_user_data(void **state)
{
	struct binding b = sample(), again;

	b.user = (struct binding_part){NULL, 0};
	len = sizeof(bytes);
	assert_int_equal(binding_encode(&b, bytes, &len), 0);
	assert_int_equal(binding_decode(bytes, len, &again), 0);
	assert_int_equal(again.user.n, 0);
}

static void another_label(void **state)
{
	struct binding b;

	bytes[2] ^= 1;
	assert_int_equal(binding_decode(bytes, len, &b), -EBADMSG);
}

static void no_room(void **state)
{
	struct binding b = sample();
	size_t n = 100;

	assert_int_equal(binding_encode(&b, bytes, &n), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(there_and_back, setup),
		cmocka_unit_test_setup(every_length_but_the_right_one, setup),
		cmocka_unit_test_setup(limits, setup),
		cmocka_unit_test_setup(no_user_data, setup),
		cmocka_unit_test_setup(another_label, setup),
		cmocka_unit_test_setup(no_room, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
