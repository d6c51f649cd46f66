/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/etcd/grpc.h"
#include "lib/cursor.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_SIZE 5		  /* of a message: a flag, and its length */
#define WINDOW	    (1024 * 1024) /* what may come before we have read it */

struct grpc_call {
	struct grpc *g;
	struct grpc_call *next;
	int32_t stream;
	const struct grpc_events *events; /* NULL: cancelled */
	void *ctx;
	bool open; /* our side */
	bool deferred;
	int status;
	struct evbuffer *out, *in;
};

struct grpc {
	struct bufferevent *bev;
	nghttp2_session *session;
	char authority[300];
	struct grpc_call *calls;
	unsigned int count;
	bool busy; /* within nghttp2, which may not be called again then */
	bool dead;
	struct event *end;
	void (*broken)(void *ctx);
	void *ctx;
};

static struct grpc_call *find_call(struct grpc *g, int32_t stream)
{
	return nghttp2_session_get_stream_user_data(g->session, stream);
}

static void free_call(struct grpc_call *call)
{
	struct grpc_call **at = &call->g->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	call->g->count--;
	if (call->out)
		evbuffer_free(call->out);
	if (call->in)
		evbuffer_free(call->in);
	free(call);
}

/* All calls end, and its owner hears it from the loop. */
static void break_connection(struct grpc *g)
{
	if (g->dead)
		return;
	g->dead = true;
	bufferevent_disable(g->bev, EV_READ | EV_WRITE);
	event_active(g->end, EV_TIMEOUT, 0);
}

static void on_end(evutil_socket_t fd, short what, void *ctx)
{
	struct grpc *g = ctx;

	while (g->calls) {
		struct grpc_call *call = g->calls;
		const struct grpc_events *events = call->events;
		void *of = call->ctx;

		if (call->stream > 0)
			(void)nghttp2_session_set_stream_user_data(g->session,
								   call->stream, NULL);
		free_call(call);
		if (events)
			events->end(of, GRPC_UNKNOWN);
	}
	g->broken(g->ctx);
}

static void flush_session(struct grpc *g)
{
	const uint8_t *data;
	ssize_t n;

	if (g->busy || g->dead)
		return;
	g->busy = true;
	while ((n = nghttp2_session_mem_send(g->session, &data)) > 0)
		if (bufferevent_write(g->bev, data, (size_t)n)) {
			n = -1;
			break;
		}
	g->busy = false;
	if (n < 0 || (!nghttp2_session_want_read(g->session) &&
		      !nghttp2_session_want_write(g->session)))
		break_connection(g);
}

/* A length-prefixed message (gRPC over HTTP/2, "Length-Prefixed-Message"). */
static void take_messages(struct grpc_call *call)
{
	uint8_t head[PREFIX_SIZE];
	struct cursor c;
	uint32_t len;
	uint8_t flag;

	while (call->events &&
	       evbuffer_copyout(call->in, head, sizeof(head)) == sizeof(head)) {
		c = cursor_reader(head, sizeof(head));
		flag = cursor_u8(&c);
		len = cursor_u32(&c);
		/* we offer no compression */
		if (flag || len > GRPC_MESSAGE_MAX) {
			break_connection(call->g);
			return;
		}
		if (evbuffer_get_length(call->in) < PREFIX_SIZE + (size_t)len)
			return;
		(void)evbuffer_drain(call->in, PREFIX_SIZE);
		call->events->message(call->ctx,
				      len ? evbuffer_pullup(call->in, (ssize_t)len)
					  : (const uint8_t *)"",
				      len);
		(void)evbuffer_drain(call->in, len);
	}
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t stream,
		    const uint8_t *data, size_t len, void *ctx)
{
	struct grpc *g = ctx;
	struct grpc_call *call = find_call(g, stream);

	if (!call || !call->events || g->dead)
		return 0;
	if (evbuffer_add(call->in, data, len))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	take_messages(call);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
		     const uint8_t *name, size_t name_len, const uint8_t *value,
		     size_t value_len, uint8_t flags, void *ctx)
{
	struct grpc_call *call = find_call(ctx, frame->hd.stream_id);
	int status = 0;
	size_t i;

	if (!call || name_len != 11 || memcmp(name, "grpc-status", 11))
		return 0;
	if (value_len < 1 || value_len > 2)
		return 0;
	for (i = 0; i < value_len; i++) {
		if (value[i] < '0' || value[i] > '9')
			return 0;
		status = status * 10 + value[i] - '0';
	}
	call->status = status;
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error,
			   void *ctx)
{
	struct grpc_call *call = find_call(ctx, stream);
	const struct grpc_events *events;
	void *of;
	int status;

	if (!call)
		return 0;
	events = call->events;
	of = call->ctx;
	status = error ? GRPC_UNKNOWN : call->status;
	(void)nghttp2_session_set_stream_user_data(session, stream, NULL);
	free_call(call);
	if (events)
		events->end(of, status);
	return 0;
}

static ssize_t on_read_source(nghttp2_session *session, int32_t stream, uint8_t *buf,
			      size_t room, uint32_t *flags, nghttp2_data_source *source,
			      void *ctx)
{
	struct grpc_call *call = source->ptr;
	int n = evbuffer_remove(call->out, buf, room);

	if (n < 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (!evbuffer_get_length(call->out) && !call->open)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (!n) {
		call->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return n;
}

static void on_readable(struct bufferevent *bev, void *ctx)
{
	struct grpc *g = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len = evbuffer_get_contiguous_space(in);

	while (len && !g->dead) {
		ssize_t n;

		g->busy = true;
		n = nghttp2_session_mem_recv(g->session,
					     evbuffer_pullup(in, (ssize_t)len), len);
		g->busy = false;
		if (n < 0) {
			break_connection(g);
			return;
		}
		(void)evbuffer_drain(in, (size_t)n);
		len = evbuffer_get_contiguous_space(in);
	}
	flush_session(g);
}

static void on_stream_event(struct bufferevent *bev, short what, void *ctx)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		break_connection(ctx);
}

static int new_session(struct grpc *g)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_HEADERS_MAX},
	};
	nghttp2_session_callbacks *calls;
	int rc;

	if (nghttp2_session_callbacks_new(&calls))
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_chunk);
	nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
	nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_stream_close);
	rc = nghttp2_session_client_new(&g->session, calls, g);
	nghttp2_session_callbacks_del(calls);
	if (rc || nghttp2_submit_settings(g->session, NGHTTP2_FLAG_NONE, settings,
					  ARRAY_SIZE(settings)))
		return -ENOMEM;
	return nghttp2_session_set_local_window_size(g->session, NGHTTP2_FLAG_NONE, 0,
						     2 * WINDOW)
		       ? -ENOMEM
		       : 0;
}

struct grpc *grpc_new(struct bufferevent *bev, const char *authority,
		      void (*broken)(void *ctx), void *ctx)
{
	struct grpc *g = calloc(1, sizeof(*g));

	if (!g || strlen(authority) >= sizeof(g->authority))
		goto err;
	strcpy(g->authority, authority);
	g->bev = bev;
	g->broken = broken;
	g->ctx = ctx;
	g->end = event_new(bufferevent_get_base(bev), -1, 0, on_end, g);
	if (!g->end || new_session(g))
		goto err;
	bufferevent_setcb(bev, on_readable, NULL, on_stream_event, g);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	flush_session(g);
	return g;
err:
	if (g && g->end)
		event_free(g->end);
	if (g)
		nghttp2_session_del(g->session);
	free(g);
	return NULL;
}

void grpc_free(struct grpc *g)
{
	if (!g)
		return;
	while (g->calls)
		free_call(g->calls);
	nghttp2_session_del(g->session);
	event_free(g->end);
	bufferevent_free(g->bev);
	free(g);
}

static int add_message(struct grpc_call *call, const uint8_t *buf, size_t len)
{
	uint8_t head[PREFIX_SIZE];
	struct cursor c = cursor_writer(head, sizeof(head));

	cursor_put_u8(&c, 0);
	cursor_put_u32(&c, (uint32_t)len);
	if (evbuffer_add(call->out, head, sizeof(head)) ||
	    evbuffer_add(call->out, buf, len))
		return -ENOMEM;
	return 0;
}

#define HEADER(n, v)                                                  \
	{                                                             \
		(uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), \
			NGHTTP2_NV_FLAG_NONE                          \
	}

static int submit_call(struct grpc_call *call, const char *path)
{
	const nghttp2_nv headers[] = {
		HEADER(":method", "POST"),
		HEADER(":scheme", "https"),
		HEADER(":path", path),
		HEADER(":authority", call->g->authority),
		HEADER("te", "trailers"),
		HEADER("content-type", "application/grpc"),
		HEADER("user-agent", "xen-vtpm"),
		/* of etcd: a member that has lost its leader ends the call */
		HEADER("hasleader", "true"),
	};
	const nghttp2_data_provider data = {.source.ptr = call,
					    .read_callback = on_read_source};

	call->stream = nghttp2_submit_request(call->g->session, NULL, headers,
					      ARRAY_SIZE(headers), &data, call);
	return call->stream < 0 ? -ENOMEM : 0;
}

int grpc_call(struct grpc *g, const char *path, const uint8_t *buf, size_t len, bool open,
	      const struct grpc_events *events, void *ctx, struct grpc_call **out)
{
	struct grpc_call *call;
	int rc;

	if (g->dead)
		return -ENOTCONN;
	if (g->count >= GRPC_CALLS_MAX || len > GRPC_MESSAGE_MAX)
		return -EAGAIN;
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	*call = (struct grpc_call){.g = g,
				   .next = g->calls,
				   .events = events,
				   .ctx = ctx,
				   .open = open,
				   .status = GRPC_UNKNOWN};
	g->calls = call;
	g->count++;
	call->out = evbuffer_new();
	call->in = evbuffer_new();
	rc = call->out && call->in ? add_message(call, buf, len) : -ENOMEM;
	if (!rc)
		rc = submit_call(call, path);
	if (rc) {
		free_call(call);
		return rc;
	}
	*out = call;
	flush_session(g);
	return 0;
}

int grpc_send(struct grpc_call *call, const uint8_t *buf, size_t len)
{
	int rc = call->g->dead ? -ENOTCONN : add_message(call, buf, len);

	if (rc)
		return rc;
	if (call->deferred) {
		call->deferred = false;
		if (nghttp2_session_resume_data(call->g->session, call->stream))
			return -ENOTCONN;
	}
	flush_session(call->g);
	return 0;
}

void grpc_cancel(struct grpc_call *call)
{
	call->events = NULL;
	if (call->g->dead)
		return;
	(void)nghttp2_submit_rst_stream(call->g->session, NGHTTP2_FLAG_NONE, call->stream,
					NGHTTP2_CANCEL);
	flush_session(call->g);
}
