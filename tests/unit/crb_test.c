/* SPDX-License-Identifier: Apache-2.0 */
/* The registers, against the tables of TCG PC Client Platform TPM Profile 1.05, 6.5.3. */
#include "tests/unit/unit.h"
#include "frontend/crb/crb.h"

#include <string.h>

#define LOC(n)	    ((uint32_t)(n) << 12)
#define LOC_STATE   0x00
#define LOC_CTRL    0x08
#define LOC_STS	    0x0c
#define INTF_ID	    0x30
#define CTRL_REQ    0x40
#define CTRL_STS    0x44
#define CTRL_CANCEL 0x48
#define CTRL_START  0x4c

static struct crb_state state;
static uint8_t buffer[CRB_BUFFER_MAX];
static struct {
	unsigned int prepared, sent, cancelled;
	uint8_t locality, cmd[CRB_BUFFER_MAX];
	size_t len;
} tpm;

static void on_prepare(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len)
{
	assert_false(state.start);
	tpm.prepared++;
	tpm.locality = locality;
	memcpy(tpm.cmd, cmd, len);
	tpm.len = len;
}

static void on_send(void *ctx)
{
	/* a successor sends again what start says is executing */
	assert_true(state.start);
	tpm.sent++;
}

static void on_cancel(void *ctx)
{
	tpm.cancelled++;
}

static const struct crb_ops ops = {on_prepare, on_send, on_cancel};
static struct crb crb = {.s = &state, .buffer = buffer, .ops = &ops};

static const uint8_t get_random[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};
static const uint8_t response[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0};

static int setup(void **ctx)
{
	crb_reset(&state);
	memset(buffer, 0, sizeof(buffer));
	memset(&tpm, 0, sizeof(tpm));
	crb.localities = 0x1f;
	crb.vcpu = 0;
	return 0;
}

static uint32_t rd(uint32_t at)
{
	return (uint32_t)crb_read(&crb, at, 4);
}

static void wr(uint32_t at, uint32_t v)
{
	crb_write(&crb, at, 4, v);
}

static void own(unsigned int locality)
{
	wr(LOC(locality) + LOC_CTRL, 1);
	assert_int_equal(rd(LOC(locality) + LOC_STS) & 1, 1);
}

static void command(void)
{
	memcpy(buffer, get_random, sizeof(get_random));
	wr(LOC(0) + CTRL_START, 1);
}

static void what_a_driver_finds(void **ctx)
{
	for (unsigned int n = 0; n < CRB_LOCALITIES; n++) {
		assert_int_equal(rd(LOC(n) + LOC_STATE), 0x81);
		assert_int_equal(rd(LOC(n) + LOC_STS), 0);
		assert_int_equal(rd(LOC(n) + INTF_ID) & 0xf, 1);
		assert_int_equal(rd(LOC(n) + INTF_ID) >> 17 & 3, 1);
		assert_int_equal(rd(LOC(n) + INTF_ID) >> 8 & 1, 1);
		assert_int_equal(rd(LOC(n) + CTRL_STS), 2);
		assert_int_equal(rd(LOC(n) + 0x58), 4096);
		assert_int_equal(crb_read(&crb, LOC(n) + 0x5c, 8), CRB_BUFFER);
		assert_int_equal(rd(LOC(n) + 0x64), 4096);
		assert_int_equal(crb_read(&crb, LOC(n) + 0x68, 8), CRB_BUFFER);
		assert_int_equal(rd(LOC(n) + 0x54), 0);
		assert_int_equal(rd(LOC(n) + 0x10), 0);
	}
	assert_int_equal(crb_read(&crb, LOC(5), 8), ~0ull);
}

/* TPM_INTERFACE_ID of the PTP 1.05: a CRB of version 1, five localities, goIdle needed
 * (no idle bypass), transfers of 64 bytes, no FIFO to select, the selection locked. */
static void the_only_interface(void **ctx)
{
	for (unsigned int n = 0; n < CRB_LOCALITIES; n++) {
		uint64_t id = crb_read(&crb, LOC(n) + INTF_ID, 8);

		assert_int_equal((uint32_t)id, 0x000a5911);
		assert_int_not_equal(id >> 32, 0);
		wr(LOC(n) + INTF_ID, 0);	  /* to FIFO */
		wr(LOC(n) + INTF_ID, 0xffffffff); /* all that there is */
		crb_write(&crb, LOC(n) + INTF_ID + 4, 4, 0);
		assert_int_equal(crb_read(&crb, LOC(n) + INTF_ID, 8), id);
	}
	own(0);
	wr(CTRL_REQ, 1);
	command();
	crb_complete(&crb, response, sizeof(response));
	assert_int_equal(rd(CTRL_START), 0);
}

/* Each state of the table, each event, and what comes of it. */
static void the_state_table(void **ctx)
{
	own(0);
	/* idle: no goIdle; a command at once, as SeaBIOS sends it, or cmdReady */
	wr(CTRL_REQ, 2);
	assert_int_equal(rd(CTRL_STS), 2);
	command();
	assert_int_equal(tpm.prepared, 1);
	assert_int_equal(rd(CTRL_STS), 0);
	crb_complete(&crb, response, sizeof(response));
	assert_int_equal(rd(CTRL_START), 0);
	wr(CTRL_REQ, 2);
	assert_int_equal(rd(CTRL_STS), 2);
	tpm.prepared = tpm.sent = 0;
	wr(CTRL_REQ, 1);
	assert_int_equal(rd(CTRL_REQ), 0);
	assert_int_equal(rd(CTRL_STS), 0);
	/* ready: stays ready, goes idle, executes */
	wr(CTRL_REQ, 1);
	assert_int_equal(rd(CTRL_STS), 0);
	wr(CTRL_REQ, 2);
	assert_int_equal(rd(CTRL_STS), 2);
	wr(CTRL_REQ, 1);
	wr(CTRL_CANCEL, 1);
	assert_int_equal(tpm.cancelled, 0);
	wr(CTRL_CANCEL, 0);
	command();
	assert_int_equal(tpm.prepared, 1);
	assert_int_equal(tpm.sent, 1);
	assert_int_equal(tpm.locality, 0);
	assert_int_equal(tpm.len, sizeof(get_random));
	assert_memory_equal(tpm.cmd, get_random, sizeof(get_random));
	assert_int_equal(rd(CTRL_START), 1);
	/* executing: only a cancel, once */
	wr(CTRL_REQ, 1);
	wr(CTRL_REQ, 2);
	command();
	wr(LOC_CTRL, 2);
	assert_int_equal(tpm.prepared, 1);
	assert_int_equal(rd(CTRL_STS), 0);
	assert_int_equal(rd(LOC_STS), 1);
	wr(CTRL_CANCEL, 1);
	wr(CTRL_CANCEL, 1);
	assert_int_equal(tpm.cancelled, 1);
	assert_int_equal(rd(CTRL_CANCEL), 1);
	crb_complete(&crb, response, sizeof(response));
	assert_int_equal(rd(CTRL_START), 0);
	assert_memory_equal(buffer, response, sizeof(response));
	wr(CTRL_CANCEL, 0);
	/* complete: another one at once, or idle */
	command();
	assert_int_equal(tpm.prepared, 2);
	crb_complete(&crb, response, sizeof(response));
	wr(CTRL_REQ, 2);
	assert_int_equal(rd(CTRL_STS), 2);
	crb_complete(&crb, response, sizeof(response));
	assert_int_equal(rd(CTRL_START), 0);
}

static void localities(void **ctx)
{
	own(1);
	assert_int_equal(rd(LOC_STATE), 0x81 | 2 | 1 << 2);
	/* a lower one waits, a higher one too, unless it seizes */
	wr(LOC(0) + LOC_CTRL, 1);
	wr(LOC(3) + LOC_CTRL, 1);
	assert_int_equal(rd(LOC(0) + LOC_STS), 0);
	assert_int_equal(rd(LOC(3) + LOC_STS), 0);
	wr(LOC(0) + LOC_CTRL, 4);
	assert_int_equal(rd(LOC(1) + LOC_STS), 1);
	wr(LOC(2) + LOC_CTRL, 4);
	assert_int_equal(rd(LOC(2) + LOC_STS), 1);
	assert_int_equal(rd(LOC(1) + LOC_STS), 2);
	/* registers of others do nothing */
	wr(LOC(1) + CTRL_REQ, 1);
	assert_int_equal(rd(CTRL_STS), 2);
	/* the highest that waits is next */
	wr(LOC(2) + LOC_CTRL, 2);
	assert_int_equal(rd(LOC(3) + LOC_STS), 1);
	wr(LOC(3) + LOC_CTRL, 2);
	assert_int_equal(rd(LOC(0) + LOC_STS), 1);
	wr(LOC(0) + LOC_CTRL, 2);
	assert_int_equal(rd(LOC_STATE), 0x81);
	own(1);
	assert_int_equal(rd(LOC(1) + LOC_STS), 1);
	wr(LOC(1) + LOC_CTRL, 2);
	/* 4 is the hardware's, whatever the policy says; others are granted by policy */
	wr(LOC(4) + LOC_CTRL, 1);
	wr(LOC(4) + LOC_CTRL, 4);
	assert_int_equal(rd(LOC_STATE), 0x81);
	crb.localities = 1;
	for (unsigned int n = 1; n < CRB_LOCALITIES; n++) {
		wr(LOC(n) + LOC_CTRL, 1);
		wr(LOC(n) + LOC_CTRL, 4);
		wr(LOC(n) + CTRL_REQ, 1);
		wr(LOC(n) + CTRL_START, 1);
	}
	assert_int_equal(rd(LOC_STATE), 0x81);
	assert_int_equal(tpm.prepared, 0);
	crb.localities = 0x1f;
	own(3);
	wr(LOC(3) + CTRL_REQ, 1);
	memcpy(buffer, get_random, sizeof(get_random));
	wr(LOC(3) + CTRL_START, 1);
	assert_int_equal(tpm.locality, 3);
}

/* tpmEstablished is 0 behind a _TPM_Hash_End alone, which no guest can send: else software
 * that asks finds that a dynamic launch was before it.  resetEstablishmentBit leaves it. */
static void no_dynamic_launch(void **ctx)
{
	for (unsigned int n = 0; n < CRB_LOCALITIES; n++) {
		wr(LOC(n) + LOC_CTRL, 1);
		for (uint32_t off = 0x20; off < 0x30; off += 4)
			wr(LOC(n) + off, 0xffffffff); /* TPM_HASH_* of a FIFO */
		assert_int_equal(rd(LOC(n) + LOC_STATE) & 1, 1);
		wr(LOC(n) + LOC_CTRL, 8);
		assert_int_equal(rd(LOC(n) + LOC_STATE) & 1, 1);
		wr(LOC(n) + LOC_CTRL, 2);
	}
	assert_int_equal(tpm.prepared, 0);
}

static void commands_of_bad_size(void **ctx)
{
	static const uint32_t sizes[] = {0, 9, CRB_BUFFER_MAX + 1, 0xffffffff};

	own(0);
	wr(CTRL_REQ, 1);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memcpy(buffer, get_random, sizeof(get_random));
		buffer[2] = (uint8_t)(sizes[i] >> 24);
		buffer[3] = (uint8_t)(sizes[i] >> 16);
		buffer[4] = (uint8_t)(sizes[i] >> 8);
		buffer[5] = (uint8_t)sizes[i];
		wr(CTRL_START, 1);
		assert_int_equal(rd(CTRL_START), 0);
		assert_int_equal(buffer[8] << 8 | buffer[9], 0x142);
	}
	assert_int_equal(tpm.prepared, 0);
}

static void responses_of_bad_size(void **ctx)
{
	static uint8_t big[CRB_BUFFER_MAX + 1];

	own(0);
	wr(CTRL_REQ, 1);
	command();
	crb_complete(&crb, big, sizeof(big));
	assert_int_equal(buffer[8] << 8 | buffer[9], 0x101);
	command();
	crb_complete(&crb, response, 9);
	assert_int_equal(buffer[8] << 8 | buffer[9], 0x101);
	assert_int_equal(rd(CTRL_START), 0);
}

static void a_tpm_that_is_gone(void **ctx)
{
	own(0);
	wr(CTRL_REQ, 1);
	command();
	crb_fail(&crb);
	assert_int_equal(rd(CTRL_STS) & 1, 1);
	assert_int_equal(rd(CTRL_START), 0);
	assert_int_equal(buffer[8] << 8 | buffer[9], 0x101);
	command();
	assert_int_equal(tpm.prepared, 1);
	assert_int_equal(buffer[8] << 8 | buffer[9], 0x101);
}

static void parts_of_registers(void **ctx)
{
	own(0);
	/* a byte of a register, and eight bytes over two */
	crb_write(&crb, CTRL_REQ, 1, 1);
	assert_int_equal(rd(CTRL_STS), 0);
	crb_write(&crb, CTRL_REQ + 1, 1, 2);
	assert_int_equal(rd(CTRL_STS), 0);
	assert_int_equal(crb_read(&crb, CTRL_STS - 2, 8) >> 16, rd(CTRL_STS));
	crb_write(&crb, CTRL_REQ, 8, 2);
	assert_int_equal(rd(CTRL_STS), 2);
	/* the window of the buffer: one's own locality, and when it may be written */
	crb_write(&crb, 0x80, 4, 0x11223344);
	assert_int_equal(buffer[0], 0);
	wr(CTRL_REQ, 1);
	crb_write(&crb, 0x80, 4, 0x11223344);
	assert_int_equal(buffer[0], 0x44);
	assert_int_equal(rd(0x80), 0x11223344);
	assert_int_equal(rd(LOC(1) + 0x80), 0xffffffff);
	/* over the end of the last locality */
	crb_write(&crb, CRB_SIZE - 2, 8, ~0ull);
	assert_int_equal(crb_read(&crb, CRB_SIZE - 2, 8) >> 16, ~0ull >> 16);
}

static void a_guest_that_was_saved(void **ctx)
{
	own(0);
	wr(CTRL_REQ, 1);
	command();
	crb_complete(&crb, response, sizeof(response));
	memset(buffer, 0xaa, sizeof(buffer));
	crb_abort(&crb);
	crb_deliver(&crb);
	assert_memory_equal(buffer, response, sizeof(response));
	command();
	crb_abort(&crb);
	assert_int_equal(rd(CTRL_START), 0);
	assert_int_equal(buffer[8] << 8 | buffer[9], 0x101);
}

/* A state that was saved elsewhere may say anything: the processor's locality, and those
 * that the policy does not grant, get the TPM by no bit of it. */
static void a_state_of_others(void **ctx)
{
	crb.localities = 0x13;
	own(0);
	state.pending = 0xff;
	wr(LOC(0) + LOC_CTRL, 2);
	assert_int_equal(state.active, 1);
	assert_true(crb_is_sound(&crb));
	for (unsigned int n = 0; n < 256; n++) {
		state.active = (uint8_t)n;
		assert_int_equal(crb_is_sound(&crb), n < 2 || n == CRB_NO_LOCALITY);
	}
	/* a command executes, and is no locality's */
	state.start = CRB_EXECUTING;
	assert_false(crb_is_sound(&crb));
	state.start = 0;
	state.rsp_len = CRB_BUFFER_MAX + 1;
	assert_false(crb_is_sound(&crb));
	state.rsp_len = CRB_BUFFER_MAX;
	assert_true(crb_is_sound(&crb));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_a_driver_finds, setup),
		cmocka_unit_test_setup(the_only_interface, setup),
		cmocka_unit_test_setup(the_state_table, setup),
		cmocka_unit_test_setup(localities, setup),
		cmocka_unit_test_setup(no_dynamic_launch, setup),
		cmocka_unit_test_setup(commands_of_bad_size, setup),
		cmocka_unit_test_setup(responses_of_bad_size, setup),
		cmocka_unit_test_setup(a_tpm_that_is_gone, setup),
		cmocka_unit_test_setup(parts_of_registers, setup),
		cmocka_unit_test_setup(a_guest_that_was_saved, setup),
		cmocka_unit_test_setup(a_state_of_others, setup),
	};

	return cmocka_run_group_tests_name("crb", tests, NULL, NULL);
}
