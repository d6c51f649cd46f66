/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
/* The control channel of the stand-alone mode, with an engine that counts. */
#include "stubdom/manager/alone.c"

static struct {
	int opens, inits, stops, cancels, fail;
} did;

int engine_open(const struct engine_store *store, const struct engine_options *options,
		struct error *e)
{
	assert_false(options->create);
	did.opens++;
	return did.fail;
}

int engine_power_cycle(void)
{
	did.inits++;
	return did.fail;
}

int engine_close(void)
{
	did.stops++;
	return did.fail;
}

void engine_cancel(void)
{
	did.cancels++;
}

int engine_execute(uint8_t locality, const uint8_t *cmd, size_t len, uint8_t *rsp,
		   size_t *rsp_len)
{
	abort();
}

static uint8_t rsp[CONTROL_RESPONSE_MAX];
static bool end;

static size_t ask(uint8_t command, const char *body, size_t body_len)
{
	uint8_t buf[16] = {0, 0, 0, command};

	memcpy(buf + 4, body, body_len);
	return control_answer(buf, 4 + body_len, rsp, &end);
}

static void result_is(size_t len, uint8_t want)
{
	const uint8_t all[4] = {0, 0, 0, want};

	assert_int_equal(len, 4);
	assert_memory_equal(rsp, all, 4);
}

static int setup(void **state)
{
	memset(&did, 0, sizeof(did));
	alone.on = true;
	alone.locality = 0;
	return 0;
}

static void sizes(void **state)
{
	const uint8_t init[8] = {0, 0, 0, 2}, locality[5] = {0, 0, 0, 5},
		      other[4] = {0, 0, 0, 14};
	size_t i;

	for (i = 0; i < 4; i++)
		assert_int_equal(control_request_size(init, i), 0);
	assert_int_equal(control_request_size(init, 4), 8);
	assert_int_equal(control_request_size(locality, 4), 5);
	assert_int_equal(control_request_size(other, 4), 4);
	assert_true(control_request_size(init, 8) <= CONTROL_REQUEST_MAX);
}

static void capabilities(void **state)
{
	static const uint8_t want[8] = {0, 0, 0, 0, 0, 0, 4, 0x2b};

	assert_int_equal(ask(1, "", 0), 8);
	assert_memory_equal(rsp, want, 8);
	assert_false(end);
}

static void power(void **state)
{
	alone.locality = 3;
	result_is(ask(2, "\0\0\0\1", 4), 0);
	assert_int_equal(did.inits, 1);
	assert_int_equal(alone.locality, 0);
	result_is(ask(14, "", 0), 0);
	assert_int_equal(did.stops, 1);
	assert_false(end);
	result_is(ask(14, "", 0), 0); /* it is off already */
	assert_int_equal(did.stops, 1);
	result_is(ask(2, "\0\0\0\0", 4), 0);
	assert_int_equal(did.opens, 1);
	assert_int_equal(did.inits, 1);
	result_is(ask(3, "", 0), 0);
	assert_int_equal(did.stops, 2);
	assert_true(end);
}

static void power_fails(void **state)
{
	did.fail = -EIO;
	result_is(ask(2, "\0\0\0\0", 4), 9);
	assert_int_equal(did.inits, 1);
	assert_false(end);
	result_is(ask(14, "", 0), 9);
	result_is(ask(2, "\0\0\0\0", 4), 9);
	assert_int_equal(did.opens, 1);
	assert_false(alone.on);
}

static void localities(void **state)
{
	result_is(ask(5, "\4", 1), 0);
	assert_int_equal(alone.locality, 4);
	result_is(ask(5, "\5", 1), 0x3d);
	result_is(ask(5, "", 0), 0x3d);
	assert_int_equal(alone.locality, 4);
}

static void cancel_and_unknown(void **state)
{
	result_is(ask(9, "", 0), 0);
	assert_int_equal(did.cancels, 1);
	result_is(ask(12, "", 0), 0x0a);
	result_is(ask(0, "", 0), 0x0a);
	assert_int_equal(did.opens + did.inits + did.stops, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(sizes, setup),
		cmocka_unit_test_setup(capabilities, setup),
		cmocka_unit_test_setup(power, setup),
		cmocka_unit_test_setup(power_fails, setup),
		cmocka_unit_test_setup(localities, setup),
		cmocka_unit_test_setup(cancel_and_unknown, setup),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
