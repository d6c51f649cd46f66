/* SPDX-License-Identifier: Apache-2.0 */
/* Raw commands on a socket, from clients that cut, glue and lie. */
#include "tests/unit/unit.h"
#include "stubdom/manager/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char path[64];
static struct listener listener;
static struct fronts fronts;
static struct error error;
static int executed, result;
static size_t last_len;

/* Answers with the command's own bytes. */
static int echo(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len, uint8_t *rsp,
		size_t *rsp_len)
{
	executed++;
	last_len = len;
	assert_int_equal(locality, 0);
	assert_true(*rsp_len >= len);
	memcpy(rsp, cmd, len);
	*rsp_len = len;
	return result;
}

static int setup(void **state)
{
	struct front *f;

	fronts = (struct fronts){.tpm = {.execute = echo}};
	executed = result = 0;
	snprintf(path, sizeof(path), "/tmp/plain-test.%d", (int)getpid());
	if (listener_unix(&listener, path, &error))
		return -1;
	if (socket_front(&f, &listener, &error))
		return -1;
	fronts_add(&fronts, f);
	return fronts_open(&fronts, NULL);
}

static int teardown(void **state)
{
	fronts_close(&fronts);
	listener_close(&listener);
	return access(path, F_OK) ? 0 : -1;
}

static int client(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(at.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* Serves until nothing is left to do. */
static void serve(void)
{
	struct pollfd none = {.fd = -1};
	int rc;

	do {
		rc = fronts_serve(&fronts, &none, 20);
		assert_true(rc >= 0);
	} while (rc);
}

static const uint8_t command[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};

static void send_bytes(int fd, const void *p, size_t n)
{
	assert_int_equal(send(fd, p, n, MSG_NOSIGNAL), n);
	serve();
}

static void receives(int fd, size_t n)
{
	uint8_t buf[64];

	assert_int_equal(recv(fd, buf, sizeof(buf), 0), n);
}

static void is_dropped(int fd)
{
	uint8_t b;

	serve();
	assert_int_equal(recv(fd, &b, 1, 0), 0);
	close(fd);
}

static void commands_in_pieces_and_glued(void **state)
{
	uint8_t two[2 * sizeof(command)];
	struct front_stats stats;
	int fd = client();
	size_t i;

	for (i = 0; i < sizeof(command); i++)
		send_bytes(fd, command + i, 1);
	receives(fd, sizeof(command));
	assert_int_equal(executed, 1);
	memcpy(two, command, sizeof(command));
	memcpy(two + sizeof(command), command, sizeof(command));
	send_bytes(fd, two, sizeof(two));
	receives(fd, sizeof(two));
	assert_int_equal(executed, 3);
	fronts_stats(&fronts, &stats);
	assert_int_equal(stats.commands, 3);
	assert_false(stats.present);
	close(fd);
}

static void the_next_client_waits(void **state)
{
	int one = client(), two = client();

	send_bytes(two, command, sizeof(command));
	assert_int_equal(executed, 0);
	send_bytes(one, command, sizeof(command));
	assert_int_equal(executed, 1);
	receives(one, sizeof(command));
	close(one);
	serve();
	assert_int_equal(executed, 2);
	receives(two, sizeof(command));
	close(two);
}

static void lengths_that_lie(void **state)
{
	static const uint32_t lengths[] = {0, 9, 4097, 0xffffffff};
	uint8_t cmd[sizeof(command)], rsp[16];
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		fd = client();
		memcpy(cmd, command, sizeof(cmd));
		cmd[2] = (uint8_t)(lengths[i] >> 24);
		cmd[3] = (uint8_t)(lengths[i] >> 16);
		cmd[4] = (uint8_t)(lengths[i] >> 8);
		cmd[5] = (uint8_t)lengths[i];
		send_bytes(fd, cmd, sizeof(cmd));
		assert_int_equal(recv(fd, rsp, sizeof(rsp), 0), 10);
		assert_memory_equal(rsp + 6, "\0\0\1\x42", 4);
		is_dropped(fd);
		assert_int_equal(executed, 0);
	}
}

static void the_longest_command(void **state)
{
	uint8_t cmd[4096] = {0x80, 1, 0, 0, 0x10, 0};
	int fd = client();

	send_bytes(fd, cmd, sizeof(cmd));
	assert_int_equal(executed, 1);
	assert_int_equal(last_len, sizeof(cmd));
	close(fd);
}

/* What could not be stored is not shown. */
static void a_failure_shows_nothing(void **state)
{
	int fd = client();

	result = -EIO;
	send_bytes(fd, command, sizeof(command));
	assert_int_equal(executed, 1);
	is_dropped(fd);
	result = 0;
	fd = client();
	send_bytes(fd, command, sizeof(command));
	receives(fd, sizeof(command));
	close(fd);
}

static void sockets_of_the_dead_are_taken_over(void **state)
{
	struct listener other;
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(listener_unix(&other, path, &error), -EADDRINUSE);
	assert_int_equal(other.fd, -1);
	close(listener.fd); /* as when the process was killed */
	assert_int_equal(listener_unix(&other, path, &error), 0);
	listener.fd = other.fd;
	memset(&error, 0, sizeof(error));
	assert_int_equal(listener_unix(&other, "/proc/no/such", &error), -ENOENT);
	assert_non_null(strstr(error.text, "/proc/no/such"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(commands_in_pieces_and_glued, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_next_client_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(lengths_that_lie, setup, teardown),
		cmocka_unit_test_setup_teardown(the_longest_command, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failure_shows_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(sockets_of_the_dead_are_taken_over, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("plain", tests, NULL, NULL);
}
