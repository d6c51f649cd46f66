/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backend's side of xenbus: finds the guest that the toolstack gave this vTPM
 * to, and follows it through connect, close, reboot, detach and attach.
 *
 * The toolstack makes backend/vtpm/DOMID/DEVID ("the leaf"; frontend, online,
 * state, uuid) below this domain's home and device/vtpm/DEVID below the guest's,
 * and waits for some seconds for our state InitWait.  One leaf is served at a time.
 *
 * Every event leads to the same look at the whole tree, so that no order of
 * events and no lost one matters.  What the guest's state means:
 *
 *   guest's state        online   what we do
 *   1, 2 starting          1      disconnect if need be, InitWait (2)
 *   3, 4 with a new page   1      connect, Connected (4); on failure Closed (6)
 *                                 and a sentence in the leaf's "error"
 *   3, 4 unchanged        0, 1    go on serving: after a detach (online 0) a
 *                                 driver still sends TPM2_Shutdown
 *   5 closing             0, 1    disconnect, Closing (5)
 *   6 closed, or gone      1      disconnect, Closed (6); wait for 1 or 3
 *   6 closed               0      disconnect, Closed (6); some seconds later, when
 *                                 the toolstack has seen that, remove the leaf,
 *                                 for which it waits then
 *   1, 2; 3, 4 unconnected 0      the same
 *   gone                   0      the same at once
 *   anything else                 nothing
 *
 * The seconds until the leaf's removal count while each look finds the guest in a
 * state of "remove the leaf"; any other state ends them.
 *
 * Refused with Closed (6) and a sentence in "error": a leaf with the uuid of
 * another vTPM, a second leaf while one is served, that of a guest that was not
 * measured when only such are served, and a leaf that an earlier
 * process served (its TPM has lost the PCRs that the guest goes on trusting, and
 * a guest must not gain fresh PCRs by crashing its vTPM).
 */
#ifndef XVTPM_BACKEND_XENBUS_H
#define XVTPM_BACKEND_XENBUS_H

#include <stdbool.h>
#include "compiler.h"
#include "backend/ops.h"

/* What the machine asks of the backend. */
struct xenbus_client {
	void *ctx;
	/* A leaf of domain domid will be served: the TPM gets ready for it.  Fails with
	 * *why, a sentence for the leaf's "error". */
	int (*adopt)(void *ctx, uint32_t domid, const char **why);
	int (*connect)(void *ctx, uint32_t domid, uint32_t ref, uint32_t port);
	void (*disconnect)(void *ctx);
};

struct xenbus {
	const struct backend_ops *ops;
	void *ctx;
	struct xenbus_client client;
	const char *uuid;
	bool shared; /* leaves with another uuid belong to other vTPMs: ignored */

	bool active; /* a leaf is served; the rest describes it */
	uint32_t domid;
	uint32_t devid;
	char leaf[BACKEND_PATH_MAX];
	char front[BACKEND_PATH_MAX];
	int state; /* what we wrote last */
	bool connected;
	bool failed;	     /* the last connect, with ref and port */
	bool seen_connected; /* the guest has been at 4 since we connected */
	uint32_t ref;
	uint32_t port;
	uint64_t remove_at; /* when the closed leaf goes, in ms; 0: it stays */
};

/* Starts to watch and looks for a guest.  uuid must live as long as x. */
int __must_check xenbus_open(struct xenbus *x, const struct backend_ops *ops, void *ctx,
			     const struct xenbus_client *client, const char *uuid,
			     bool shared);
/* Disconnects, leaves Closed (6) behind, stops to watch. */
void xenbus_close(struct xenbus *x);
/* When to call xenbus_update() although no watch fired: ms from now, -1: never.  0
 * is never left behind by xenbus_update(), so that the owner cannot poll in a circle. */
int xenbus_timeout(const struct xenbus *x);
/* Looks at the tree, and again while events come in. -errno: xenstore is lost. */
int __must_check xenbus_update(struct xenbus *x);

#endif
