/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tools/vtpm-verify/evidence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[65536], changed[65536];

static int setup(void **state)
{
	FILE *f = fopen("tests/unit/verify_evidence.json", "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = 0;
	if (f)
		fclose(f);
	return n ? 0 : -1;
}

/* text with the first `from` in it as `to`. */
static int parse_with(const char *from, const char *to)
{
	char *at = strstr(text, from);
	struct evidence *e;
	int rc;

	assert_non_null(at);
	snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, to,
		 at + strlen(from));
	rc = evidence_parse(changed, &e);
	if (!rc)
		evidence_free(e);
	return rc;
}

static void real_one(void **state)
{
	struct evidence *e;

	assert_int_equal(evidence_parse(text, &e), 0);
	assert_int_equal(e->nonce.n, 32);
	assert_int_equal(e->user.n, 32);
	assert_int_equal(e->keys, 3);
	assert_int_equal(e->certificates, 3);
	assert_int_equal(e->vtpm.banks, 4);
	assert_int_equal(e->vtpm.bank[1].pcrs, 0xffff);
	assert_int_equal(e->host.banks, 1);
	assert_null(e->host.log.p);
	evidence_free(e);
}

/* There is one form for what it says. */
static void other_forms(void **state)
{
	assert_int_equal(parse_with("{", " {"), -EBADMSG);
	assert_int_equal(parse_with("{", "{ "), -EBADMSG);
	assert_int_equal(parse_with("\"eat_nonce\"", "\"eat_nonc\\u0065\""), -EBADMSG);
	assert_int_equal(parse_with("{\"0\":", "{\"00\":"), -EBADMSG);
	assert_int_equal(parse_with("{", "{"), 0);
}

static void members_that_mean_nothing(void **state)
{
	assert_int_equal(parse_with("{", "{\"x\":1,"), -EBADMSG);
	assert_int_equal(parse_with("\"vtpm\":{", "\"vtpm\":{\"x\":1,"), -EBADMSG);
	assert_int_equal(parse_with("\"host\":{", "\"host\":{\"x\":1,"), -EBADMSG);
	assert_int_equal(parse_with("\"submods\":{", "\"submods\":{\"x\":1,"), -EBADMSG);
	assert_int_equal(parse_with("\"sha256\":{", "\"sha257\":{"), -EBADMSG);
	assert_int_equal(parse_with("deep-quote-2", "deep-quote-1"), -EBADMSG);
}

static void members_that_are_missing(void **state)
{
	assert_int_equal(parse_with("\"quote\":", "\"quotf\":"), -EBADMSG);
	assert_int_equal(parse_with("\"binding\":", "\"bindinf\":"), -EBADMSG);
	assert_int_equal(parse_with("\"pcrs\":", "\"pcrt\":"), -EBADMSG);
	assert_int_equal(parse_with("\"ek\":", "\"el\":"), -EBADMSG);
}

static void no_object(void **state)
{
	static const char *const texts[] = {"", "[]", "1", "{}", "\"x\"", "null", "{"};
	struct evidence *e;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(evidence_parse(texts[i], &e), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_one),
		cmocka_unit_test(other_forms),
		cmocka_unit_test(members_that_mean_nothing),
		cmocka_unit_test(members_that_are_missing),
		cmocka_unit_test(no_object),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
