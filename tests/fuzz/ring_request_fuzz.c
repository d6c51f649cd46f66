/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest's page.  Input: rounds of 28 bytes that are laid over the start
 * of the page (header, references, packet) and submitted; after them, a stream of
 * changes: at each access of the backend's one byte is taken, and when it is odd,
 * the next two say where and what to change.  The fake engine aborts on a packet
 * that it should never see.
 */
#include <stdint.h>
#include <stddef.h>

static void shared_access(const volatile uint8_t *address);
#define SHARED_ACCESS(address) shared_access(address)
#include "backend/ring.c"
#include "tests/unit/backend_fake.h"

#define ROUND  28
#define ROUNDS 4

static struct cursor changes;
static uint8_t *page;

static void shared_access(const volatile uint8_t *address)
{
	uint8_t where;

	if (!page || !(cursor_u8(&changes) & 1))
		return;
	where = cursor_u8(&changes) % 32;
	page[where] = cursor_u8(&changes);
}

static void serve_round(struct fake_world *w, const uint8_t *round)
{
	memcpy(page, round, ROUND);
	if (round[4] & 0x80)
		page[4] = TPMIF_STATE_SUBMIT;
	w->rsp_len = (round[6] << 5) + 10u;
	w->execute_error = round[6] == 77 ? -EIO : 0;
	w->events++;
	if (fake_event(w))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fake_world *w = fake_new();
	const uint8_t *round;
	struct cursor c = cursor_reader(data, size);

	page = NULL;
	fake_toolstack(w, 5, 0, FAKE_UUID);
	fake_driver(w, 5);
	if (fake_open(w, 0x1f, false))
		abort();
	page = fake_page(w, 100);
	for (int i = 0; i < ROUNDS; i++) {
		round = cursor_bytes(&c, ROUND);
		if (!round)
			break;
		changes = cursor_reader(round + ROUND, size - c.pos);
		serve_round(w, round);
	}
	page = NULL;
	fake_free(w);
	return 0;
}
