/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "backend/backend.h"
#include "backend/ring.h"
#include "backend/xenbus.h"
#include "lib/cursor.h"

struct backend {
	struct backend_config config;
	struct backend_engine engine;
	const struct backend_ops *ops;
	void *ctx;
	struct xenbus xenbus;
	struct ring ring;
	uint64_t commands, refused;
	struct ring_request request;
	uint8_t response[RING_PACKET_MAX];
};

static int adopt_backend(void *ctx, uint32_t domid, const char **why)
{
	struct backend *b = ctx;

	return b->engine.adopt(b->engine.ctx, domid, why);
}

static int connect_ring(void *ctx, uint32_t domid, uint32_t ref, uint32_t port)
{
	struct backend *b = ctx;
	int rc = ring_open(&b->ring, b->ops, b->ctx, domid, ref, port);

	b->ring.tpm12 = b->config.tpm12;
	return rc;
}

static void disconnect_ring(void *ctx)
{
	struct backend *b = ctx;

	ring_close(&b->ring);
}

static bool locality_allowed(const struct backend *b, uint8_t locality)
{
	return locality < 5 && (b->config.localities >> locality & 1);
}

static size_t error_response(struct backend *b, uint32_t code)
{
	ring_error(b->response, code, b->config.tpm12);
	return RING_TPM_HEADER_SIZE;
}

/* Has the engine answer the request; returns the response's length. */
static size_t execute(struct backend *b)
{
	const struct ring_request *q = &b->request;
	size_t len = sizeof(b->response);

	b->commands++;
	if (b->engine.execute(b->engine.ctx, q->locality, q->packet, q->len, b->response,
			      &len) ||
	    len < RING_TPM_HEADER_SIZE || len > ring_room(q))
		return error_response(b, TPM2_RC_FAILURE);
	return len;
}

static size_t answer(struct backend *b)
{
	const struct ring_request *q = &b->request;
	struct cursor c = cursor_reader(q->packet, q->len);
	uint32_t size;

	(void)cursor_u16(&c);
	size = cursor_u32(&c);
	if (!locality_allowed(b, q->locality)) {
		b->refused++;
		return error_response(b, TPM2_RC_LOCALITY);
	}
	if (!cursor_ok(&c) || size != q->len) {
		b->refused++;
		return error_response(b, TPM2_RC_COMMAND_SIZE);
	}
	return execute(b);
}

static void serve(struct backend *b)
{
	size_t len;
	int rc;

	if (!b->xenbus.connected)
		return;
	rc = ring_take(&b->ring, &b->request);
	if (rc == -EBADMSG)
		b->refused++;
	if (rc)
		return;
	len = answer(b);
	ring_put(&b->ring, &b->request, b->response, len);
	/* A guest's secrets pass through here, also when an error was shown instead. */
	explicit_bzero(b->request.packet, b->request.len);
	explicit_bzero(b->response, sizeof(b->response));
}

int backend_open(struct backend **b, const struct backend_config *config,
		 const struct backend_engine *engine, const struct backend_ops *ops,
		 void *ops_ctx)
{
	struct backend *n = calloc(1, sizeof(*n));
	struct xenbus_client client = {n, adopt_backend, connect_ring, disconnect_ring};
	int rc;

	*b = NULL;
	if (!n)
		return -ENOMEM;
	n->config = *config;
	n->config.uuid[sizeof(n->config.uuid) - 1] = '\0';
	n->engine = *engine;
	n->ops = ops;
	n->ctx = ops_ctx;
	rc = xenbus_open(&n->xenbus, ops, ops_ctx, &client, n->config.uuid,
			 config->shared_domain);
	if (rc) {
		backend_close(n);
		return rc;
	}
	serve(n);
	*b = n;
	return 0;
}

void backend_close(struct backend *b)
{
	if (!b)
		return;
	xenbus_close(&b->xenbus);
	free(b);
}

void backend_pollfds(struct backend *b, struct pollfd fds[static BACKEND_POLLFDS])
{
	fds[0] = (struct pollfd){.fd = b->ops->xs_fd(b->ctx), .events = POLLIN};
	fds[1] = (struct pollfd){.fd = b->ops->event_fd(b->ctx), .events = POLLIN};
}

int backend_timeout(const struct backend *b)
{
	return xenbus_timeout(&b->xenbus);
}

int backend_xenstore_ready(struct backend *b)
{
	int rc = xenbus_update(&b->xenbus);

	/* A driver submits during its probe, before it knows that we are there;
	 * that event is lost. */
	serve(b);
	return rc;
}

int backend_ring_ready(struct backend *b)
{
	uint32_t port;
	int rc = b->ops->pending(b->ctx, &port);

	if (rc)
		return rc == -EAGAIN ? 0 : rc;
	/* Before the look at the page, so that no later event is lost. */
	rc = b->ops->unmask(b->ctx, port);
	if (rc)
		return rc;
	serve(b);
	return 0;
}

void backend_check_cancel(struct backend *b)
{
	if (b->xenbus.connected && ring_cancelled(&b->ring))
		b->engine.cancel(b->engine.ctx);
}

void backend_stats(const struct backend *b, struct backend_stats *s)
{
	*s = (struct backend_stats){
		.commands = b->commands,
		.refused = b->refused,
		.present = b->xenbus.active,
		.connected = b->xenbus.connected,
		.domid = b->xenbus.domid,
	};
}
