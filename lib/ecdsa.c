/* SPDX-License-Identifier: Apache-2.0 */
#include "ecdsa.h"
#include "cursor.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>

#define SIZE 32

/* n, the order of P-256's base point: FIPS 186-4, D.1.2.3 */
static const uint8_t order[SIZE] = {
	0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
	0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

/* A TPM2B of at most SIZE bytes, or with zeroes before them, as SIZE bytes. */
static void take_integer(struct cursor *c, uint8_t out[SIZE])
{
	static const uint8_t zero[SIZE];
	size_t n = cursor_u16(c);
	const uint8_t *p = cursor_bytes(c, n);

	memset(out, 0, SIZE);
	if (!cursor_ok(c))
		return;
	while (n && !*p) {
		p++;
		n--;
	}
	if (n > SIZE) {
		cursor_fail(c);
		return;
	}
	if (n)
		memcpy(out + SIZE - n, p, n);
	if (!memcmp(out, zero, SIZE) || memcmp(out, order, SIZE) >= 0)
		cursor_fail(c);
}

/* out = n - s */
static void negate(const uint8_t s[SIZE], uint8_t out[SIZE])
{
	unsigned int borrow = 0, i, d;

	for (i = SIZE; i-- > 0;) {
		d = 0x100u + order[i] - s[i] - borrow;
		out[i] = (uint8_t)d;
		borrow = d < 0x100u;
	}
}

int ecdsa_p256(const uint8_t *signature, size_t len, uint8_t out[ECDSA_P256])
{
	struct cursor c = cursor_reader(signature, len);
	struct cursor w = cursor_writer(out, ECDSA_P256);
	uint8_t r[SIZE], s[SIZE], other[SIZE];
	uint16_t scheme = cursor_u16(&c), hash = cursor_u16(&c);

	take_integer(&c, r);
	take_integer(&c, s);
	if (!cursor_done(&c) || scheme != TPM2_ALG_ECDSA)
		return -EBADMSG;
	negate(s, other);
	cursor_put_u16(&w, scheme);
	cursor_put_u16(&w, hash);
	cursor_put_u16(&w, SIZE);
	cursor_put(&w, r, SIZE);
	cursor_put_u16(&w, SIZE);
	cursor_put(&w, memcmp(s, other, SIZE) < 0 ? s : other, SIZE);
	return cursor_ok(&w) ? 0 : -EBADMSG;
}
