/* SPDX-License-Identifier: Apache-2.0 */
/* What of an HVM guest's TPM is in domain 0, on its way to another host: as it was, or not at
 * all; and nothing that no vtpm-crb has. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/move_board.h"

#include <errno.h>
#include <string.h>

static struct move_board sample, got;
static uint8_t bytes[16384];
static size_t len;

static int setup(void **state)
{
	memset(&sample, 0, sizeof(sample));
	sample.crb = (struct crb_state){.active = 2,
					.pending = 0x11,
					.seized = 1,
					.ready = 1,
					.cancel = 1,
					.locality = 3,
					.start = CRB_EXECUTING,
					.int_enable = 0x80000001,
					.rsp_len = 700};
	memset(sample.crb.rsp, 0xa5, 700);
	memset(sample.buffer, 0x5a, sizeof(sample.buffer));
	sample.request = 5;
	len = sizeof(bytes);
	return 0;
}

static void there_and_back(void **state)
{
	size_t n;

	assert_int_equal(move_board_encode(&sample, bytes, &len), 0);
	assert_int_equal(move_board_decode(bytes, len, &got), 0);
	assert_memory_equal(&sample, &got, sizeof(got));
	for (n = 0; n < len; n++)
		assert_int_equal(move_board_decode(bytes, n, &got), -EBADMSG);
	assert_int_equal(move_board_decode(bytes, len + 1, &got), -EBADMSG);
	n = len - 1;
	assert_int_equal(move_board_encode(&sample, bytes, &n), -EMSGSIZE);
}

/* Neither is sent, nor taken. */
static void impossible(void (*change)(struct crb_state *s), size_t at, uint8_t byte)
{
	uint8_t before;

	setup(NULL);
	assert_int_equal(move_board_encode(&sample, bytes, &len), 0);
	at += 2 + strlen(MOVE_BOARD_LABEL);
	before = bytes[at];
	bytes[at] = byte;
	assert_int_equal(move_board_decode(bytes, len, &got), -EBADMSG);
	bytes[at] = before;
	assert_int_equal(move_board_decode(bytes, len, &got), 0);
	change(&sample.crb);
	assert_int_equal(move_board_encode(&sample, bytes, &len), -EBADMSG);
}

static void active(struct crb_state *s)
{
	s->active = CRB_LOCALITIES;
}

static void pending(struct crb_state *s)
{
	s->pending = 0x20;
}

static void seized(struct crb_state *s)
{
	s->seized = 0x80;
}

static void ready(struct crb_state *s)
{
	s->ready = 2;
}

static void failed(struct crb_state *s)
{
	s->failed = 0xff;
}

static void cancel(struct crb_state *s)
{
	s->cancel = 2;
}

static void locality(struct crb_state *s)
{
	s->locality = CRB_LOCALITIES;
}

static void start(struct crb_state *s)
{
	s->start = 2;
}

static void response(struct crb_state *s)
{
	s->rsp_len = CRB_BUFFER_MAX + 1;
}

static void impossible_registers(void **state)
{
	impossible(active, 0, CRB_LOCALITIES);
	impossible(pending, 1, 0x20);
	impossible(seized, 2, 0x80);
	impossible(ready, 3, 2);
	impossible(failed, 4, 0xff);
	impossible(cancel, 5, 2);
	impossible(locality, 6, CRB_LOCALITIES);
	impossible(start, 7, 2);
	impossible(response, 16, 0x11);
	setup(NULL);
	sample.crb.active = CRB_NO_LOCALITY;
	assert_int_equal(move_board_encode(&sample, bytes, &len), 0);
	bytes[3] ^= 1; /* another version */
	assert_int_equal(move_board_decode(bytes, len, &got), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(there_and_back, setup),
		cmocka_unit_test(impossible_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
