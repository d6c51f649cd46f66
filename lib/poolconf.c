/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/poolconf.h"
#include "include/channel.h"
#include "lib/channel.h"
#include "lib/tpm2/duplicate.h"

static void put_key(uint32_t version, struct binding_part share, struct cursor *out)
{
	uint8_t value[4 + TPM2_DUPLICATE_MAX];
	struct cursor w = cursor_writer(value, sizeof(value));

	cursor_put_u32(&w, version);
	cursor_put(&w, share.p, share.n);
	channel_tlv_put(out, CONFIG_POOL_KEY, value, w.pos);
}

void poolconf_put(const struct pool *p, const uint8_t *srk_name, size_t len, bool in_pool,
		  struct cursor *out)
{
	struct cursor c = p->key;
	struct pool_holder h;
	struct pool_key k;
	bool newest = false;

	while (pool_next_key(&c, &k)) {
		newest = pool_find_holder(&k, srk_name, len, &h);
		if (newest)
			put_key(k.version, h.share, out);
	}
	if (in_pool && newest)
		channel_tlv_put_u8(out, CONFIG_IN_POOL, 1);
}
