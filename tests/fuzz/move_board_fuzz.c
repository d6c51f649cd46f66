/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is read as the board of a TPM that moves is written as the same bytes. */
#include "tools/vtpmd/move_board.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct move_board b;
	static uint8_t again[2 * sizeof(b)];
	size_t len = sizeof(again);

	if (move_board_decode(data, size, &b))
		return 0;
	if (b.crb.rsp_len > sizeof(b.crb.rsp) || move_board_encode(&b, again, &len) ||
	    len != size || memcmp(again, data, size) != 0)
		abort();
	return 0;
}
