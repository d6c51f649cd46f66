/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest at the registers and in the buffer, and a hostile manager at the ring.
 * Input: steps of 12 bytes: what, size, u16 offset, u64 value.
 */
#include "frontend/crb/crb.h"
#include "lib/ppi.h"
#include "frontend/crb/ring.h"
#include "lib/cursor.h"

#include <stdlib.h>
#include <string.h>

static uint8_t pages[RING_PAGES * 4096] __attribute__((aligned(8)));
static struct crb_ring ring = {.page = pages, .extra = 7};
static struct crb_state state;
static struct ppi_state presence;

static void prepare(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len)
{
	if (state.start || locality >= CRB_LOCALITIES || len < 10 || len > CRB_BUFFER_MAX)
		abort();
	crb_ring_prepare(&ring, locality, cmd, len);
}

static void send_command(void *ctx)
{
	if (!state.start)
		abort();
	crb_ring_send(&ring);
}

static void cancel(void *ctx)
{
	(void)!crb_ring_cancel(&ring);
}

static void answer(struct crb *c)
{
	uint8_t rsp[CRB_BUFFER_MAX];
	size_t len = 0;

	if (state.start && crb_ring_answer(&ring, rsp, &len) == RING_RESPONSE)
		crb_complete(c, rsp, len);
}

static void check(const struct crb *c)
{
	if (!crb_is_sound(c) || state.start > 1 || state.ready > 1 ||
	    (presence.request && !ppi_is_clear(presence.request)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct crb_ops ops = {prepare, send_command, cancel};
	uint8_t *buffer = calloc(1, CRB_BUFFER_MAX);
	struct crb c = {.s = &state, .buffer = buffer, .localities = 0x1f, .ops = &ops};
	struct ppi_told told = {.allowed = size & 1};
	struct ppi ppi = {.s = &presence, .told = &told};
	struct cursor in = cursor_reader(data, size);

	crb_reset(&state);
	memset(&presence, 0, sizeof(presence));
	memset(pages, 0, sizeof(pages));
	while (cursor_left(&in) >= 12) {
		uint8_t what = cursor_u8(&in), width = cursor_u8(&in) % 9;
		uint16_t at = cursor_u16(&in);
		uint64_t value = cursor_u64(&in);

		switch (what % 8) {
		case 0:
			(void)crb_read(&c, at, width);
			break;
		case 1:
			crb_write(&c, at, width, value);
			break;
		case 2:
			memcpy(buffer + at % (CRB_BUFFER_MAX - 8), &value, 8);
			break;
		case 3:
			memcpy(pages + at % (sizeof(pages) - 8), &value, 8);
			break;
		case 4:
			answer(&c);
			break;
		case 6:
			(void)ppi_read(&ppi, at, width);
			break;
		case 7:
			ppi_write(&ppi, at, width, value);
			if (!told.allowed && presence.request)
				abort();
			break;
		default:
			if (value % 7 == 0)
				crb_fail(&c);
			else
				crb_abort(&c);
		}
		check(&c);
	}
	free(buffer);
	return 0;
}
