/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile etcd answers: the first byte says to which question. */
#include "tools/vtpmd/etcd/proto.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct answer {
	const uint8_t *buf;
	size_t len;
};

static void inside(const struct answer *a, const uint8_t *p, size_t len)
{
	if (len &&
	    (p < a->buf || p > a->buf + a->len || len > (size_t)(a->buf + a->len - p)))
		abort();
}

static void check_kv(void *ctx, const struct proto_kv *kv)
{
	uint8_t buf[2 * PROTO_KEY_MAX];
	struct cursor c = cursor_writer(buf, sizeof(buf));
	struct proto_mark mark;
	size_t n;

	if (!kv->key_len)
		abort();
	inside(ctx, kv->key, kv->key_len);
	inside(ctx, kv->value, kv->value_len);
	/* what is asked for next is behind it, unless no key is */
	proto_mark_key(&mark, kv);
	n = mark.len < kv->key_len ? mark.len : kv->key_len;
	if (kv->key[0] != 0xff &&
	    (memcmp(mark.key, kv->key, n) < 0 ||
	     (!memcmp(mark.key, kv->key, n) && mark.len <= kv->key_len)))
		abort();
	proto_range(&c, "/p/", &mark, 1, 0);
	if (!cursor_ok(&c))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct answer a = {data + 1, size - 1};
	struct proto_status status;
	struct proto_reply r;
	int rc;

	if (!size)
		return 0;
	switch (data[0] % 5) {
	case 0:
		rc = proto_range_reply(a.buf, a.len, &r, check_kv, &a);
		break;
	case 1:
		rc = proto_txn_reply(a.buf, a.len, &r, check_kv, &a);
		break;
	case 2:
		rc = proto_lease_reply(a.buf, a.len, &r);
		break;
	case 4:
		rc = proto_status_reply(a.buf, a.len, &status);
		if (strlen(status.version) >= sizeof(status.version) ||
		    strlen(status.errors) >= sizeof(status.errors))
			abort();
		break;
	default:
		rc = proto_watch_reply(a.buf, a.len, &r, check_kv, &a);
	}
	(void)rc;
	return 0;
}
