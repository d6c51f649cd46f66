/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xen/io/xenbus.h>
#include "backend/ring.h"
#include "backend/tpmif.h"
#include "include/channel.h"
#include "lib/cursor.h"
#include "lib/uuidtext.h"

#define ROOT   BACKEND_ROOT
#define ERRORS "error"
/* One leaf a guest in a stub domain; all the host's guests in dom0. */
#define LEAVES_MAX  512
#define DEVICES_MAX 8
/* A guest that writes without end must not keep us from the host's requests. */
#define ROUNDS_MAX 16

/* How long a toolstack that asked for Closed has to see it: libxl takes a leaf that
 * is gone for a failure when it has not read Closed in it. */
#define CLOSED_MS 2000

#define GUEST_GONE    0
#define GUEST_UNKNOWN (-1)

/* Of its descriptors */
enum { FD_STORE, FD_EVENTS };

struct tpmif {
	struct front front;
	struct front_config config;
	struct xen xen;
	bool shared; /* leaves with another uuid belong to other vTPMs: ignored */
	bool held;   /* its TPM moves: nothing is connected or executed */

	bool active; /* a leaf is served; the rest describes it */
	uint32_t domid;
	uint32_t devid;
	char leaf[BACKEND_PATH_MAX];
	char guest[BACKEND_PATH_MAX]; /* the guest's end, or vtpm-crb's, in domain 0 */
	bool crb;
	int state; /* what we wrote last */
	bool connected;
	bool failed;	     /* the last connect, with ref and port */
	bool seen_connected; /* the guest has been at 4 since we connected */
	uint32_t ref;
	uint32_t port;
	uint64_t remove_at; /* when the closed leaf goes, in ms; 0: it stays */

	struct ring ring;
	uint64_t commands, refused;
	struct ring_request request;
	uint8_t response[RING_PACKET_MAX];
};

static bool is_absent(int rc)
{
	/* A missing node below a folder that we may not read is -EACCES. */
	return rc == -ENOENT || rc == -EACCES;
}

static int read_node(struct tpmif *t, const char *folder, const char *name,
		     char value[static BACKEND_VALUE_MAX])
{
	char path[BACKEND_PATH_MAX * 2];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return xenstore_read(&t->xen.store, path, value, BACKEND_VALUE_MAX);
}

/* -EINVAL: not a plain decimal number of 32 bits. */
static int read_u32(struct tpmif *t, const char *folder, const char *name, uint32_t *out)
{
	char value[BACKEND_VALUE_MAX];
	unsigned long long n;
	int rc = read_node(t, folder, name, value);

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

static void write_node(struct tpmif *t, const char *folder, const char *name,
		       const char *value)
{
	char path[BACKEND_PATH_MAX * 2];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	/* Fails when the toolstack has just removed the leaf: the next look sees. */
	(void)!xenstore_write(&t->xen.store, path, value);
}

static void write_state(struct tpmif *t, const char *leaf, int state)
{
	char value[4];

	snprintf(value, sizeof(value), "%d", state & 0xf);
	write_node(t, leaf, "state", value);
}

static void set_xenbus_state(struct tpmif *t, int state)
{
	if (t->state == state)
		return;
	t->state = state;
	write_state(t, t->leaf, state);
}

/* The folder of the domain too, once it is empty. */
static void remove_leaf(struct tpmif *t, uint32_t domid, const char *leaf)
{
	char folder[BACKEND_PATH_MAX];
	uint32_t ids[1];

	write_state(t, leaf, XenbusStateClosed);
	(void)!xenstore_remove(&t->xen.store, leaf);
	snprintf(folder, sizeof(folder), ROOT "/%u", domid);
	if (xenstore_list(&t->xen.store, folder, ids, 1) == 0)
		(void)!xenstore_remove(&t->xen.store, folder);
}

/* Where xenbus has a device's errors, below the backend's own home: the leaf goes with the
 * guest that is not made.  One at most, the last: each node costs of this domain's quota. */
static void write_error(struct tpmif *t, const char *leaf, const char *why)
{
	char folder[BACKEND_PATH_MAX * 2];

	(void)!xenstore_remove(&t->xen.store, ERRORS "/" ROOT);
	snprintf(folder, sizeof(folder), ERRORS "/%s", leaf);
	write_node(t, folder, "error", why);
}

/* A toolstack that makes a guest (state Initialising) waits 10 s for InitWait, whatever else
 * it reads; it gives up at once when there is no state (libxl: "wanted state 2 but it was
 * removed"), and removes the leaf with the guest, without a wait for Closed ("already
 * removed, cleanup frontend only").  Later it waits no more, and Closed is for the guest. */
static void refuse_xenbus(struct tpmif *t, const char *leaf, uint32_t state,
			  const char *why)
{
	char path[BACKEND_PATH_MAX * 2];

	if (state == XenbusStateClosed)
		return;
	write_node(t, leaf, "error", why);
	write_error(t, leaf, why);
	if (state != XenbusStateInitialising) {
		write_state(t, leaf, XenbusStateClosed);
		return;
	}
	snprintf(path, sizeof(path), "%s/state", leaf);
	(void)!xenstore_remove(&t->xen.store, path);
}

/* The same for a leaf of which the TPM was not asked; its owner is told. */
static void refuse_unasked(struct tpmif *t, uint32_t domid, const char *leaf,
			   uint32_t state, const char *why)
{
	if (state != XenbusStateClosed)
		front_refuse(&t->front, domid, why);
	refuse_xenbus(t, leaf, state, why);
}

static void disconnect(struct tpmif *t)
{
	if (t->connected)
		ring_close(&t->ring);
	t->connected = false;
	t->failed = false;
	t->seen_connected = false;
}

static void watched_path(const struct tpmif *t, char path[static BACKEND_PATH_MAX * 2])
{
	snprintf(path, BACKEND_PATH_MAX * 2, "%s/state", t->guest);
}

static void drop(struct tpmif *t)
{
	char path[BACKEND_PATH_MAX * 2];

	disconnect(t);
	watched_path(t, path);
	(void)!xenstore_unwatch(&t->xen.store, path);
	t->active = false;
	t->remove_at = 0;
}

static void fail(struct tpmif *t, const char *why)
{
	t->failed = true;
	write_node(t, t->leaf, "error", why);
	set_xenbus_state(t, XenbusStateClosed);
}

static bool is_online(struct tpmif *t, const char *leaf)
{
	uint32_t online = 0;

	return read_u32(t, leaf, "online", &online) == 0 && online == 1;
}

static int guest_state(struct tpmif *t)
{
	uint32_t state;
	int rc = read_u32(t, t->guest, "state", &state);

	if (is_absent(rc))
		return GUEST_GONE;
	if (rc || state < XenbusStateInitialising || state > XenbusStateClosed)
		return GUEST_UNKNOWN;
	return (int)state;
}

static void connect_guest(struct tpmif *t, uint32_t ref, uint32_t port)
{
	uint32_t version = 0;

	disconnect(t);
	t->ref = ref;
	t->port = port;
	if (read_u32(t, t->guest, "feature-protocol-v2", &version) || version != 1) {
		fail(t, "the guest's TPM driver does not speak tpmif protocol 2; "
			"use a driver that writes feature-protocol-v2");
		return;
	}
	if (ring_open(&t->ring, &t->xen, t->crb ? 0 : t->domid, ref, port)) {
		fail(t, "the guest's ring-ref or event-channel cannot be used; "
			"reload the guest's TPM driver");
		return;
	}
	t->ring.tpm12 = t->config.tpm12;
	t->connected = true;
	set_xenbus_state(t, t->crb ? XenbusStateInitWait : XenbusStateConnected);
}

/* The guest is at 3 or 4: connects, unless that has been done for this page. */
static void guest_is_ready(struct tpmif *t, int guest, bool online)
{
	bool known = t->connected || t->failed;
	uint32_t ref, port;

	if (read_u32(t, t->guest, "ring-ref", &ref) ||
	    read_u32(t, t->guest, "event-channel", &port)) {
		if (t->connected || t->failed || !online)
			return;
		t->ref = t->port = UINT32_MAX;
		fail(t, "the guest's TPM driver wrote no usable ring-ref and "
			"event-channel; reload it");
		return;
	}
	if (known && ref == t->ref && port == t->port &&
	    !(t->seen_connected && guest == XenbusStateInitialised)) {
		if (t->connected && guest == XenbusStateConnected)
			t->seen_connected = true;
		return;
	}
	if (!online)
		return;
	connect_guest(t, ref, port);
	t->seen_connected = t->connected && guest == XenbusStateConnected;
}

static void end_leaf(struct tpmif *t)
{
	disconnect(t);
	set_xenbus_state(t, XenbusStateClosed);
	remove_leaf(t, t->domid, t->leaf);
	drop(t);
}

/* due: t->remove_at as the last look left it. */
static void guest_is_closed(struct tpmif *t, bool online, uint64_t due)
{
	uint64_t now = xen_now_ms();

	disconnect(t);
	set_xenbus_state(t, XenbusStateClosed);
	if (online)
		return;
	t->remove_at = due ? due : now + CLOSED_MS;
	if (now >= t->remove_at)
		end_leaf(t);
}

static void guest_is_starting(struct tpmif *t, bool online, uint64_t due)
{
	if (!online) {
		guest_is_closed(t, online, due);
		return;
	}
	disconnect(t);
	set_xenbus_state(t, XenbusStateInitWait);
}

/* The leaf stays at InitWait, for which the toolstack waits before it lets an HVM guest
 * run: its TPM has to be on the board by then. */
static void follow_crb(struct tpmif *t, int guest, bool online, uint64_t due)
{
	if (!online && guest == GUEST_GONE)
		end_leaf(t);
	else if (!online || guest == XenbusStateClosed)
		guest_is_closed(t, online, due);
	else if (guest == XenbusStateInitialised)
		guest_is_ready(t, guest, online);
}

/* While its TPM moves: a guest that is suspended, or not there yet, writes nothing, and what
 * it finds afterwards has to be what it left; one that is destroyed is not waited for. */
static void follow_held(struct tpmif *t)
{
	if (guest_state(t) == GUEST_GONE)
		end_leaf(t);
}

static void follow(struct tpmif *t, bool online, uint64_t due)
{
	int guest = guest_state(t);

	if (t->crb) {
		follow_crb(t, guest, online, due);
		return;
	}
	switch (guest) {
	case XenbusStateInitialising:
	case XenbusStateInitWait:
		guest_is_starting(t, online, due);
		break;
	case XenbusStateInitialised:
	case XenbusStateConnected:
		guest_is_ready(t, guest, online);
		if (!online && !t->connected)
			guest_is_closed(t, online, due);
		break;
	case XenbusStateClosing:
		disconnect(t);
		set_xenbus_state(t, XenbusStateClosing);
		break;
	case XenbusStateClosed:
		guest_is_closed(t, online, due);
		break;
	case GUEST_GONE: /* destroyed: the toolstack does not wait for Closed */
		if (online)
			guest_is_closed(t, online, due);
		else
			end_leaf(t);
		break;
	default:
		break;
	}
}

static void update_active(struct tpmif *t)
{
	char value[BACKEND_VALUE_MAX];
	bool online = is_online(t, t->leaf);
	uint64_t due = t->remove_at;

	/* Each look sets the deadline again when what it waits for still holds, so that
	 * one that has passed is met or gone, whatever the guest wrote meanwhile: else
	 * tpmif_timeout() would be 0 for ever. */
	t->remove_at = 0;
	if (t->held && online)
		return;
	if (is_absent(read_node(t, t->leaf, "frontend", value)))
		drop(t);
	else if (t->held)
		follow_held(t);
	else
		follow(t, online, due);
}

static void adopt_xenbus(struct tpmif *t, const struct front_guest *g, uint32_t devid,
			 const char *leaf, uint32_t state)
{
	char path[BACKEND_PATH_MAX * 2];
	const char *why = "the vTPM cannot be started for this guest; see `vtpmctl show`";
	enum front_firmware firmware;

	if (read_node(t, leaf, "frontend", t->guest) || t->guest[0] != '/')
		return;
	if (front_adopt(&t->front, g, &firmware, &why)) {
		refuse_xenbus(t, leaf, state, why);
		return;
	}
	snprintf(t->leaf, sizeof(t->leaf), "%s", leaf);
	t->active = true;
	t->domid = g->domid;
	t->devid = devid;
	t->state = XenbusStateInitialising;
	t->crb = firmware == FRONT_FIRMWARE_GUEST;
	if (t->crb)
		snprintf(t->guest, sizeof(t->guest), CHANNEL_CRB_NODES "/%u", g->domid);
	/* Before InitWait: a driver may look as soon as it sees that. */
	if (!t->crb)
		write_node(t, t->leaf, "feature-protocol-v2", "1");
	/* one that comes with its TPM has its board when that is there */
	if (!t->crb || t->held)
		set_xenbus_state(t, XenbusStateInitWait);
	/* Behind InitWait, for which a guest that moves stands still; it fires once by itself,
	 * so that nothing is missed. */
	watched_path(t, path);
	(void)!xenstore_watch(&t->xen.store, path);
	update_active(t);
}

/* A leaf that is not served: takes it, refuses it, or removes it. */
static void consider(struct tpmif *t, uint32_t domid, uint32_t devid, const char *leaf)
{
	struct front_guest guest = {.domid = domid};
	char uuid[BACKEND_VALUE_MAX];
	uint8_t device[UUIDTEXT_SIZE];
	bool ours;
	uint32_t state;

	if (read_node(t, leaf, "uuid", uuid) || read_u32(t, leaf, "state", &state))
		return;
	ours = strcasecmp(uuid, t->config.uuid) == 0;
	if (!ours && t->shared)
		return;
	/* libxl's, when the guest's vtpm line has none, or another vTPM's: its owner knows */
	if (!ours && !uuidtext_parse(uuid, device) && uuidtext_is_random(device))
		guest.device = device;
	if (!is_online(t, leaf))
		remove_leaf(t, domid, leaf);
	else if (!ours && !guest.device)
		refuse_unasked(
			t, domid, leaf, state,
			"this backend holds the vTPM of another uuid; correct backend= "
			"or uuid= in the guest's vtpm line");
	else if (state > XenbusStateInitWait)
		refuse_unasked(
			t, domid, leaf, state,
			"this vTPM was restarted while the guest ran, and its PCRs are "
			"lost; restart the guest");
	else if (t->active)
		refuse_unasked(
			t, domid, leaf, state,
			"this vTPM is in use by another guest; give each guest its own");
	else
		adopt_xenbus(t, &guest, devid, leaf, state);
}

static void look(struct tpmif *t)
{
	uint32_t domids[LEAVES_MAX], devids[DEVICES_MAX];
	char path[BACKEND_PATH_MAX];
	int n, m;

	if (t->active)
		update_active(t);
	n = xenstore_list(&t->xen.store, ROOT, domids, LEAVES_MAX);
	for (int i = 0; i < n && i < LEAVES_MAX; i++) {
		snprintf(path, sizeof(path), ROOT "/%u", domids[i]);
		m = xenstore_list(&t->xen.store, path, devids, DEVICES_MAX);
		for (int j = 0; j < m && j < DEVICES_MAX; j++) {
			if (t->active && t->domid == domids[i] && t->devid == devids[j])
				continue;
			snprintf(path, sizeof(path), ROOT "/%u/%u", domids[i], devids[j]);
			consider(t, domids[i], devids[j], path);
		}
	}
}

static struct tpmif *tpmif_of(const struct front *f)
{
	return (struct tpmif *)f;
}

/* When to look although no watch fired: ms from now, -1: never.  0 is never left behind
 * by follow_guest(), so that the owner cannot poll in a circle. */
static int tpmif_timeout(const struct front *f)
{
	const struct tpmif *t = tpmif_of(f);
	uint64_t now;

	if (!t->remove_at)
		return -1;
	now = xen_now_ms();
	return now >= t->remove_at ? 0 : (int)(t->remove_at - now);
}

/* Looks at the tree, and again while events come in. -errno: xenstore is lost. */
static int follow_guest(struct tpmif *t)
{
	int rc;

	if (tpmif_timeout(&t->front) == 0)
		update_active(t);
	for (int round = 0; round < ROUNDS_MAX; round++) {
		rc = xenstore_changed(&t->xen.store);
		if (rc <= 0)
			return rc;
		look(t);
	}
	/* A new watch fires once by itself: the next poll() leads back here. */
	(void)!xenstore_unwatch(&t->xen.store, ROOT);
	return xenstore_watch(&t->xen.store, ROOT);
}

static bool locality_allowed(const struct tpmif *t, uint8_t locality)
{
	return locality < 5 && (t->config.localities >> locality & 1);
}

static size_t error_response(struct tpmif *t, uint32_t code)
{
	ring_error(t->response, code, t->config.tpm12);
	return RING_TPM_HEADER_SIZE;
}

/* Has the TPM answer the request; returns the response's length. */
static size_t execute(struct tpmif *t)
{
	const struct front_tpm *tpm = &t->front.all->tpm;
	const struct ring_request *q = &t->request;
	size_t len = sizeof(t->response);

	t->commands++;
	if (tpm->execute(tpm->ctx, q->locality, q->packet, q->len, t->response, &len) ||
	    len < RING_TPM_HEADER_SIZE || len > ring_room(q))
		return error_response(t, TPM2_RC_FAILURE);
	return len;
}

static size_t answer(struct tpmif *t)
{
	const struct ring_request *q = &t->request;
	struct cursor c = cursor_reader(q->packet, q->len);
	uint32_t size;

	(void)cursor_u16(&c);
	size = cursor_u32(&c);
	if (!locality_allowed(t, q->locality)) {
		t->refused++;
		return error_response(t, TPM2_RC_LOCALITY);
	}
	if (!cursor_ok(&c) || size != q->len) {
		t->refused++;
		return error_response(t, TPM2_RC_COMMAND_SIZE);
	}
	return execute(t);
}

static void serve(struct tpmif *t)
{
	size_t len;
	int rc;

	if (!t->connected || t->held || t->front.all->ended)
		return;
	rc = ring_take(&t->ring, &t->request);
	if (rc == -EBADMSG)
		t->refused++;
	if (rc)
		return;
	len = answer(t);
	if (!t->front.all->ended)
		ring_put(&t->ring, &t->request, t->response, len);
	/* A guest's secrets pass through here, also when an error was shown instead. */
	explicit_bzero(t->request.packet, t->request.len);
	explicit_bzero(t->response, sizeof(t->response));
}

static int tpmif_open(struct front *f, const struct front_config *config)
{
	struct tpmif *t = tpmif_of(f);
	int rc;

	t->config = *config;
	rc = xenstore_watch(&t->xen.store, ROOT);
	if (rc)
		return rc;
	look(t);
	rc = follow_guest(t);
	if (!rc)
		serve(t);
	return rc;
}

static nfds_t tpmif_pollfds(struct front *f, struct pollfd fds[static FRONT_POLLFDS])
{
	struct tpmif *t = tpmif_of(f);

	fds[FD_STORE] = (struct pollfd){.fd = t->xen.store.fd, .events = POLLIN};
	fds[FD_EVENTS] = (struct pollfd){.fd = xen_event_fd(&t->xen), .events = POLLIN};
	return 2;
}

/* Serves at most one command.  -errno: event channels are lost. */
static int take_event(struct tpmif *t)
{
	uint32_t port;
	int rc = xen_pending(&t->xen, &port);

	if (rc)
		return rc == -EAGAIN ? 0 : rc;
	/* Before the look at the page, so that no later event is lost. */
	xen_unmask(&t->xen, port);
	serve(t);
	return 0;
}

static int tpmif_ready(struct front *f, const struct pollfd *fds)
{
	struct tpmif *t = tpmif_of(f);
	int rc = fds[FD_EVENTS].revents ? take_event(t) : 0;

	if (rc || (!fds[FD_STORE].revents && tpmif_timeout(f) != 0))
		return rc;
	rc = follow_guest(t);
	/* A driver submits during its probe, before it knows that we are there;
	 * that event is lost. */
	serve(t);
	return rc;
}

static void tpmif_hold(struct front *f, bool held)
{
	struct tpmif *t = tpmif_of(f);

	t->held = held;
	if (held)
		return;
	/* what its guest did meanwhile, and a command whose event was taken then; leaves were
	 * looked at as they came, and each look costs a guest that goes on some of its standstill */
	if (t->active)
		update_active(t);
	serve(t);
}

static void tpmif_check_cancel(struct front *f)
{
	const struct front_tpm *tpm = &f->all->tpm;
	struct tpmif *t = tpmif_of(f);

	if (t->connected && ring_cancelled(&t->ring))
		tpm->cancel(tpm->ctx);
}

static void tpmif_stats(const struct front *f, struct front_stats *s)
{
	const struct tpmif *t = tpmif_of(f);

	*s = (struct front_stats){
		.commands = t->commands,
		.refused = t->refused,
		.present = t->active,
		.connected = t->connected,
		.domid = t->domid,
	};
}

/* Disconnects, writes Closed (6), removes the watches. */
static void tpmif_close(struct front *f)
{
	struct tpmif *t = tpmif_of(f);

	if (t->active) {
		disconnect(t);
		set_xenbus_state(t, XenbusStateClosed);
		drop(t);
	}
	(void)!xenstore_unwatch(&t->xen.store, ROOT);
	xen_close(&t->xen);
	free(t);
}

static const struct front_ops tpmif_ops = {
	.firmware = FRONT_FIRMWARE_MANAGER,
	.open = tpmif_open,
	.pollfds = tpmif_pollfds,
	.ready = tpmif_ready,
	.timeout = tpmif_timeout,
	.check_cancel = tpmif_check_cancel,
	.hold = tpmif_hold,
	.stats = tpmif_stats,
	.close = tpmif_close,
};

int tpmif_front(struct front **f, bool shared_domain, struct error *e)
{
	struct tpmif *t = calloc(1, sizeof(*t));
	int rc = t ? xen_open(&t->xen) : -ENOMEM;

	if (rc) {
		free(t);
		return error_set(e, rc, CAUSE_INTERNAL,
				 "/dev/xen/{xenbus,evtchn,gntdev} cannot be used: %s",
				 strerror(-rc));
	}
	t->front.ops = &tpmif_ops;
	t->shared = shared_domain;
	*f = &t->front;
	return 0;
}
