/* SPDX-License-Identifier: Apache-2.0 */
/* Raw commands on a socket, from clients that cut, glue and lie. */
#include "tests/unit/unit.h"
#include "stubdom/manager/socket.h"
#include "stubdom/manager/engine.h"

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
static struct front_config config;
static int executed, result;
static size_t last_len;

/* As the engine's. */
int engine_refuse(enum engine_version version, uint32_t tpm2, uint32_t tpm12,
		  uint8_t *rsp, size_t *rsp_len)
{
	const uint8_t all[10] = {
		version == ENGINE_TPM_12 ? 0 : 0x80,
		version == ENGINE_TPM_12 ? 0xc4 : 1,
		0,
		0,
		0,
		10,
		0,
		0,
		(uint8_t)((version == ENGINE_TPM_12 ? tpm12 : tpm2) >> 8),
		(uint8_t)(version == ENGINE_TPM_12 ? tpm12 : tpm2)};

	memcpy(rsp, all, sizeof(all));
	*rsp_len = sizeof(all);
	return 0;
}

static struct socket_options options;
static int left_count;
static uint8_t locality_now;

static void count_left(void *ctx)
{
	left_count++;
}

static void note_locality(void *ctx, uint8_t locality)
{
	locality_now = locality;
}

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
	if (socket_front(&f, &listener, &options, &error))
		return -1;
	fronts_add(&fronts, f);
	return fronts_open(&fronts, &config);
}

static int setup_12(void **state)
{
	int rc;

	config.tpm12 = true;
	rc = setup(state);
	config.tpm12 = false;
	return rc;
}

static int setup_swtpm(void **state)
{
	int rc;

	options = (struct socket_options){.prefix = true,
					  .disconnect = true,
					  .left = count_left,
					  .locality = note_locality};
	left_count = 0;
	rc = setup(state);
	options = (struct socket_options){0};
	return rc;
}

static int setup_lingering(void **state)
{
	int rc;

	options = (struct socket_options){.lingers = true};
	rc = setup(state);
	options = (struct socket_options){0};
	return rc;
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

/* A client that sends the next command as soon as the server waits for it alone. */
static int eager = -1;
static unsigned int polls, waits, to_send, vain;
static bool has_processor; /* of its own: it sends while the server looks */
static bool looked;	   /* last, and there was nothing */

/* When it has its answer. */
static void send_next(void)
{
	uint8_t answer[sizeof(command)];

	if (!to_send || read(eager, answer, sizeof(answer)) != sizeof(answer))
		return;
	to_send--;
	assert_int_equal(write(eager, command, sizeof(command)), sizeof(command));
}

int __real_poll(struct pollfd *fds, nfds_t n, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int ms)
{
	polls++;
	send_next();
	return __real_poll(fds, n, ms);
}

ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
	ssize_t n;

	if (!(flags & MSG_DONTWAIT)) {
		waits++;
		vain += looked;
	}
	if (!(flags & MSG_DONTWAIT) || has_processor)
		send_next();
	n = __real_recv(fd, buf, len, flags);
	looked = (flags & MSG_DONTWAIT) && n < 0;
	return n;
}

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

/* Serves until there is an answer. */
static void await(int fd)
{
	struct pollfd none = {.fd = -1};
	uint8_t b;

	while (recv(fd, &b, 1, MSG_PEEK) < 0)
		assert_true(fronts_serve(&fronts, &none, 1000) >= 0);
}

/* Answered when nothing more comes, and the connection goes on. */
static void lengths_that_lie(void **state)
{
	static const uint32_t lengths[] = {0, 9, 4097, 0xffffffff};
	uint8_t cmd[sizeof(command)], rsp[16];
	int fd = client();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		memcpy(cmd, command, sizeof(cmd));
		cmd[2] = (uint8_t)(lengths[i] >> 24);
		cmd[3] = (uint8_t)(lengths[i] >> 16);
		cmd[4] = (uint8_t)(lengths[i] >> 8);
		cmd[5] = (uint8_t)lengths[i];
		assert_int_equal(send(fd, cmd, sizeof(cmd), 0), sizeof(cmd));
		await(fd);
		assert_int_equal(recv(fd, rsp, sizeof(rsp), 0), 10);
		assert_memory_equal(rsp + 6, "\0\0\1\x42", 4);
		send_bytes(fd, command, sizeof(command));
		receives(fd, sizeof(command));
		assert_int_equal(executed, (int)i + 1);
	}
	close(fd);
}

/* One that is honestly too long is answered when it is all there, and only once. */
static void a_command_that_is_too_long(void **state)
{
	static uint8_t cmd[50000] = {0x80, 1, 0, 0, 50000 >> 8, 50000 & 0xff};
	struct pollfd none = {.fd = -1};
	int fd = client();
	uint8_t rsp[16];
	size_t done = 0;

	while (done < sizeof(cmd)) {
		ssize_t n = send(fd, cmd + done, sizeof(cmd) - done, MSG_DONTWAIT);

		done += n > 0 ? (size_t)n : 0;
		assert_true(fronts_serve(&fronts, &none, 1) >= 0);
	}
	await(fd);
	assert_int_equal(recv(fd, rsp, sizeof(rsp), 0), 10);
	assert_int_equal(executed, 0);
	send_bytes(fd, command, sizeof(command));
	receives(fd, sizeof(command));
	close(fd);
}

/* A client that has said all that it wants to is answered, too. */
static void half_closed(void **state)
{
	static uint8_t cmd[4097] = {0x80, 1, 0, 0, 0x10, 1};
	static const size_t sent[] = {sizeof(cmd), 100, 6};
	uint8_t rsp[16];

	for (size_t i = 0; i < ARRAY_SIZE(sent); i++) {
		int fd = client();

		assert_int_equal(send(fd, cmd, sent[i], 0), (int)sent[i]);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		serve();
		assert_int_equal(recv(fd, rsp, sizeof(rsp), 0), 10);
		assert_memory_equal(rsp + 6, "\0\0\1\x42", 4);
		is_dropped(fd);
	}
	assert_int_equal(executed, 0);
}

static void a_tpm_12_refuses_as_one(void **state)
{
	static const uint8_t bad[12] = {0, 0xc1, 0, 0, 0, 3};
	int fd = client();
	uint8_t rsp[16];

	assert_int_equal(send(fd, bad, sizeof(bad), 0), sizeof(bad));
	await(fd);
	assert_int_equal(recv(fd, rsp, sizeof(rsp), 0), 10);
	assert_memory_equal(rsp, "\0\xc4\0\0\0\x0a\0\0\0\x19", 10);
	result = -EIO;
	assert_int_equal(send(fd, command, sizeof(command), 0), sizeof(command));
	await(fd);
	assert_int_equal(recv(fd, rsp, sizeof(rsp), 0), 10);
	assert_memory_equal(rsp, "\0\xc4\0\0\0\x0a\0\0\0\x09", 10);
	close(fd);
}

/* Nothing waits for it: it gets as many answers as the socket holds, and no command is run
 * for the others. */
static void a_client_that_does_not_read(void **state)
{
	struct pollfd none = {.fd = -1};
	uint8_t cmd[4096] = {0x80, 1, 0, 0, 0x10, 0};
	int fd = client(), quiet = 0, i;

	for (i = 0; i < 100000 && quiet < 20; i++) {
		quiet = send(fd, cmd, sizeof(cmd), MSG_DONTWAIT) < 0 ? quiet + 1 : 0;
		assert_true(fronts_serve(&fronts, &none, 0) >= 0);
	}
	assert_int_equal(quiet, 20);
	i = executed;
	serve();
	assert_int_equal(executed, i);
	while (recv(fd, cmd, sizeof(cmd), 0) > 0)
		serve(); /* now it reads */
	assert_true(executed > i);
	close(fd);
}

/* As swtpm's clients use it: the TCG's header, and a connection for each command. */
static void prefix_and_disconnect(void **state)
{
	uint8_t cmd[9 + sizeof(command)] = {0, 0, 0, 8, 3, 0, 0, 0, sizeof(command)};
	uint8_t rsp[64];
	int fd = client();

	memcpy(cmd + 9, command, sizeof(command));
	send_bytes(fd, cmd, sizeof(cmd));
	assert_int_equal(recv(fd, rsp, sizeof(rsp), 0), 4 + sizeof(command) + 4);
	assert_memory_equal(rsp, "\0\0\0\x0c", 4);
	assert_memory_equal(rsp + 4, command, sizeof(command));
	assert_memory_equal(rsp + 4 + sizeof(command), "\0\0\0\0", 4);
	assert_int_equal(locality_now, 3);
	is_dropped(fd);
	assert_int_equal(left_count, 1);
	fd = client();
	send_bytes(fd, command, sizeof(command)); /* without it */
	receives(fd, sizeof(command));
	is_dropped(fd);
	assert_int_equal(locality_now, 3);
	fd = client();
	cmd[4] = 5; /* no such locality */
	assert_int_equal(send(fd, cmd, sizeof(cmd), 0), sizeof(cmd));
	await(fd);
	assert_int_equal(recv(fd, rsp, sizeof(rsp), 0), 10);
	assert_int_equal(executed, 2);
	close(fd);
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

/* What could not be stored is not shown: the client hears that the TPM has failed. */
static void a_failure_shows_nothing(void **state)
{
	int fd = client();
	uint8_t rsp[16];

	result = -EIO;
	send_bytes(fd, command, sizeof(command));
	assert_int_equal(executed, 1);
	assert_int_equal(recv(fd, rsp, sizeof(rsp), 0), 10);
	assert_memory_equal(rsp, "\x80\1\0\0\0\x0a\0\0\1\1", 10);
	result = 0;
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

/* Two system calls a command, for some in a row: then all others have their turn. */
static void a_client_that_is_waited_for(void **state)
{
	struct pollfd none = {.fd = -1};

	eager = client();
	assert_int_equal(write(eager, command, sizeof(command)), sizeof(command));
	assert_int_equal(fronts_serve(&fronts, &none, 20), 1); /* it is accepted */
	to_send = 99;
	waits = polls = 0;
	assert_int_equal(fronts_serve(&fronts, &none, 20), 1);
	assert_in_range(executed, 2, 40);
	serve();
	assert_int_equal(executed, 100);
	assert_in_range(polls, 1, 12);
	assert_in_range(waits, 80, 112);
	/* one that sends nothing more has it poll again, at once for all others */
	waits = polls = 0;
	assert_int_equal(fronts_serve(&fronts, &none, 0), 0);
	assert_int_equal(polls, 1);
	assert_int_equal(waits, 0);
	close(eager);
	serve();
}

static void run_eager(unsigned int n)
{
	struct pollfd none = {.fd = -1};

	executed = 0;
	eager = client();
	assert_int_equal(write(eager, command, sizeof(command)), sizeof(command));
	assert_int_equal(fronts_serve(&fronts, &none, 20), 1); /* it is accepted */
	waits = polls = vain = 0;
	to_send = n - 1;
	serve();
	assert_int_equal(executed, n);
	close(eager);
	serve();
}

/* Its next command is found before the server would sleep. */
static void a_client_with_a_processor(void **state)
{
	has_processor = true;
	run_eager(1000);
	has_processor = false;
	assert_in_range(waits, 0, 2); /* behind the last one */
	assert_in_range(polls, 1, 80);
}

/* Its next command comes when the server sleeps, which it learns soon, and tries again seldom. */
static void a_client_that_shares_the_processor(void **state)
{
	run_eager(1000);
	assert_in_range(vain, 1, 8);
	assert_true(waits > 900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(commands_in_pieces_and_glued, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_next_client_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(lengths_that_lie, setup, teardown),
		cmocka_unit_test_setup_teardown(the_longest_command, setup, teardown),
		cmocka_unit_test_setup_teardown(a_command_that_is_too_long, setup,
						teardown),
		cmocka_unit_test_setup_teardown(half_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_tpm_12_refuses_as_one, setup_12,
						teardown),
		cmocka_unit_test_setup_teardown(a_client_that_does_not_read, setup,
						teardown),
		cmocka_unit_test_setup_teardown(prefix_and_disconnect, setup_swtpm,
						teardown),
		cmocka_unit_test_setup_teardown(a_failure_shows_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_client_that_is_waited_for,
						setup_lingering, teardown),
		cmocka_unit_test_setup_teardown(a_client_with_a_processor,
						setup_lingering, teardown),
		cmocka_unit_test_setup_teardown(a_client_that_shares_the_processor,
						setup_lingering, teardown),
		cmocka_unit_test_setup_teardown(sockets_of_the_dead_are_taken_over, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("plain", tests, NULL, NULL);
}
