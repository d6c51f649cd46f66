/* SPDX-License-Identifier: Apache-2.0 */
/* swtpm's control channel, with an engine that counts, and clients that cut, lie and sleep. */
#include "tests/unit/unit.h"
#include "stubdom/manager/control.h"
#include "stubdom/manager/engine_tis.h"
#include "stubdom/manager/stateblob.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
	int inits, drops, stops, ends, stores, cancels, fail;
	bool on;
	uint8_t locality;
	int data; /* taken over */
	uint8_t hashed[64];
	size_t hashed_len;
	enum engine_blob which;
	uint8_t blob[64];
	size_t blob_len;
} did;

void engine_cancel(void)
{
	did.cancels++;
}

int engine_get_blob(enum engine_blob which, uint8_t **blob, size_t *len)
{
	if (which == ENGINE_BLOB_SAVED)
		return -ENOENT;
	*blob = malloc(5);
	memcpy(*blob, "state", 5);
	*len = 5;
	return did.fail;
}

uint32_t engine_buffer_size(enum engine_version version, uint32_t wanted, uint32_t *min,
			    uint32_t *max)
{
	*min = 0x100;
	*max = 0x1000;
	return wanted ? wanted : 0x1000;
}

int engine_refuse(enum engine_version version, uint32_t tpm2, uint32_t tpm12,
		  uint8_t *rsp, size_t *rsp_len)
{
	abort();
}

uint32_t engine_hash_start(void)
{
	did.hashed_len = 0;
	return 0;
}

uint32_t engine_hash_data(const uint8_t *data, size_t len)
{
	assert_true(did.hashed_len + len <= sizeof(did.hashed));
	memcpy(did.hashed + did.hashed_len, data, len);
	did.hashed_len += len;
	return 0;
}

uint32_t engine_hash_end(void)
{
	return 0;
}

uint32_t engine_established(bool *established)
{
	*established = true;
	return 0;
}

uint32_t engine_reset_established(uint8_t locality)
{
	return locality == 3 ? 0 : 0x3d;
}

char *engine_info(uint64_t flags)
{
	return flags == 1 ? strdup("{\"a\":1}") : NULL;
}

static bool is_on(void *ctx)
{
	return did.on;
}

static int init(void *ctx, bool drop_volatile)
{
	did.inits++;
	did.drops += drop_volatile;
	did.on = !did.fail;
	return did.fail;
}

static int stop(void *ctx)
{
	did.stops++;
	did.on = false;
	return did.fail;
}

static int store(void *ctx)
{
	did.stores++;
	return did.fail;
}

static int set_blob(void *ctx, enum engine_blob which, const uint8_t *blob, size_t len)
{
	assert_true(len <= sizeof(did.blob));
	did.which = which;
	if (len)
		memcpy(did.blob, blob, len);
	did.blob_len = len;
	return did.fail;
}

static void set_locality(void *ctx, uint8_t locality)
{
	did.locality = locality;
}

static int take_data(void *ctx, int fd)
{
	if (did.data >= 0)
		return -EBUSY;
	did.data = fd;
	return 0;
}

static void end(void *ctx)
{
	did.ends++;
}

static struct control_tpm tpm = {
	.is_on = is_on,
	.init = init,
	.stop = stop,
	.store_volatile = store,
	.set_blob = set_blob,
	.set_locality = set_locality,
	.take_data = take_data,
	.end = end,
};

static uint8_t *rsp;
static size_t rsp_len;
static int passed;

static void ask(uint8_t command, const char *body, size_t body_len)
{
	uint8_t buf[128] = {0, 0, 0, command};

	assert_true(4 + body_len <= sizeof(buf));
	memcpy(buf + 4, body, body_len);
	free(rsp);
	rsp = NULL;
	rsp = control_answer(&tpm, buf, 4 + body_len, &passed, &rsp_len);
	assert_non_null(rsp);
}

static void answer_is(const void *want, size_t len)
{
	assert_int_equal(rsp_len, len);
	assert_memory_equal(rsp, want, len);
}

static void result_is(uint8_t want)
{
	const uint8_t all[4] = {0, 0, 0, want};

	answer_is(all, 4);
}

static int setup(void **state)
{
	memset(&did, 0, sizeof(did));
	did.on = true;
	did.data = passed = -1;
	tpm.version = ENGINE_TPM_20;
	return 0;
}

static int teardown(void **state)
{
	free(rsp);
	rsp = NULL;
	return 0;
}

static void sizes(void **state)
{
	static const uint8_t init_[8] = {0, 0, 0, 2}, locality[5] = {0, 0, 0, 5},
			     none[4] = {0, 0, 0, 99}, blob[12] = {0, 0, 0, 12};
	static const uint8_t hash[9] = {0, 0, 0, 7, 0, 0, 0, 9, 'a'};
	static const uint8_t set[16] = {0, 0, 0, 13, 0,	   0,	 0,    0,
					0, 0, 0, 1,  0xff, 0xff, 0xff, 0xff};
	size_t i;

	for (i = 0; i < 4; i++)
		assert_int_equal(control_request_size(init_, i), 0);
	assert_int_equal(control_request_size(init_, 4), 8);
	assert_int_equal(control_request_size(locality, 4), 5);
	assert_int_equal(control_request_size(none, 4), 4);
	assert_int_equal(control_request_size(blob, 4), 16);
	assert_int_equal(control_request_size(hash, 7), 0);
	assert_int_equal(control_request_size(hash, 8), 17);
	assert_int_equal(control_request_size(set, 15), 0);
	assert_int_equal(control_request_size(set, 16), 16 + 0xffffffffULL);
}

static void capabilities(void **state)
{
	ask(CMD_GET_CAPABILITY, "", 0);
	answer_is("\0\0\0\0\0\1\xff\xff", 8);
	tpm.version = ENGINE_TPM_12;
	ask(CMD_GET_CAPABILITY, "pad", 3);
	answer_is("\0\0\0\0\0\1\x7f\xff", 8);
}

static void power(void **state)
{
	ask(CMD_SET_LOCALITY, "\3", 1);
	ask(CMD_INIT, "\0\0\0\1", 4);
	result_is(0);
	assert_int_equal(did.inits + did.drops, 2);
	assert_int_equal(did.locality, 3); /* INIT keeps it */
	ask(CMD_INIT, "\0\0\0\0", 4);
	assert_int_equal(did.drops, 1);
	ask(CMD_STOP, "", 0);
	result_is(0);
	assert_int_equal(did.ends, 0);
	ask(CMD_SHUTDOWN, "", 0);
	result_is(0);
	assert_int_equal(did.stops, 2);
	assert_int_equal(did.ends, 1);
	did.fail = -EIO;
	ask(CMD_INIT, "\0\0\0\0", 4);
	result_is(9);
	ask(CMD_STOP, "", 0);
	result_is(9);
}

static void padding(void **state)
{
	ask(CMD_INIT, "\0\0\0\0\0", 5); /* swtpm takes none here */
	result_is(3);
	ask(CMD_STOP, "\0", 1);
	result_is(3);
	assert_int_equal(did.inits + did.stops, 0);
	ask(CMD_SET_LOCALITY, "\2\0\0\0", 4); /* QEMU's */
	result_is(0);
	ask(CMD_SET_LOCALITY, "", 0);
	result_is(3);
	ask(CMD_SET_LOCALITY, "\5", 1);
	result_is(0x3d);
	assert_int_equal(did.locality, 2);
}

static void only_while_on(void **state)
{
	static const uint8_t commands[] = {CMD_GET_TPMESTABLISHED, CMD_HASH_START,
					   CMD_HASH_END, CMD_CANCEL_TPM_CMD,
					   CMD_STORE_VOLATILE};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		did.on = false;
		ask(commands[i], "", 0);
		result_is(0x0a);
		did.on = true;
		ask(commands[i], "", 0);
		assert_int_equal(rsp[3], 0);
	}
	assert_int_equal(did.cancels, 1);
	assert_int_equal(did.stores, 1);
	did.on = false;
	ask(CMD_RESET_TPMESTABLISHED, "\3", 1);
	result_is(0x0a);
	ask(CMD_GET_STATEBLOB, "\0\0\0\0\0\0\0\1\0\0\0\0", 12);
	result_is(0x0a);
	ask(99, "", 0);
	result_is(0x0a);
	ask(0, "", 0);
	result_is(0x0a);
}

static void establishment(void **state)
{
	ask(CMD_GET_TPMESTABLISHED, "", 0);
	answer_is("\0\0\0\0\1\0\0\0", 8);
	ask(CMD_RESET_TPMESTABLISHED, "\3", 1);
	result_is(0);
	ask(CMD_RESET_TPMESTABLISHED, "\2", 1);
	result_is(0x3d);
	ask(CMD_RESET_TPMESTABLISHED, "\5", 1);
	result_is(0x3d);
}

static void hashing(void **state)
{
	ask(CMD_HASH_START, "", 0);
	ask(CMD_HASH_DATA, "\0\0\0\3abc", 7);
	result_is(0);
	ask(CMD_HASH_DATA, "\0\0\0\0", 4);
	result_is(0);
	ask(CMD_HASH_DATA, "\0\0\0\1dtail", 9); /* what is not counted is padding */
	result_is(0);
	ask(CMD_HASH_DATA, "\0\0\0\5dt", 6);
	result_is(3);
	assert_int_equal(did.hashed_len, 4);
	assert_memory_equal(did.hashed, "abcd", 4);
}

static void blobs(void **state)
{
	/* swtpm's header, a TLV of 4 in which one of 1 is */
	static const uint8_t of_swtpm[] = {2,  1, 0, 10, 0,   4,   0,	0,   0,
					   27, 0, 4, 0,	 0,   0,   11,	0,   1,
					   0,  0, 0, 5,	 's', 't', 'a', 't', 'e'};
	uint8_t set[12 + sizeof(of_swtpm)] = {0, 0, 0, 0, 0, 0,
					      0, 2, 0, 0, 0, sizeof(of_swtpm)};

	ask(CMD_GET_STATEBLOB, "\0\0\0\1\0\0\0\1\0\0\0\0", 12);
	assert_int_equal(rsp_len, 16 + sizeof(of_swtpm));
	assert_memory_equal(rsp, "\0\0\0\0\0\0\0\0\0\0\0\x1b\0\0\0\x1b", 16);
	assert_memory_equal(rsp + 16, of_swtpm, sizeof(of_swtpm));
	ask(CMD_GET_STATEBLOB, "\0\0\0\1\0\0\0\1\0\0\0\x19", 12);
	answer_is("\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\2te", 18);
	ask(CMD_GET_STATEBLOB, "\0\0\0\1\0\0\0\1\xff\xff\xff\xff", 12);
	answer_is("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	ask(CMD_GET_STATEBLOB, "\0\0\0\1\0\0\0\3\0\0\0\0", 12); /* there is none */
	answer_is("\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	ask(CMD_GET_STATEBLOB, "\0\0\0\1\0\0\0\4\0\0\0\0", 12);
	assert_int_equal(rsp[3], 3);

	memcpy(set + 12, of_swtpm, sizeof(of_swtpm));
	ask(CMD_SET_STATEBLOB, (char *)set, sizeof(set));
	result_is(0x0a); /* it is on */
	did.on = false;
	ask(CMD_SET_STATEBLOB, (char *)set, sizeof(set));
	result_is(0);
	assert_int_equal(did.which, ENGINE_BLOB_VOLATILE);
	assert_int_equal(did.blob_len, 5);
	set[7] = 4;
	ask(CMD_SET_STATEBLOB, (char *)set, sizeof(set));
	result_is(3);
	set[7] = 1;
	set[3] = 2; /* PTM_STATE_FLAG_ENCRYPTED */
	ask(CMD_SET_STATEBLOB, (char *)set, sizeof(set));
	result_is(13);
	set[3] = 0;
	set[12] = 3; /* a newer version */
	ask(CMD_SET_STATEBLOB, (char *)set, sizeof(set));
	assert_int_equal(rsp_len, 4);
	assert_int_not_equal(rsp[3], 0);
	ask(CMD_SET_STATEBLOB, "\0\0\0\0\0\0\0\1\0\0\0\0", 12);
	result_is(0);
	assert_int_equal(did.blob_len, 0);
}

static void the_rest(void **state)
{
	ask(CMD_GET_CONFIG, "", 0);
	answer_is("\0\0\0\0\0\0\0\0", 8);
	ask(CMD_SET_BUFFERSIZE, "\0\0\0\0", 4);
	answer_is("\0\0\0\0\0\0\x10\0\0\0\1\0\0\0\x10\0", 16);
	ask(CMD_SET_BUFFERSIZE, "\0\0\2\0", 4);
	result_is(0x0a); /* it is on */
	ask(CMD_LOCK_STORAGE, "\0\0\0\1", 4);
	result_is(0);
	ask(CMD_GET_INFO, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0", 16);
	answer_is("\0\0\0\0\0\0\0\x08\0\0\0\x08{\"a\":1}\0", 20);
	ask(CMD_GET_INFO, "\0\0\0\0\0\0\0\1\0\0\0\6\0\0\0\0", 16);
	answer_is("\0\0\0\0\0\0\0\x08\0\0\0\2}\0", 14);
	ask(CMD_GET_INFO, "\0\0\0\0\0\0\0\1\0\0\0\7\0\0\0\0", 16);
	result_is(3);
	ask(CMD_GET_INFO, "\0\0\0\0\0\0\0\1\xff\xff\xff\xff\0\0\0\0", 16);
	result_is(3);
	ask(CMD_SET_DATAFD, "", 0); /* nothing came with it */
	result_is(3);
	passed = STDIN_FILENO; /* no socket */
	ask(CMD_SET_DATAFD, "", 0);
	result_is(3);
}

static char path[64];
static struct listener listener;
static struct fronts fronts;
static struct front *front;
static struct error error;

static int serve_setup(void **state)
{
	setup(state);
	fronts = (struct fronts){0};
	snprintf(path, sizeof(path), "/tmp/control-test.%d", (int)getpid());
	if (listener_unix(&listener, path, &error) ||
	    control_front(&front, &listener, -1, &tpm, &error))
		return -1;
	fronts_add(&fronts, front);
	return 0;
}

static int serve_teardown(void **state)
{
	fronts_close(&fronts);
	listener_close(&listener);
	if (did.data >= 0)
		close(did.data);
	return teardown(state);
}

static int client(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(at.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* Serves for as long as something happens, and then for ms more. */
static void serve(int ms)
{
	struct pollfd none = {.fd = -1};
	int rc;

	do {
		rc = fronts_serve(&fronts, &none, ms);
		assert_true(rc >= 0);
	} while (rc);
}

static void gets_answer(int fd, const void *want, size_t len)
{
	uint8_t buf[64];

	assert_int_equal(recv(fd, buf, sizeof(buf), 0), len);
	assert_memory_equal(buf, want, len);
}

static void request_in_pieces(void **state)
{
	static const uint8_t request[] = {0, 0, 0, 2, 0, 0, 0, 0};
	int fd = client();

	for (size_t i = 0; i < sizeof(request); i++) {
		assert_int_equal(send(fd, request + i, 1, 0), 1);
		serve(5);
	}
	gets_answer(fd, "\0\0\0\0", 4);
	assert_int_equal(did.inits, 1);
	close(fd);
}

static void wrong_sizes_are_answered(void **state)
{
	static uint8_t lot[64 * 1024] = {0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff};
	struct pollfd none = {.fd = -1};
	int fd = client();

	assert_int_equal(send(fd, "\0\0\0\2\0", 5, 0), 5);
	serve(20);
	assert_true(recv(fd, lot, 1, 0) < 0); /* more may come */
	while (recv(fd, lot, 4, MSG_PEEK) < 0)
		assert_true(fronts_serve(&fronts, &none, 1000) >= 0);
	gets_answer(fd, "\0\0\0\3", 4);
	lot[0] = lot[1] = lot[2] = 0;
	lot[3] = 7;
	for (size_t done = 0; done < sizeof(lot);) {
		ssize_t n = send(fd, lot + done, sizeof(lot) - done, 0);

		done += n > 0 ? (size_t)n : 0;
		assert_true(fronts_serve(&fronts, &none, 10) >= 0);
	}
	while (recv(fd, lot, 4, MSG_PEEK) < 0)
		assert_true(fronts_serve(&fronts, &none, 1000) >= 0);
	gets_answer(fd, "\0\0\0\3", 4);
	assert_int_equal(send(fd, "\0\0\0\x0f", 4, 0), 4);
	serve(5);
	gets_answer(fd, "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(did.inits + did.hashed_len, 0);
	close(fd);
}

static void half_closed(void **state)
{
	uint8_t b;
	int fd = client();

	assert_int_equal(send(fd, "\0\0\0\2\0", 5, 0), 5);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	serve(5);
	gets_answer(fd, "\0\0\0\3", 4);
	assert_int_equal(recv(fd, &b, 1, 0), 0);
	close(fd);
}

static void several_clients(void **state)
{
	int fd[CONTROL_CLIENTS + 1], i;
	uint8_t b;

	for (i = 0; i <= CONTROL_CLIENTS; i++) {
		fd[i] = client();
		serve(5);
	}
	assert_int_equal(recv(fd[CONTROL_CLIENTS], &b, 1, 0), 0); /* refused */
	close(fd[CONTROL_CLIENTS]);
	/* the first sends half of a request, and sleeps */
	assert_int_equal(send(fd[0], "\0\0", 2, 0), 2);
	for (i = 1; i < CONTROL_CLIENTS; i++) {
		assert_int_equal(send(fd[i], "\0\0\0\x0f", 4, 0), 4);
		serve(5);
		gets_answer(fd[i], "\0\0\0\0\0\0\0\0", 8);
	}
	close(fd[1]);
	serve(5);
	fd[1] = client();
	assert_int_equal(send(fd[1], "\0\0\0\x0f", 4, 0), 4);
	serve(5);
	gets_answer(fd[1], "\0\0\0\0\0\0\0\0", 8);
	for (i = 0; i < CONTROL_CLIENTS; i++)
		close(fd[i]);
}

/* Nothing waits for it: the others are served, and it gets no more than one answer. */
static void a_client_that_does_not_read(void **state)
{
	struct pollfd none = {.fd = -1};
	int fd = client(), other = client();
	uint8_t request[16] = {0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 1};
	int i, quiet = 0;

	for (i = 0; i < 100000 && quiet < 20; i++) {
		quiet = send(fd, request, sizeof(request), MSG_DONTWAIT) < 0 ? quiet + 1
									     : 0;
		assert_true(fronts_serve(&fronts, &none, 0) >= 0);
	}
	assert_int_equal(quiet, 20);
	assert_int_equal(send(other, "\0\0\0\x03", 4, 0), 4);
	for (i = 0; i < 20; i++)
		assert_true(fronts_serve(&fronts, &none, 0) >= 0);
	gets_answer(other, "\0\0\0\0", 4);
	assert_int_equal(did.ends, 1);
	close(fd);
	close(other);
}

static void send_fd(int at, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} rights = {0};
	struct iovec part = {.iov_base = (char[]){0, 0, 0, 16}, .iov_len = 4};
	struct msghdr m = {.msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = &rights,
			   .msg_controllen = sizeof(rights)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	assert_int_equal(sendmsg(at, &m, 0), 4);
}

static void data_socket(void **state)
{
	int fd = client(), pair[2];
	uint8_t b;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	send_fd(fd, pair[1]);
	serve(5);
	gets_answer(fd, "\0\0\0\0", 4);
	assert_true(did.data >= 0);
	send_fd(fd, pair[1]); /* there is one: TPM_IOERROR */
	serve(5);
	gets_answer(fd, "\0\0\0\x1f", 4);
	close(pair[1]);
	assert_int_equal(write(did.data, "x", 1), 1);
	assert_int_equal(read(pair[0], &b, 1), 1);
	close(did.data);
	did.data = -1;
	/* no other end is left open */
	assert_int_equal(read(pair[0], &b, 1), 0);
	close(pair[0]);
	close(fd);
}

static void while_the_tpm_works(void **state)
{
	int fd = client(), other = client(), i;

	serve(5);
	assert_int_equal(send(fd, "\0\0\0\x09", 4, 0), 4);
	assert_int_equal(send(other, "\0\0\0\x0e", 4, 0), 4);
	for (i = 0; i < 5; i++)
		fronts_check_cancel(&fronts);
	gets_answer(fd, "\0\0\0\0", 4);
	assert_int_equal(did.cancels, 1);
	assert_int_equal(did.stops, 0); /* waits */
	assert_int_equal(send(fd, "\0\0\0\x03", 4, 0), 4);
	fronts_check_cancel(&fronts);
	fronts_check_cancel(&fronts);
	assert_true(did.cancels >= 2);
	assert_int_equal(did.ends, 0);
	serve(5);
	gets_answer(other, "\0\0\0\0", 4);
	gets_answer(fd, "\0\0\0\0", 4);
	assert_int_equal(did.ends, 1);
	close(fd);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(capabilities, setup, teardown),
		cmocka_unit_test_setup_teardown(power, setup, teardown),
		cmocka_unit_test_setup_teardown(padding, setup, teardown),
		cmocka_unit_test_setup_teardown(only_while_on, setup, teardown),
		cmocka_unit_test_setup_teardown(establishment, setup, teardown),
		cmocka_unit_test_setup_teardown(hashing, setup, teardown),
		cmocka_unit_test_setup_teardown(blobs, setup, teardown),
		cmocka_unit_test_setup_teardown(the_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(request_in_pieces, serve_setup,
						serve_teardown),
		cmocka_unit_test_setup_teardown(wrong_sizes_are_answered, serve_setup,
						serve_teardown),
		cmocka_unit_test_setup_teardown(half_closed, serve_setup, serve_teardown),
		cmocka_unit_test_setup_teardown(several_clients, serve_setup,
						serve_teardown),
		cmocka_unit_test_setup_teardown(a_client_that_does_not_read, serve_setup,
						serve_teardown),
		cmocka_unit_test_setup_teardown(data_socket, serve_setup, serve_teardown),
		cmocka_unit_test_setup_teardown(while_the_tpm_works, serve_setup,
						serve_teardown),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
