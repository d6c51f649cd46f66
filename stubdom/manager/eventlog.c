/* SPDX-License-Identifier: Apache-2.0 */
#include "eventlog.h"
#include "lib/crypt.h"
#include "lib/tpm2/marshal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* TCG_EfiSpecIDEvent */
#define SIGNATURE      "Spec ID Event03"
#define PLATFORM_CLASS 0 /* client */
#define SPEC_MINOR     0
#define SPEC_MAJOR     2
#define SPEC_ERRATA    0
#define UINTN_64       2

static void put_digests(struct cursor *w, const struct eventlog *l,
			const uint8_t *digests)
{
	const struct tpm2_hash *h;
	size_t i, at = 0;

	cursor_put_le32(w, (uint32_t)__builtin_popcount(l->banks));
	for (i = 0; i < TPM2_BANKS; at += h->size, i++) {
		h = &tpm2_hashes[i];
		if (!(l->banks >> i & 1))
			continue;
		cursor_put_le16(w, h->id);
		if (digests)
			cursor_put(w, digests + at, h->size);
		else
			cursor_put_le16(w, h->size);
	}
}

static void put_spec_id(struct cursor *w, const struct eventlog *l)
{
	cursor_put(w, SIGNATURE, sizeof(SIGNATURE));
	cursor_put_le32(w, PLATFORM_CLASS);
	cursor_put_u8(w, SPEC_MINOR);
	cursor_put_u8(w, SPEC_MAJOR);
	cursor_put_u8(w, SPEC_ERRATA);
	cursor_put_u8(w, UINTN_64);
	put_digests(w, l, NULL);
	cursor_put_u8(w, 0); /* vendorInfoSize */
}

int eventlog_begin(struct eventlog *l, unsigned int banks)
{
	static const uint8_t zeroes[20];
	uint8_t spec[64];
	struct cursor w, s = cursor_writer(spec, sizeof(spec));

	eventlog_clear(l);
	banks &= (1u << TPM2_BANKS) - 1;
	if (!banks)
		return -EINVAL;
	l->bytes = malloc(EVENTLOG_MAX);
	if (!l->bytes)
		return -ENOMEM;
	l->banks = banks;
	put_spec_id(&s, l);
	w = cursor_writer(l->bytes, EVENTLOG_MAX);
	cursor_put_le32(&w, 0);
	cursor_put_le32(&w, MEASURE_EV_NO_ACTION);
	cursor_put(&w, zeroes, sizeof(zeroes));
	cursor_put_le32(&w, (uint32_t)s.pos);
	cursor_put(&w, spec, s.pos);
	l->len = w.pos;
	return cursor_ok(&s) && cursor_ok(&w) ? 0 : -ENOSPC;
}

int eventlog_add(struct eventlog *l, const struct measure_event *e)
{
	struct cursor w;

	if (!l->bytes)
		return -EINVAL;
	w = cursor_writer(l->bytes + l->len, EVENTLOG_MAX - l->len);
	cursor_put_le32(&w, e->pcr);
	cursor_put_le32(&w, e->type);
	put_digests(&w, l, e->digests);
	cursor_put_le32(&w, (uint32_t)e->data_len);
	cursor_put(&w, e->data, e->data_len);
	if (!cursor_ok(&w))
		return -ENOSPC;
	l->len += w.pos;
	return 0;
}

int eventlog_sha256(const struct eventlog *l, uint8_t out[32])
{
	const struct crypt_part part = {l->bytes, l->len};

	return crypt_sha256(&part, 1, out);
}

void eventlog_clear(struct eventlog *l)
{
	free(l->bytes);
	memset(l, 0, sizeof(*l));
}
