/* SPDX-License-Identifier: Apache-2.0 */
/* The relay to a TPM that answers in pieces, too much, too late or not at all. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/relay.h"
#include "tools/vtpmd/work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const uint8_t command[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};
static const uint8_t response[] = {0x80, 1, 0, 0, 0, 14, 0, 0, 0, 0, 0, 2, 7, 7};

static char path[64], target[80];
static int server, peer;
static struct event_base *base;
static struct relay *relay;
static int done, rc;
static uint8_t got[64];
static size_t got_len;

static void on_done(void *ctx, int result, const uint8_t *rsp, size_t len)
{
	done++;
	rc = result;
	got_len = result ? 0 : len;
	assert_true(got_len <= sizeof(got));
	memcpy(got, rsp, got_len);
}

static int setup(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	snprintf(path, sizeof(path), "/tmp/relay-test.%d", (int)getpid());
	snprintf(target, sizeof(target), "unix:%s", path);
	unlink(path);
	strcpy(at.sun_path, path);
	server = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(server, (struct sockaddr *)&at, sizeof(at)) || listen(server, 4))
		return -1;
	base = event_base_new();
	relay = relay_new(base, target);
	done = 0;
	peer = -1;
	return relay ? 0 : -1;
}

static int teardown(void **state)
{
	relay_free(relay);
	event_base_free(base);
	if (peer >= 0)
		close(peer);
	close(server);
	unlink(path);
	return 0;
}

/* Sends the command, and takes it at the TPM's end. */
static void submit(void)
{
	uint8_t buf[64];

	assert_int_equal(relay_submit(relay, command, sizeof(command), 0, on_done, NULL),
			 0);
	assert_int_equal(relay_submit(relay, command, sizeof(command), 0, on_done, NULL),
			 -EBUSY);
	if (peer >= 0)
		close(peer);
	peer = accept(server, NULL, NULL);
	assert_int_equal(recv(peer, buf, sizeof(buf), 0), sizeof(command));
	assert_memory_equal(buf, command, sizeof(command));
}

static void answer(const void *p, size_t n)
{
	assert_int_equal(send(peer, p, n, MSG_NOSIGNAL), n);
	assert_true(event_base_loop(base, EVLOOP_ONCE) >= 0);
}

static void an_answer_in_pieces(void **state)
{
	size_t i;

	submit();
	for (i = 0; i < sizeof(response); i++) {
		assert_int_equal(done, 0);
		answer(response + i, 1);
	}
	assert_int_equal(done, 1);
	assert_int_equal(rc, 0);
	assert_int_equal(got_len, sizeof(response));
	assert_memory_equal(got, response, sizeof(response));
	submit(); /* and again */
	answer(response, sizeof(response));
	assert_int_equal(done, 2);
	assert_int_equal(rc, 0);
}

static void answers_that_are_none(void **state)
{
	static const uint8_t sizes[][4] = {
		{0, 0, 0, 9}, {0, 0, 0, 13}, {0, 0, 0x10, 1}, {255, 255, 255, 255}};
	uint8_t bad[sizeof(response)];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		memcpy(bad, response, sizeof(bad));
		memcpy(bad + 2, sizes[i], 4);
		submit();
		answer(bad, sizeof(bad));
		assert_int_equal(done, (int)i + 1);
		assert_int_equal(rc, -EPROTO);
	}
	submit(); /* the next command finds a fresh connection */
	answer(response, sizeof(response));
	assert_int_equal(rc, 0);
}

static void a_tpm_that_goes_away(void **state)
{
	submit();
	answer(response, 5);
	assert_int_equal(done, 0);
	close(peer);
	peer = -1;
	assert_true(event_base_loop(base, EVLOOP_ONCE) >= 0);
	assert_int_equal(done, 1);
	assert_int_equal(rc, -EIO);
}

static void no_tpm(void **state)
{
	uint8_t big[8192] = {0};

	assert_int_equal(relay_submit(relay, big, sizeof(big), 0, on_done, NULL),
			 -EMSGSIZE);
	close(server);
	unlink(path);
	assert_int_equal(relay_submit(relay, command, sizeof(command), 0, on_done, NULL),
			 -ENODEV);
	assert_int_equal(done, 0);
	server = socket(AF_UNIX, SOCK_STREAM, 0);
}

/* Freed in the midst: nobody is called, nothing is touched. */
static void freed_while_it_waits(void **state)
{
	submit();
	relay_free(relay);
	relay = NULL;
	(void)!send(peer, response, sizeof(response), MSG_NOSIGNAL);
	(void)event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(done, 0);
}

/* It waits here, and not at the TPM, before it goes there. */
static void after_a_while(void **state)
{
	uint8_t buf[64];

	assert_int_equal(
		relay_submit(relay, command, sizeof(command), 200, on_done, NULL), 0);
	assert_true(relay_busy(relay));
	(void)event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(recv(server, buf, sizeof(buf), MSG_DONTWAIT), -1);
	(void)event_base_loop(base, EVLOOP_ONCE);
	peer = accept(server, NULL, NULL);
	assert_int_equal(recv(peer, buf, sizeof(buf), 0), sizeof(command));
	answer(response, sizeof(response));
	assert_int_equal(done, 1);
	assert_int_equal(rc, 0);
	assert_false(relay_busy(relay));
}

static void reset_in_the_midst(void **state)
{
	uint8_t buf[64];

	submit();
	relay_reset(relay);
	assert_int_equal(done, 1);
	assert_int_equal(rc, -ECANCELED);
	assert_int_equal(recv(peer, buf, sizeof(buf), 0), 0); /* the file is closed */
	assert_int_equal(relay_submit(relay, command, sizeof(command), 50, on_done, NULL),
			 0);
	relay_reset(relay);
	assert_int_equal(done, 2);
	relay_reset(relay);
	assert_int_equal(done, 2);
	submit();
	answer(response, sizeof(response));
	assert_int_equal(rc, 0);
}

int __real_close(int fd);
int __wrap_close(int fd);
static int slow = -1; /* its close() waits for the TPM */
static volatile int slow_closed;

int __wrap_close(int fd)
{
	if (fd == slow) {
		usleep(300000);
		slow_closed++;
		slow = -1;
	}
	return __real_close(fd);
}

/* Linux's close() of /dev/tpmrm0 waits for the command under way; nobody else does. */
static void a_device_that_is_slow_to_close(void **state)
{
	struct timespec from, to;
	char device[80];
	int lowest;

	snprintf(device, sizeof(device), "%s.device", path);
	assert_int_equal(mkfifo(device, 0600), 0);
	assert_int_equal(work_init(base), 0);
	relay_free(relay);
	relay = relay_new(base, device);
	lowest = dup(0); /* what open() gives next */
	__real_close(lowest);
	assert_int_equal(relay_submit(relay, command, sizeof(command), 0, on_done, NULL),
			 0);
	slow = lowest;
	slow_closed = 0;
	clock_gettime(CLOCK_MONOTONIC, &from);
	relay_reset(relay);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_int_equal(done, 1);
	assert_int_equal(slow_closed, 0);
	assert_true((to.tv_sec - from.tv_sec) * 1000 +
			    (to.tv_nsec - from.tv_nsec) / 1000000 <
		    200);
	work_end();
	assert_int_equal(slow_closed, 1);
	unlink(device);
}

#define RELAY_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST(an_answer_in_pieces),
		RELAY_TEST(answers_that_are_none),
		RELAY_TEST(a_tpm_that_goes_away),
		RELAY_TEST(no_tpm),
		RELAY_TEST(freed_while_it_waits),
		RELAY_TEST(after_a_while),
		RELAY_TEST(reset_in_the_midst),
		RELAY_TEST(a_device_that_is_slow_to_close),
	};

	return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
