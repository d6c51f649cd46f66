/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile server sends on a connection with a call and a stream on it. */
#include "tools/vtpmd/etcd/grpc.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int ends, breaks;

static void check_message(void *ctx, const uint8_t *buf, size_t len)
{
	uint8_t *copy = len <= GRPC_MESSAGE_MAX ? malloc(len + 1) : NULL;

	if (!copy)
		abort();
	memcpy(copy, buf, len);
	free(copy);
}

static void note_end(void *ctx, int status)
{
	ends++;
}

static void note_break(void *ctx)
{
	breaks++;
}

static const struct grpc_events events = {check_message, note_end};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event_base *base = event_base_new();
	struct bufferevent *pair[2];
	struct grpc_call *call, *stream;
	struct grpc *g;
	size_t half = size / 2;

	ends = breaks = 0;
	if (bufferevent_pair_new(base, BEV_OPT_DEFER_CALLBACKS, pair))
		abort();
	bufferevent_enable(pair[1], EV_READ | EV_WRITE);
	g = grpc_new(pair[0], "127.0.0.1:2379", note_break, NULL);
	if (!g || grpc_call(g, "/a/b", data, size & 15, false, &events, NULL, &call) ||
	    grpc_call(g, "/a/c", data, size & 15, true, &events, NULL, &stream))
		abort();
	for (int i = 0; i < 2; i++) {
		bufferevent_write(pair[1], data + (i ? half : 0), i ? size - half : half);
		for (int turn = 0; turn < 4; turn++)
			(void)event_base_loop(base, EVLOOP_NONBLOCK);
	}
	/* each ends once, and all when the connection does */
	if (ends > 2 || breaks > 1 || (breaks && ends != 2))
		abort();
	grpc_free(g);
	bufferevent_free(pair[1]);
	event_base_free(base);
	return 0;
}
