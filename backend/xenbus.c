/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xen/io/xenbus.h>
#include "backend/xenbus.h"

#define ROOT BACKEND_ROOT
/* One leaf a guest in a stub domain; all the host's guests in dom0. */
#define LEAVES_MAX  512
#define DEVICES_MAX 8
/* A guest that writes without end must not keep us from the host's requests. */
#define ROUNDS_MAX 16

/* How long a toolstack that asked for Closed has to see it: libxl takes a leaf that
 * is gone for a failure when it has not read Closed in it. */
#define CLOSED_MS 2000

#define FRONT_GONE    0
#define FRONT_UNKNOWN (-1)

static bool is_absent(int rc)
{
	/* A missing node below a folder that we may not read is -EACCES. */
	return rc == -ENOENT || rc == -EACCES;
}

static int read_node(struct xenbus *x, const char *folder, const char *name,
		     char value[static BACKEND_VALUE_MAX])
{
	char path[BACKEND_PATH_MAX * 2];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return x->ops->xs_read(x->ctx, path, value, BACKEND_VALUE_MAX);
}

/* -EINVAL: not a plain decimal number of 32 bits. */
static int read_u32(struct xenbus *x, const char *folder, const char *name, uint32_t *out)
{
	char value[BACKEND_VALUE_MAX];
	unsigned long long n;
	int rc = read_node(x, folder, name, value);

	if (rc)
		return rc;
	if (!*value || strlen(value) > 10 || strspn(value, "0123456789") != strlen(value))
		return -EINVAL;
	n = strtoull(value, NULL, 10);
	if (n > UINT32_MAX)
		return -EINVAL;
	*out = (uint32_t)n;
	return 0;
}

static void write_node(struct xenbus *x, const char *folder, const char *name,
		       const char *value)
{
	char path[BACKEND_PATH_MAX * 2];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	/* Fails when the toolstack has just removed the leaf: the next look sees. */
	(void)x->ops->xs_write(x->ctx, path, value);
}

static void write_state(struct xenbus *x, const char *leaf, int state)
{
	char value[4];

	snprintf(value, sizeof(value), "%d", state & 0xf);
	write_node(x, leaf, "state", value);
}

static void set_xenbus_state(struct xenbus *x, int state)
{
	if (x->state == state)
		return;
	x->state = state;
	write_state(x, x->leaf, state);
}

/* The folder of the domain too, once it is empty. */
static void remove_leaf(struct xenbus *x, uint32_t domid, const char *leaf)
{
	char folder[BACKEND_PATH_MAX];
	uint32_t ids[1];

	write_state(x, leaf, XenbusStateClosed);
	(void)x->ops->xs_remove(x->ctx, leaf);
	snprintf(folder, sizeof(folder), ROOT "/%u", domid);
	if (x->ops->xs_list(x->ctx, folder, ids, 1) == 0)
		(void)x->ops->xs_remove(x->ctx, folder);
}

static void refuse_xenbus(struct xenbus *x, const char *leaf, uint32_t state,
			  const char *why)
{
	if (state == XenbusStateClosed)
		return;
	write_node(x, leaf, "error", why);
	write_state(x, leaf, XenbusStateClosed);
}

static void disconnect(struct xenbus *x)
{
	if (x->connected)
		x->client.disconnect(x->client.ctx);
	x->connected = false;
	x->failed = false;
	x->seen_connected = false;
}

static void watched_path(const struct xenbus *x, char path[static BACKEND_PATH_MAX * 2])
{
	snprintf(path, BACKEND_PATH_MAX * 2, "%s/state", x->front);
}

static void drop(struct xenbus *x)
{
	char path[BACKEND_PATH_MAX * 2];

	disconnect(x);
	watched_path(x, path);
	(void)x->ops->xs_unwatch(x->ctx, path);
	x->active = false;
	x->remove_at = 0;
}

static void fail(struct xenbus *x, const char *why)
{
	x->failed = true;
	write_node(x, x->leaf, "error", why);
	set_xenbus_state(x, XenbusStateClosed);
}

static bool is_online(struct xenbus *x, const char *leaf)
{
	uint32_t online = 0;

	return read_u32(x, leaf, "online", &online) == 0 && online == 1;
}

static int front_state(struct xenbus *x)
{
	uint32_t state;
	int rc = read_u32(x, x->front, "state", &state);

	if (is_absent(rc))
		return FRONT_GONE;
	if (rc || state < XenbusStateInitialising || state > XenbusStateClosed)
		return FRONT_UNKNOWN;
	return (int)state;
}

static void connect_front(struct xenbus *x, uint32_t ref, uint32_t port)
{
	uint32_t version = 0;

	disconnect(x);
	x->ref = ref;
	x->port = port;
	if (read_u32(x, x->front, "feature-protocol-v2", &version) || version != 1) {
		fail(x, "the guest's TPM driver does not speak tpmif protocol 2; "
			"use a driver that writes feature-protocol-v2");
		return;
	}
	if (x->client.connect(x->client.ctx, x->domid, ref, port)) {
		fail(x, "the guest's ring-ref or event-channel cannot be used; "
			"reload the guest's TPM driver");
		return;
	}
	x->connected = true;
	set_xenbus_state(x, XenbusStateConnected);
}

/* The guest is at 3 or 4: connects, unless that has been done for this page. */
static void front_is_ready(struct xenbus *x, int front, bool online)
{
	bool known = x->connected || x->failed;
	uint32_t ref, port;

	if (read_u32(x, x->front, "ring-ref", &ref) ||
	    read_u32(x, x->front, "event-channel", &port)) {
		if (x->connected || x->failed || !online)
			return;
		x->ref = x->port = UINT32_MAX;
		fail(x, "the guest's TPM driver wrote no usable ring-ref and "
			"event-channel; reload it");
		return;
	}
	if (known && ref == x->ref && port == x->port &&
	    !(x->seen_connected && front == XenbusStateInitialised)) {
		if (x->connected && front == XenbusStateConnected)
			x->seen_connected = true;
		return;
	}
	if (!online)
		return;
	connect_front(x, ref, port);
	x->seen_connected = x->connected && front == XenbusStateConnected;
}

static void end_leaf(struct xenbus *x)
{
	disconnect(x);
	set_xenbus_state(x, XenbusStateClosed);
	remove_leaf(x, x->domid, x->leaf);
	drop(x);
}

/* due: x->remove_at as the last look left it. */
static void front_is_closed(struct xenbus *x, bool online, uint64_t due)
{
	uint64_t now = x->ops->now_ms(x->ctx);

	disconnect(x);
	set_xenbus_state(x, XenbusStateClosed);
	if (online)
		return;
	x->remove_at = due ? due : now + CLOSED_MS;
	if (now >= x->remove_at)
		end_leaf(x);
}

static void front_is_starting(struct xenbus *x, bool online, uint64_t due)
{
	if (!online) {
		front_is_closed(x, online, due);
		return;
	}
	disconnect(x);
	set_xenbus_state(x, XenbusStateInitWait);
}

static void update_active(struct xenbus *x)
{
	char value[BACKEND_VALUE_MAX];
	int rc = read_node(x, x->leaf, "frontend", value);
	bool online = is_online(x, x->leaf);
	uint64_t due = x->remove_at;
	int front;

	/* Each look sets the deadline again when what it waits for still holds, so that
	 * one that has passed is met or gone, whatever the guest wrote meanwhile: else
	 * xenbus_timeout() would be 0 for ever. */
	x->remove_at = 0;
	if (is_absent(rc)) {
		drop(x);
		return;
	}
	front = front_state(x);
	switch (front) {
	case XenbusStateInitialising:
	case XenbusStateInitWait:
		front_is_starting(x, online, due);
		break;
	case XenbusStateInitialised:
	case XenbusStateConnected:
		front_is_ready(x, front, online);
		if (!online && !x->connected)
			front_is_closed(x, online, due);
		break;
	case XenbusStateClosing:
		disconnect(x);
		set_xenbus_state(x, XenbusStateClosing);
		break;
	case XenbusStateClosed:
		front_is_closed(x, online, due);
		break;
	case FRONT_GONE: /* destroyed: nobody looks for Closed any more */
		if (online)
			front_is_closed(x, online, due);
		else
			end_leaf(x);
		break;
	default:
		break;
	}
}

static void adopt_xenbus(struct xenbus *x, uint32_t domid, uint32_t devid,
			 const char *leaf)
{
	char path[BACKEND_PATH_MAX * 2];
	const char *why = "the vTPM cannot be started for this guest; see `vtpmctl show`";

	if (read_node(x, leaf, "frontend", x->front) || x->front[0] != '/')
		return;
	if (x->client.adopt(x->client.ctx, domid, &why)) {
		refuse_xenbus(x, leaf, 0, why);
		return;
	}
	snprintf(x->leaf, sizeof(x->leaf), "%s", leaf);
	x->active = true;
	x->domid = domid;
	x->devid = devid;
	x->state = XenbusStateInitialising;
	watched_path(x, path);
	(void)x->ops->xs_watch(x->ctx, path);
	/* Before InitWait: a driver may look as soon as it sees that. */
	write_node(x, x->leaf, "feature-protocol-v2", "1");
	set_xenbus_state(x, XenbusStateInitWait);
	update_active(x);
}

/* A leaf that is not served: takes it, refuses it, or removes it. */
static void consider(struct xenbus *x, uint32_t domid, uint32_t devid, const char *leaf)
{
	char uuid[BACKEND_VALUE_MAX];
	bool ours;
	uint32_t state;

	if (read_node(x, leaf, "uuid", uuid) || read_u32(x, leaf, "state", &state))
		return;
	ours = strcasecmp(uuid, x->uuid) == 0;
	if (!ours && x->shared)
		return;
	if (!is_online(x, leaf))
		remove_leaf(x, domid, leaf);
	else if (!ours)
		refuse_xenbus(
			x, leaf, state,
			"this backend holds the vTPM of another uuid; correct backend= "
			"or uuid= in the guest's vtpm line");
	else if (state > XenbusStateInitWait)
		refuse_xenbus(
			x, leaf, state,
			"this vTPM was restarted while the guest ran, and its PCRs are "
			"lost; restart the guest");
	else if (x->active)
		refuse_xenbus(
			x, leaf, state,
			"this vTPM is in use by another guest; give each guest its own");
	else
		adopt_xenbus(x, domid, devid, leaf);
}

static void look(struct xenbus *x)
{
	uint32_t domids[LEAVES_MAX], devids[DEVICES_MAX];
	char path[BACKEND_PATH_MAX];
	int n, m;

	if (x->active)
		update_active(x);
	n = x->ops->xs_list(x->ctx, ROOT, domids, LEAVES_MAX);
	for (int i = 0; i < n && i < LEAVES_MAX; i++) {
		snprintf(path, sizeof(path), ROOT "/%u", domids[i]);
		m = x->ops->xs_list(x->ctx, path, devids, DEVICES_MAX);
		for (int j = 0; j < m && j < DEVICES_MAX; j++) {
			if (x->active && x->domid == domids[i] && x->devid == devids[j])
				continue;
			snprintf(path, sizeof(path), ROOT "/%u/%u", domids[i], devids[j]);
			consider(x, domids[i], devids[j], path);
		}
	}
}

int xenbus_timeout(const struct xenbus *x)
{
	uint64_t now;

	if (!x->remove_at)
		return -1;
	now = x->ops->now_ms(x->ctx);
	return now >= x->remove_at ? 0 : (int)(x->remove_at - now);
}

int xenbus_update(struct xenbus *x)
{
	int rc;

	if (xenbus_timeout(x) == 0)
		update_active(x);
	for (int round = 0; round < ROUNDS_MAX; round++) {
		rc = x->ops->xs_changed(x->ctx);
		if (rc <= 0)
			return rc;
		look(x);
	}
	/* A new watch fires once by itself: the next poll() leads back here. */
	(void)x->ops->xs_unwatch(x->ctx, ROOT);
	return x->ops->xs_watch(x->ctx, ROOT);
}

int xenbus_open(struct xenbus *x, const struct backend_ops *ops, void *ctx,
		const struct xenbus_client *client, const char *uuid, bool shared)
{
	int rc;

	memset(x, 0, sizeof(*x));
	x->ops = ops;
	x->ctx = ctx;
	x->client = *client;
	x->uuid = uuid;
	x->shared = shared;
	rc = ops->xs_watch(ctx, ROOT);
	if (rc)
		return rc;
	look(x);
	return xenbus_update(x);
}

void xenbus_close(struct xenbus *x)
{
	if (x->active) {
		disconnect(x);
		set_xenbus_state(x, XenbusStateClosed);
		drop(x);
	}
	(void)x->ops->xs_unwatch(x->ctx, ROOT);
}
