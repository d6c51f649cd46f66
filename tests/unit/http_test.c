/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tools/vtpmd/http.h"
#include "compiler.h"

static void request(const char *line, int status, bool head)
{
	bool is_head;

	if (http_request(line, "/metrics", &is_head) != status)
		fail_msg("\"%s\" is not answered with %d", line, status);
	assert_int_equal(is_head, head);
}

static void what_prometheus_asks(void **state)
{
	request("GET /metrics HTTP/1.1", 200, false);
	request("GET /metrics HTTP/1.0", 200, false);
	request("GET /metrics?name=x HTTP/1.1", 200, false);
	request("HEAD /metrics HTTP/1.1", 200, true);
	assert_string_equal(http_reason(200), "OK");
}

static void what_is_not_there(void **state)
{
	request("GET / HTTP/1.1", 404, false);
	request("GET /metric HTTP/1.1", 404, false);
	request("GET /metricsx HTTP/1.1", 404, false);
	request("GET /metrics/ HTTP/1.1", 404, false);
	request("HEAD /other HTTP/1.1", 404, true);
}

static void other_methods(void **state)
{
	request("POST /metrics HTTP/1.1", 405, false);
	request("GETX /metrics HTTP/1.1", 405, false);
	request("get /metrics HTTP/1.1", 405, false);
	request(" /metrics HTTP/1.1", 405, false);
}

static void nonsense(void **state)
{
	static const char *const lines[] = {"",
					    " ",
					    "  ",
					    "GET",
					    "GET ",
					    "GET /metrics",
					    "GET /metrics ",
					    "GET /metrics HTTP/2",
					    "GET /metrics HTTP",
					    "\x16\x03\x01"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lines); i++)
		request(lines[i], 400, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_prometheus_asks),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(other_methods),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
