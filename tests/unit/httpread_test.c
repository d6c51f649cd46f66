/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/httpread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK "HTTP/1.1 200 OK\r\n"

static uint8_t buf[HTTPREAD_MAX + 100];
static struct httpread r;

static int parse(const char *text, size_t len)
{
	memcpy(buf, text, len);
	return httpread_parse(buf, len, &r);
}

/* Whole, and each beginning of it wants more. */
static void whole(const char *text, unsigned int status, const char *body)
{
	size_t len = strlen(text), n;

	for (n = 0; n < len; n++)
		assert_int_equal(parse(text, n), 0);
	assert_int_equal(parse(text, len), 1);
	assert_int_equal(r.status, status);
	assert_int_equal(r.body_len, strlen(body));
	assert_memory_equal(r.body, body, r.body_len);
}

static void bodies_with_a_length(void **state)
{
	whole(OK "Content-Length: 5\r\n\r\nhello", 200, "hello");
	whole("HTTP/1.1 403 \r\ncontent-length:\t0 \r\nX: y\r\n\r\n", 403, "");
	whole("HTTP/1.1 404 Not Found\r\nX: a:b\r\nContent-Length: 2\r\n\r\n{}", 404,
	      "{}");
	whole("HTTP/1.1 204 No Content\r\n\r\n", 204, "");
}

static void bodies_in_chunks(void **state)
{
	whole(OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n"
		 "0\r\n\r\n",
	      200, "abc0123456789");
	whole(OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "");
}

static void what_is_refused(void **state)
{
	static const char *const bad[] = {
		"HTTP/1.0 200 OK\r\n",
		"HTTP/2 200\r\n",
		"HTTP/1.1 20 OK\r\n",
		"HTTP/1.1 2000 OK\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 200 OK\n",
		"ftp\r\n",
		OK "\r\n", /* until the end of the connection */
		OK "Content-Length: 1\r\nContent-Length: 1\r\n",
		OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
		OK "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
		OK "Transfer-Encoding: gzip\r\n",
		OK "Transfer-Encoding: chunked, chunked\r\n",
		OK "Content-Encoding: gzip\r\n",
		OK "Content-Length: -1\r\n",
		OK "Content-Length: 1x\r\n",
		OK "Content-Length: \r\n",
		OK "Content-Length: 99999999999999999999\r\n",
		OK "Content-Length : 1\r\n",
		OK ": 1\r\n",
		OK "no colon\r\n",
		OK "a: \x01\r\n",
		OK "Content-Length: 1\r\n\r\nab", /* more than was asked for */
		OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
		OK "Transfer-Encoding: chunked\r\n\r\nx\r\n",
		OK "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\n",
		OK "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
		OK "Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n",
		OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nx",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(bad[i], strlen(bad[i])) != -EBADMSG)
			print_error("%s\n", bad[i]);
		assert_int_equal(parse(bad[i], strlen(bad[i])), -EBADMSG);
	}
}

static void it_ends_at_its_bounds(void **state)
{
	char *text = malloc(HTTPREAD_MAX + 1);
	size_t at = strlen(OK);
	int n;

	/* a line without end */
	memset(text, 'a', HTTPREAD_MAX);
	memcpy(text, OK, at);
	assert_int_equal(parse(text, at + HTTPREAD_LINE_MAX), 0);
	assert_int_equal(parse(text, at + HTTPREAD_LINE_MAX + 1), -EBADMSG);
	/* lines without end */
	for (n = 0; n < HTTPREAD_LINES; n++, at += 6)
		memcpy(text + at, "a: b\r\n", 6);
	assert_int_equal(parse(text, at), -EBADMSG);
	/* a body that does not fit behind its head */
	at = (size_t)sprintf(text, OK "Content-Length: %d\r\n\r\n", HTTPREAD_MAX);
	memset(text + at, 'a', HTTPREAD_MAX - at);
	assert_int_equal(parse(text, HTTPREAD_MAX), -EBADMSG);
	assert_int_equal(parse(text, HTTPREAD_MAX - 1), 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_with_a_length),
		cmocka_unit_test(bodies_in_chunks),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(it_ends_at_its_bounds),
	};

	return cmocka_run_group_tests_name("httpread", tests, NULL, NULL);
}
