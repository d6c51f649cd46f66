/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front-asks DOMID UUID
 *
 * Poses in dom0 as the guest of the vTPM UUID, whose backend is in domain DOMID and has no other
 * guest: connects, has a TPM2_GetRandom answered, and goes.  Status 0 when the TPM answered and the
 * backend let it go; else it says on standard error what did not.
 */
#include "tests/system/hostile/front.h"

#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS	   20000
#define RANDOM_BYTES	   16
#define RESPONSE_HEADER	   10
#define STATE_INIT_WAIT	   2 /* XenbusStateInitWait */
#define RESPONSE_SIZE_LEAD 2 /* of a TPM2B */

static int ask(struct front *f)
{
	static const uint8_t get_random[] = {0x80, 1, 0, 0,    0, 12,
					     0,	   0, 1, 0x7b, 0, RANDOM_BYTES};

	for (size_t i = 0; i < sizeof(get_random); i++)
		f->page[8 + i] = get_random[i];
	front_submit(f, sizeof(get_random), 0, 0);
	if (front_wait_done(f, TIMEOUT_MS) && front_code(f, 0) == 0 &&
	    front_length(f) == RESPONSE_HEADER + RESPONSE_SIZE_LEAD + RANDOM_BYTES)
		return 0;
	fprintf(stderr, "front-asks: domain %u: state %u, length %u, code 0x%x\n",
		f->backend, front_state(f), front_length(f), front_code(f, 0));
	return -1;
}

static int serve(struct front *f, const char *uuid)
{
	int rc = front_create(f, uuid);

	if (!rc && !front_wait_state(f, STATE_INIT_WAIT, TIMEOUT_MS))
		rc = -1;
	if (!rc)
		rc = front_connect(f);
	if (rc)
		fprintf(stderr, "front-asks: domain %u does not connect\n", f->backend);
	else
		rc = ask(f);
	if (front_destroy(f)) {
		fprintf(stderr, "front-asks: domain %u does not let it go\n", f->backend);
		rc = -1;
	}
	return rc;
}

int main(int argc, char **argv)
{
	struct front f;
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: front-asks DOMID UUID\n");
		return 2;
	}
	rc = front_open(&f, (uint32_t)atoi(argv[1]), FRONT_DEVID);
	if (!rc)
		rc = serve(&f, argv[2]);
	front_close(&f);
	return rc ? 1 : 0;
}
