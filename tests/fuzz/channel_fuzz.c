/* SPDX-License-Identifier: Apache-2.0 */
/* The host channel's stream as a hostile stub domain would send it: frames cut
 * anywhere (the first byte steers the cuts), each payload also read as TLVs. */
#include "lib/channel.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct channel_frame *f)
{
	struct cursor c = cursor_reader(f->payload, f->len);
	struct channel_tlv t;
	size_t sum = 0;

	if (f->len > CHANNEL_PAYLOAD_MAX)
		abort();
	while (channel_tlv_next(&c, &t))
		sum += t.value.len;
	if (sum > f->len)
		abort();
	free(f->payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct channel_reader r = {0};
	struct channel_frame f;
	size_t at, n, room, step;
	uint8_t *p;
	int rc = 0;

	if (!size)
		return 0;
	step = data[0] ? data[0] : 1;
	for (at = 1; at < size && rc >= 0; at += n) {
		p = channel_reader_room(&r, &room);
		if (!room)
			abort();
		n = size - at < step ? size - at : step;
		n = n < room ? n : room;
		memcpy(p, data + at, n);
		rc = channel_reader_add(&r, n);
		if (rc != 1)
			continue;
		channel_reader_take(&r, &f);
		use(&f);
	}
	channel_reader_reset(&r);
	return 0;
}
