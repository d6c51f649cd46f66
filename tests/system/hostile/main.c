/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile-front DOMID UUID [LOCALITIES]
 *
 * Poses in dom0 as the guest of the vTPM UUID, whose backend is in domain DOMID and
 * has no other guest, and does what a hostile guest can do.  Prints TAP.  After each
 * step a TPM2_GetRandom must be answered: a backend that died, hangs or lost its
 * senses fails there, which ends the test with the exit status 1.  With LOCALITIES, a mask, it tries those
 * alone: the vTPM is to allow these and no others.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/system/hostile/front.h"

#define TPM2_RC_FAILURE	     0x101
#define TPM2_RC_COMMAND_SIZE 0x142
#define TPM2_RC_LOCALITY     0x907
#define TPM_RC_CANCELED	     0x909
#define TIMEOUT_MS	     20000
#define OTHER_UUID	     "00000000-1111-2222-3333-444444444444"

static struct front front;
static const char *vtpm_uuid;
static unsigned int tests, failures;

static const uint8_t get_random[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 16};

static void put_packet(uint8_t nr_extra)
{
	for (size_t i = 0; i < sizeof(get_random); i++)
		front.page[8 + 4 * nr_extra + i] = get_random[i];
}

static void put_refs(const uint32_t *refs, uint8_t n)
{
	for (uint8_t i = 0; i < n; i++)
		((volatile uint32_t *)front.page)[2 + i] = refs[i];
}

static bool get_random_works(void)
{
	put_packet(0);
	front_submit(&front, sizeof(get_random), 0, 0);
	if (front_wait_done(&front, TIMEOUT_MS) && front_code(&front, 0) == 0 &&
	    front_length(&front) == 10 + 2 + 16)
		return true;
	printf("# state %u, length %u, code 0x%x\n", front_state(&front),
	       front_length(&front), front_code(&front, 0));
	return false;
}

static void result(bool ok, const char *name)
{
	tests++;
	failures += !ok;
	printf("%sok %u - %s\n", ok ? "" : "not ", tests, name);
	fflush(stdout);
}

/* Nothing after it says anything of a vTPM that does not answer, or is another one. */
static void bail_out(void)
{
	printf("Bail out! domain %u %s\n", front.backend,
	       front_backend_lives(&front) ? "does not answer"
					   : "is gone: who ended it is in Xen's console");
	fflush(stdout);
	/* the leaf would keep the next guest from its vTPM */
	(void)!front_destroy(&front);
	front_close(&front);
	exit(1);
}

/* The step did what it should, and the vTPM is well. */
static void step(bool ok, const char *name)
{
	bool works = get_random_works();

	result(works && ok, name);
	if (!works)
		bail_out();
}

static bool refused_with(uint32_t length, uint8_t locality, uint8_t nr_extra,
			 uint32_t code)
{
	front_submit(&front, length, locality, nr_extra);
	if (front_wait_done(&front, TIMEOUT_MS) && front_code(&front, nr_extra) == code)
		return true;
	printf("# length %u, locality %u, %u pages: state %u, code 0x%x\n", length,
	       locality, nr_extra, front_state(&front), front_code(&front, nr_extra));
	return false;
}

static void wrong_lengths(void)
{
	static const uint32_t lengths[] = {0, 9, 4097, 4294967295u};
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		put_packet(0);
		snprintf(name, sizeof(name), "a length of %u is refused", lengths[i]);
		step(refused_with(lengths[i], 0, 0, TPM2_RC_COMMAND_SIZE), name);
	}
}

static volatile bool flipping;

static void *flip(void *arg)
{
	static const uint32_t lengths[] = {0, 12, 9, 4097, 12, 4294967295u, 4088};

	for (size_t i = 0; flipping; i++)
		*(volatile uint32_t *)front.page = lengths[i % ARRAY_SIZE(lengths)];
	return NULL;
}

static void changing_length(void)
{
	pthread_t thread;
	bool ok;

	flipping = true;
	ok = pthread_create(&thread, NULL, flip, NULL) == 0;
	for (int i = 0; ok && i < 300; i++) {
		put_packet(0);
		front_submit(&front, sizeof(get_random), 0, 0);
		ok = front_wait_done(&front, TIMEOUT_MS);
	}
	flipping = false;
	pthread_join(thread, NULL);
	step(ok, "300 commands are answered while their length changes after SUBMIT");
}

static void garbage_states(void)
{
	bool ok = true;

	for (unsigned int s = 4; s <= 255; s++) {
		front.page[4] = (uint8_t)s;
		front_notify(&front);
		usleep(500);
		ok &= front_state(&front) == s;
	}
	step(ok, "252 garbage states are left alone");
}

static void cancels(void)
{
	bool ok = true;

	for (int i = 0; i < 50; i++) {
		put_packet(0);
		front_submit(&front, sizeof(get_random), 0, 0);
		usleep((useconds_t)(i * 20));
		front.page[4] = FRONT_CANCEL;
		front_notify(&front);
		ok &= front_wait_done(&front, TIMEOUT_MS);
	}
	step(ok, "50 cancels end in IDLE or FINISH");
}

static void put(const uint8_t *packet, size_t len)
{
	for (size_t i = 0; i < len; i++)
		front.page[8 + i] = packet[i];
}

static void flush_new_object(void)
{
	uint8_t packet[] = {0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x65, 0, 0, 0, 0};

	for (size_t i = 0; i < 4; i++)
		packet[10 + i] = front.page[8 + 10 + i];
	put(packet, sizeof(packet));
	front_submit(&front, sizeof(packet), 0, 0);
	(void)!front_wait_done(&front, TIMEOUT_MS);
}

/* Each time another RSA-3072 key, so that it takes its time; whether one of them was
 * ended before it was done. */
static void cancel_of_long_work(void)
{
	/* TPM2_CreatePrimary in the owner's hierarchy, with a unique of one byte */
	static uint8_t packet[] = {
		0x80, 2, 0, 0, 0,    0x44, 0,	 0, 1,	  0x31, 0x40, 0,    0, 1,
		0,    0, 0, 9, 0x40, 0,	   0,	 9, 0,	  0,	0,    0,    0, 0,
		4,    0, 0, 0, 0,    0,	   0x1b, 0, 1,	  0,	0x0b, 0,    3, 4,
		0x72, 0, 0, 0, 6,    0,	   0x80, 0, 0x43, 0,	0x10, 0x0c, 0, 0,
		0,    0, 0, 0, 1,    0xaa, 0,	 0, 0,	  0,	0,    0};
	uint32_t code = 0;

	for (unsigned int i = 0; i < 20 && code != TPM_RC_CANCELED; i++) {
		packet[sizeof(packet) - 7] = (uint8_t)(i + 1);
		put(packet, sizeof(packet));
		front_submit(&front, sizeof(packet), 0, 0);
		usleep(5000 * (i + 1));
		front.page[4] = FRONT_CANCEL;
		front_notify(&front);
		if (!front_wait_done(&front, TIMEOUT_MS))
			break;
		code = front_code(&front, 0);
		if (code == 0)
			flush_new_object();
		else if (code != TPM_RC_CANCELED)
			printf("# code 0x%x\n", code);
	}
	step(code == TPM_RC_CANCELED, "a cancel ends the making of a key");
}

static bool one_ref_refused(uint32_t ref)
{
	put_packet(1);
	put_refs(&ref, 1);
	return refused_with(sizeof(get_random), 0, 1, TPM2_RC_FAILURE);
}

static void bad_references(void)
{
	uint32_t foreign, read_only;

	step(one_ref_refused(0xffffffff) && one_ref_refused(0x7fffffff) &&
		     one_ref_refused(100000),
	     "grant references that do not exist are refused");
	if (front_share(&front, front.backend + 1, true, &foreign) ||
	    front_share(&front, front.backend, false, &read_only)) {
		result(false, "grants for the next step");
		return;
	}
	step(one_ref_refused(foreign), "a page granted to another domain is refused");
	step(one_ref_refused(read_only), "a page granted read-only is refused");
}

static void many_extra_pages(void)
{
	bool ok = true;

	for (unsigned int n = 3; n <= 255; n += 6)
		ok &= refused_with(12, 0, (uint8_t)n, TPM2_RC_COMMAND_SIZE);
	step(ok && refused_with(12, 0, 255, TPM2_RC_COMMAND_SIZE),
	     "255 extra pages are refused");
}

/* Its TPM header says 4096 bytes: too many for TPM2_GetRandom, but the engine says
 * so, not the ring. */
static void full_packet(void)
{
	uint32_t code;

	put_packet(1);
	front.page[12 + 4] = 0x10;
	front.page[12 + 5] = 0;
	put_refs(front.extra_refs, 1);
	memset(front.extra, 0, 4096);
	front_submit(&front, 4096, 0, 1);
	step(front_wait_done(&front, TIMEOUT_MS) &&
		     (code = front_code(&front, 1)) != UINT32_MAX && code != 0 &&
		     code != TPM2_RC_COMMAND_SIZE && code != TPM2_RC_FAILURE,
	     "a packet of 4096 bytes in two pages reaches the TPM");
}

static void localities(void)
{
	bool ok = true;

	put_packet(0);
	for (unsigned int l = 1; l <= 255; l += 2) {
		put_packet(0);
		ok &= refused_with(sizeof(get_random), (uint8_t)l, 0, TPM2_RC_LOCALITY);
	}
	step(ok, "localities other than 0 are refused");
}

/* TPM2_PCR_Reset of PCR 20, which locality 2 may: what the TPM says to it. */
static uint32_t reset_pcr(uint8_t locality)
{
	static const uint8_t packet[] = {0x80, 2, 0, 0, 0,  0x1b, 0, 0, 1,
					 0x3d, 0, 0, 0, 20, 0,	  0, 0, 9,
					 0x40, 0, 0, 9, 0,  0,	  0, 0, 0};

	put(packet, sizeof(packet));
	front_submit(&front, sizeof(packet), locality, 0);
	return front_wait_done(&front, TIMEOUT_MS) ? front_code(&front, 0) : UINT32_MAX;
}

static void allowed_localities(unsigned int mask)
{
	bool ok = true;

	for (unsigned int l = 0; l < 256; l++) {
		put_packet(0);
		ok &= refused_with(sizeof(get_random), (uint8_t)l, 0,
				   l < 5 && mask >> l & 1 ? 0 : TPM2_RC_LOCALITY);
	}
	step(ok, "the localities that are allowed, and no others");
	ok = true;
	for (uint8_t l = 0; l < 5; l++)
		ok &= reset_pcr(l) == (l == 2 && mask >> l & 1 ? 0 : TPM2_RC_LOCALITY);
	step(ok, "the TPM is told the locality, and knows what each may");
}

static void event_storm(void)
{
	for (unsigned int i = 0; i < 100000; i++)
		front_notify(&front);
	step(true, "100,000 events");
}

static bool reconnect(void)
{
	front_write(&front, "state", "6");
	if (!front_wait_state(&front, 6, TIMEOUT_MS))
		return false;
	front_write(&front, "state", "1");
	return front_wait_state(&front, 2, TIMEOUT_MS);
}

static bool closes_on(const char *name, const char *value)
{
	if (!reconnect())
		return false;
	front_write_number(&front, "ring-ref", front.ref);
	front_write_number(&front, "event-channel", front.port);
	front_write(&front, name, value);
	front_write(&front, "state", "3");
	return front_wait_state(&front, 6, TIMEOUT_MS);
}

static void bad_nodes(void)
{
	static const char *const bad[][2] = {
		{"ring-ref", "4294967295"}, {"ring-ref", "-1"},
		{"ring-ref", "x"},	    {"event-channel", "4294967295"},
		{"event-channel", "4000"},  {"event-channel", ""},
	};
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ok &= closes_on(bad[i][0], bad[i][1]);
	ok &= reconnect() && front_connect(&front) == 0;
	step(ok, "bad ring-ref and event-channel end in Closed, a good one in Connected");
}

static void flapping(void)
{
	static const char *const states[] = {"3", "5",	"1", "6", "4",
					     "0", "99", "x", "2"};

	for (size_t i = 0; i < 300; i++)
		front_write(&front, "state", states[i % ARRAY_SIZE(states)]);
	step(reconnect() && front_connect(&front) == 0, "300 changes of state");
}

static void others_uuid_and_second_front(void)
{
	struct front second;
	bool ok;

	ok = front_open(&second, front.backend, FRONT_DEVID + 1) == 0 &&
	     front_create(&second, OTHER_UUID) == 0 &&
	     front_refused(&second, "another uuid", TIMEOUT_MS);
	step(ok, "the uuid of another vTPM is refused");
	ok = front_create(&second, vtpm_uuid) == 0 &&
	     front_refused(&second, "in use by another guest", TIMEOUT_MS);
	step(ok, "a second front is refused");
	front_close(&second);
}

static void all_that_is_hostile(void)
{
	wrong_lengths();
	changing_length();
	garbage_states();
	cancels();
	cancel_of_long_work();
	bad_references();
	many_extra_pages();
	full_packet();
	localities();
	event_storm();
	bad_nodes();
	flapping();
	others_uuid_and_second_front();
}

int main(int argc, char **argv)
{
	int rc;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: hostile-front DOMID UUID [LOCALITIES]\n");
		return 2;
	}
	vtpm_uuid = argv[2];
	if (front_open(&front, (uint32_t)atoi(argv[1]), FRONT_DEVID)) {
		puts("Bail out! domain 0 cannot be a front");
		return 1;
	}
	rc = front_create(&front, vtpm_uuid);
	if (!rc && !front_wait_state(&front, 2, TIMEOUT_MS))
		rc = -1;
	if (!rc)
		rc = front_connect(&front);
	step(rc == 0, "the front connects");
	if (rc == 0) {
		if (argc == 4)
			allowed_localities((unsigned int)strtoul(argv[3], NULL, 0));
		else
			all_that_is_hostile();
		result(front_destroy(&front) == 0, "the backend removes its leaf");
	}
	printf("1..%u\n", tests);
	front_close(&front);
	return failures ? 1 : 0;
}
