/* SPDX-License-Identifier: Apache-2.0 */
/* What comes from another host: whatever is read is written as the same bytes.  And the pool,
 * all of whose parts are walked. */
#include "lib/move.h"
#include "lib/pool.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t again[1 << 20];

#define TRY(what)                                                            \
	do {                                                                 \
		struct move_##what x;                                        \
		size_t len = sizeof(again);                                  \
                                                                             \
		if (!move_##what##_decode(data, size, &x) &&                 \
		    (move_##what##_encode(&x, again, &len) || len != size || \
		     memcmp(again, data, size)))                             \
			abort();                                             \
	} while (0)

static void walk_keys(struct pool *p)
{
	struct pool_storage storage;
	struct pool_holder holder;
	unsigned int storages = 0, keys = 0, holders;
	struct pool_key key;

	while (pool_next_storage(&p->storage, &storage))
		storages++;
	while (pool_next_key(&p->key, &key)) {
		keys++;
		for (holders = 0; pool_next_holder(&key.holder, &holder);)
			holders++;
		if (holders != key.holders)
			abort();
	}
	if (storages != p->storages || keys != p->keys ||
	    (!p->has_keys && (storages || keys)))
		abort();
}

static void walk_pool(const uint8_t *data, size_t size)
{
	struct pool p;
	struct pool_image image;
	struct pool_host host;
	struct pool_state state;
	unsigned int images = 0, hosts = 0, states;

	if (pool_parse(data, size, &p))
		return;
	while (pool_next_image(&p.image, &image))
		images++;
	while (pool_next_host(&p.host, &host)) {
		hosts++;
		for (states = 0; pool_next_state(&host.state, &state);)
			states++;
		if (states != host.states)
			abort();
	}
	if (images != p.images || hosts != p.hosts)
		abort();
	walk_keys(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > sizeof(again))
		return 0;
	TRY(message);
	TRY(offer);
	TRY(accept);
	TRY(export);
	TRY(parcel);
	TRY(binding);
	walk_pool(data, size);
	return 0;
}
