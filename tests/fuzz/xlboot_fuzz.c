/* SPDX-License-Identifier: Apache-2.0 */
/* What another host says that a launched guest boots: u16 length | the list of what was measured |
 * the beginning of the stream, in two pieces that are one. */
#include "tools/vtpmctl/xlboot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct xlboot_stream whole, parts;

/* An image that is named has been measured, and has a number of its own. */
static void check_boot(const struct xlboot *b, const struct xlboot_list *l)
{
	for (int i = 0; i < XLBOOT_KINDS; i++) {
		if (b->fd[i] >= 0 && !xlboot_has(l, (enum xlboot_kind)i))
			abort();
		if (b->fd[i] >= 0 &&
		    (b->fd[i] < XLBOOT_FD_MIN || b->fd[i] > XLBOOT_FD_MAX))
			abort();
		for (int j = 0; j < i; j++)
			if (b->fd[i] >= 0 && b->fd[i] == b->fd[j])
				abort();
	}
}

static void take_stream(const uint8_t *p, size_t n, const struct xlboot_list *l)
{
	json_t *one = NULL, *other = NULL;
	size_t cut = n / 2;
	struct xlboot b;
	const char *why;
	int rc, again;

	whole.have = parts.have = 0;
	rc = xlboot_stream_take(&whole, p, n, &one);
	again = xlboot_stream_take(&parts, p, cut, &other);
	if (again == -EAGAIN)
		again = xlboot_stream_take(&parts, p + cut, n - cut, &other);
	if (rc != again || (!rc && !json_equal(one, other)))
		abort();
	if (!rc && l->len && !xlboot_read(one, l, &b, &why))
		check_boot(&b, l);
	(void)xlboot_was_launched(one);
	json_decref(one);
	json_decref(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_reader(data, size);
	size_t len = cursor_u16(&c);
	struct xlboot_list l = {cursor_bytes(&c, len), len};
	struct xlboot_head h;
	uint8_t head[XLBOOT_HEAD];

	if (!xlboot_head_decode(data, size, &h)) {
		xlboot_head_encode(&h, head);
		if (size != sizeof(head) || memcmp(head, data, sizeof(head)) != 0)
			abort();
	}
	if (!cursor_ok(&c))
		return 0;
	if (!len || !measure_check(l.bytes, l.len) || !xlboot_is_list(&l))
		l.len = 0;
	take_stream(data + 2 + len, size - 2 - len, &l);
	return 0;
}
