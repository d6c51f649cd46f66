/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpm-crb is killed at each point of serving an access.  All that outlives it is memory that
 * others have too, and events: one that serves is single-stepped, and each different state of
 * that memory is kept.  From each of them a successor goes on, with a manager that had the
 * time to answer before, and with one that had not: the guest gets the response to its
 * command, which the TPM executed once.
 */
#include "tests/unit/unit.h"
#include "frontend/crb/serve.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/io/tpmif.h>

#define RING_PORT   7
#define VCPU_PORT   9
#define VCPUS	    2u /* the first one's commands are what most cases are about */
#define CTRL_CANCEL 0x48
#define CTRL_REQ    0x40
#define CTRL_START  0x4c
#define SIZE	    12u
#define EXTRA	    (sizeof(struct tpmif_shared_page) + 4)
#define STATES_MAX  4096u

/* What outlives a vtpm-crb. */
static struct world {
	struct saved saved;
	_Alignas(4096) shared_iopage_t page;
	_Alignas(4096) uint8_t ring[RING_PAGES * 4096];
	_Alignas(4096) uint8_t buffer[4096];
	unsigned int ring_notes, vcpu_notes; /* notifications */
	unsigned int executed;
	uint8_t executing; /* the last byte of the command that the TPM executed last */
} * w;

static struct world *states;
static unsigned int state_count;
static int events = -1;
static evtchn_port_t event = RING_PORT; /* the next one's port */

int xenevtchn_fd(xenevtchn_handle *h)
{
	return events;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	if (port == RING_PORT)
		w->ring_notes++;
	else
		w->vcpu_notes++;
	return 0;
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
	eventfd_t n;

	return eventfd_read(events, &n) ? -1 : (xenevtchn_port_or_error_t)event;
}

static struct world *make_worlds(size_t count)
{
	void *at = mmap(NULL, count * sizeof(struct world), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* The manager: the response repeats the command's last byte. */
static void manage(void)
{
	struct tpmif_shared_page *h = (struct tpmif_shared_page *)w->ring;
	const uint8_t rsp[SIZE] = {0x80, 1, 0, 0, 0, SIZE};

	if (h->state != TPMIF_STATE_SUBMIT)
		return;
	assert_int_equal(h->length, SIZE);
	assert_memory_equal(w->ring + EXTRA, "\x80\x01\0\0\0\x0c\0\0\x01\x7b\0",
			    SIZE - 1);
	w->executed++;
	w->executing = w->ring[EXTRA + SIZE - 1];
	memcpy(w->ring + EXTRA, rsp, SIZE - 1);
	h->state = TPMIF_STATE_FINISH;
	eventfd_write(events, 1);
}

static void make_device(struct device *d)
{
	*d = (struct device){
		.saved = &w->saved,
		.ioreq = {.page = &w->page, .buffer = w->buffer},
		.ring = {.page = w->ring, .extra = 5},
		.crb = {.s = &w->saved.crb,
			.buffer = w->buffer,
			.localities = 1,
			.ops = &serve_ops},
	};
	d->crb.ctx = d;
}

static ioreq_t *request_of(unsigned int n)
{
	shared_iopage_t *page = &w->page;

	return &page->vcpu_ioreq[n];
}

static ioreq_t *vcpu(void)
{
	return request_of(0);
}

static void access_by(unsigned int n, uint32_t reg, uint8_t dir, uint64_t data)
{
	*request_of(n) = (ioreq_t){.addr = CRB_BASE + reg,
				   .data = data,
				   .count = 1,
				   .size = 4,
				   .dir = dir,
				   .type = IOREQ_TYPE_COPY,
				   .state = STATE_IOREQ_READY};
}

static void access_register(uint32_t reg, uint8_t dir, uint64_t data)
{
	access_by(0, reg, dir, data);
}

static void put_command(uint8_t last, uint8_t size)
{
	const uint8_t cmd[SIZE] = {0x80, 1, 0, 0, 0, size, 0, 0, 1, 0x7b, 0, last};

	memcpy(w->buffer, cmd, SIZE);
}

/* A guest that is about to do something. */
static void new_world(void)
{
	memset(w, 0, sizeof(*w));
	crb_reset(&w->saved.crb);
	w->saved.vcpus = VCPUS;
	w->saved.ring_port = RING_PORT;
	for (unsigned int n = 0; n < VCPUS; n++)
		w->saved.vcpu_port[n] = VCPU_PORT + n;
	event = RING_PORT;
	w->saved.crb.active = 0;
	w->saved.crb.ready = 1;
}

static void serve_one(void)
{
	struct device d;

	make_device(&d);
	serve_begin(&d);
	while (memchr(d.held, true, sizeof(d.held)))
		serve_next(&d);
}

static void keep_state(void)
{
	if (state_count && !memcmp(&states[state_count - 1], w, sizeof(*w)))
		return;
	assert_true(state_count < STATES_MAX);
	states[state_count++] = *w;
}

/* Serves what the world has, in single steps, and keeps each state that differs. */
static void step_through(bool manager_is_fast)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
			_exit(1);
		serve_one();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	while (WIFSTOPPED(status)) {
		keep_state();
		if (manager_is_fast) {
			manage();
			keep_state();
		}
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static uint32_t read_start(void)
{
	access_register(CTRL_START, IOREQ_READ, 0);
	serve_one();
	assert_int_equal(vcpu()->state, STATE_IORESP_READY);
	return (uint32_t)vcpu()->data;
}

/* A successor goes on from state; then the guest has the response to its command. */
static void go_on(const struct world *state, bool manager_first, uint8_t last)
{
	unsigned int round;

	*w = *state;
	w->ring_notes = w->vcpu_notes = 0;
	if (manager_first)
		manage();
	serve_one();
	assert_true(w->ring_notes && w->vcpu_notes);
	assert_int_equal(vcpu()->state, STATE_IORESP_READY);
	for (round = 0; read_start() && round < 4; round++)
		manage();
	assert_true(round < 4);
	assert_int_equal(w->executed, 1);
	assert_int_equal(w->executing, last);
	assert_memory_equal(w->buffer, "\x80\x01\0\0\0\x0c\0\0\0\0\0", SIZE - 1);
	assert_int_equal(w->buffer[SIZE - 1], last);
}

static void go_on_from_each(uint8_t last)
{
	unsigned int count = state_count;

	assert_true(count > 10);
	for (unsigned int i = 0; i < count; i++) {
		go_on(&states[i], false, last);
		go_on(&states[i], true, last);
	}
	print_message("# %u states\n", count);
}

static int setup(void **ctx)
{
	new_world();
	state_count = 0;
	return 0;
}

static void a_command(void **ctx)
{
	put_command(0x21, SIZE);
	access_register(CTRL_START, IOREQ_WRITE, 1);
	step_through(true);
	assert_int_equal(w->executed, 1);
	go_on_from_each(0x21);
}

static void a_command_that_takes_long(void **ctx)
{
	put_command(0x22, SIZE);
	access_register(CTRL_START, IOREQ_WRITE, 1);
	step_through(false);
	assert_int_equal(w->executed, 0);
	go_on_from_each(0x22);
}

/* The response comes while the guest polls START. */
static void a_response(void **ctx)
{
	put_command(0x23, SIZE);
	access_register(CTRL_START, IOREQ_WRITE, 1);
	serve_one();
	assert_int_equal(w->executed, 0);
	manage();
	access_register(CTRL_START, IOREQ_READ, 0);
	step_through(false);
	go_on_from_each(0x23);
}

/* The one that goes on is killed as well. */
static void two_kills(void **ctx)
{
	struct world *first;
	unsigned int count;

	put_command(0x24, SIZE);
	access_register(CTRL_START, IOREQ_WRITE, 1);
	step_through(true);
	count = state_count;
	first = make_worlds(count);
	assert_non_null(first);
	memcpy(first, states, count * sizeof(*first));
	for (unsigned int i = 0; i < count; i += 3) {
		*w = first[i];
		state_count = 0;
		step_through(true);
		for (unsigned int n = 0; n < state_count; n++)
			go_on(&states[n], n % 2, 0x24);
	}
	munmap(first, count * sizeof(*first));
}

/* Refused without the TPM: the same error wherever it was killed. */
static void a_bad_command(void **ctx)
{
	put_command(0, 9);
	access_register(CTRL_START, IOREQ_WRITE, 1);
	step_through(true);
	for (unsigned int i = 0; i < state_count; i++) {
		*w = states[i];
		serve_one();
		assert_int_equal(vcpu()->state, STATE_IORESP_READY);
		assert_int_equal(read_start(), 0);
		assert_int_equal(w->executed, 0);
		assert_int_equal(w->buffer[8] << 8 | w->buffer[9], 0x142);
	}
}

/* The guest puts its next command where the response was, without a cmdReady. */
static void the_next_command(void **ctx)
{
	put_command(0x25, SIZE);
	access_register(CTRL_START, IOREQ_WRITE, 1);
	serve_one();
	manage();
	assert_int_equal(read_start(), 0);
	w->executed = 0;
	put_command(0x26, SIZE);
	access_register(CTRL_START, IOREQ_WRITE, 1);
	step_through(true);
	go_on_from_each(0x26);
}

/* The other vCPU does something while the first one's write to START is held. */
static uint64_t other_does(struct device *d, uint32_t reg, uint8_t dir, uint64_t data)
{
	access_by(1, reg, dir, data);
	event = VCPU_PORT + 1;
	eventfd_write(events, 1);
	serve_next(d);
	event = RING_PORT;
	return request_of(1)->data;
}

static uint8_t state_of(unsigned int n)
{
	return request_of(n)->state;
}

static void the_other_vcpu(void **ctx)
{
	struct tpmif_shared_page *h = (struct tpmif_shared_page *)w->ring;
	struct device d;

	put_command(0x27, SIZE);
	access_register(CTRL_START, IOREQ_WRITE, 1);
	make_device(&d);
	serve_begin(&d);
	/* the test may be slower than the hold */
	d.hold_until = INT64_MAX;
	assert_int_equal(state_of(0), STATE_IOREQ_INPROCESS);
	assert_int_equal(other_does(&d, CTRL_REQ, IOREQ_READ, 5), 0);
	assert_int_equal(state_of(1), STATE_IORESP_READY);
	(void)other_does(&d, CTRL_REQ, IOREQ_WRITE, 2);
	assert_int_equal(state_of(1), STATE_IORESP_READY);
	assert_int_equal(w->saved.crb.start & CRB_EXECUTING, 1);
	assert_int_equal(w->saved.crb.ready, 1);
	(void)other_does(&d, CTRL_CANCEL, IOREQ_WRITE, 1);
	assert_int_equal(state_of(1), STATE_IORESP_READY);
	assert_int_equal(h->state, TPMIF_STATE_CANCEL);
	(void)other_does(&d, CTRL_START, IOREQ_READ, 5);
	assert_int_equal(state_of(1), STATE_IOREQ_INPROCESS);
	assert_int_equal(state_of(0), STATE_IOREQ_INPROCESS);
	h->state = TPMIF_STATE_SUBMIT;
	manage();
	serve_next(&d);
	assert_int_equal(state_of(0), STATE_IORESP_READY);
	assert_int_equal(state_of(1), STATE_IORESP_READY);
	assert_int_equal(request_of(1)->data, 0);
}

/* Pages of the guest, which can be given back. */
static void *guest_page(void)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static void start_and_end(struct device *d, bool manager_is_fast)
{
	put_command(0x29, SIZE);
	make_device(d);
	d->crb.vcpu = 1;
	crb_write(&d->crb, CTRL_START, 4, 1);
	if (manager_is_fast)
		manage();
	d->ioreq.page = guest_page();
	d->ioreq.buffer = guest_page();
	serve_end(d);
}

/* Its RAM was saved while its command executed. */
static void find_response(void)
{
	uint8_t saved[4096] = {0};
	struct device d;

	make_device(&d);
	d.crb.buffer = saved;
	assert_int_equal(w->saved.crb.start & CRB_EXECUTING, 0);
	crb_deliver(&d.crb);
	assert_int_equal(crb_read(&d.crb, CTRL_START, 4), 0);
	assert_memory_equal(saved, "\x80\x01\0\0\0\x0c\0\0\0\0\0\x29", SIZE);
	assert_int_equal(w->executed, 1);
	/* the guest has read that, and writes its next command */
	saved[0] = 1;
	crb_deliver(&d.crb);
	assert_int_equal(saved[0], 1);
}

/* Somebody else's SIGTERM: the guest goes on. */
static void an_end_in_between(void **ctx)
{
	struct device d;

	start_and_end(&d, true);
	assert_memory_equal(w->buffer, "\x80\x01\0\0\0\x0c\0\0\x01\x7b\0", SIZE - 1);
	serve_one();
	assert_memory_equal(w->buffer, "\x80\x01\0\0\0\x0c\0\0\0\0\0", SIZE - 1);
	assert_int_equal(read_start(), 0);
	assert_int_equal(w->executed, 1);
}

static void the_end_of_a_guest(void **ctx)
{
	struct device d;
	pid_t pid;

	start_and_end(&d, true);
	find_response();
	new_world();
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		usleep(200000);
		manage();
		_exit(0);
	}
	start_and_end(&d, false);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	find_response();
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Whose TPM takes its time gets on, and polls. */
static void a_hold_ends(void **ctx)
{
	int64_t began = now_ms();
	struct device d;

	put_command(0x28, SIZE);
	access_register(CTRL_START, IOREQ_WRITE, 1);
	make_device(&d);
	serve_begin(&d);
	while (state_of(0) == STATE_IOREQ_INPROCESS)
		serve_next(&d);
	assert_in_range(now_ms() - began, 10, 10000);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(other_does(&d, CTRL_START, IOREQ_READ, 5), 1);
		assert_int_equal(state_of(1), STATE_IORESP_READY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_command, setup),
		cmocka_unit_test_setup(a_command_that_takes_long, setup),
		cmocka_unit_test_setup(a_response, setup),
		cmocka_unit_test_setup(two_kills, setup),
		cmocka_unit_test_setup(a_bad_command, setup),
		cmocka_unit_test_setup(the_next_command, setup),
		cmocka_unit_test_setup(the_other_vcpu, setup),
		cmocka_unit_test_setup(a_hold_ends, setup),
		cmocka_unit_test_setup(the_end_of_a_guest, setup),
		cmocka_unit_test_setup(an_end_in_between, setup),
	};

	w = make_worlds(1);
	states = make_worlds(STATES_MAX);
	events = eventfd(0, EFD_NONBLOCK);
	if (!w || !states || events < 0)
		return 1;
	return cmocka_run_group_tests_name("crb_serve", tests, NULL, NULL);
}
