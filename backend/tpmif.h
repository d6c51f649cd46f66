/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front (stubdom/manager/front.h) of a Xen guest: finds the guest that the toolstack
 * gave this vTPM to, follows it through connect, close, reboot, detach and attach, takes
 * its commands from the ring, has the TPM run them, publishes the responses.
 *
 * Open it when the TPM can serve: the toolstack waits only 10 s for a backend.
 *
 *   no guest -> (leaf) adopted -> connected -> closed -> ...
 *
 * The TPM is asked for each leaf, before the guest sees a backend: its owner knows domains
 * by more than their numbers, and whether one that comes goes on with the TPM as it is
 * (a driver that is reloaded does not even ask: its leaf stays).
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
 * While the TPM is held, as it moves to another host or comes from one, a guest that it is
 * given to gets InitWait, for which the toolstack waits, and nothing else; one that is served
 * keeps its page.  Then all goes on as the guest's state says: a guest that was moved renews
 * its page, and one that was suspended in vain goes on with the old one.
 *
 * Refused, with a sentence in "error" of the leaf and, which stays when that goes, of
 * error/backend/vtpm/DOMID/DEVID below this domain's home: a leaf with the uuid of
 * another vTPM (of one that may be libxl's own, as the guest's line has none, the owner
 * decides), a second leaf while one is served, that of a guest that was not
 * measured when only such are served, and a leaf that an earlier
 * process served (its TPM has lost the PCRs that the guest goes on trusting, and
 * a guest must not gain fresh PCRs by crashing its vTPM).  A leaf that is new (state 1)
 * loses its node "state", so that the toolstack does not make the guest, and does not
 * wait; another one gets Closed (6).
 */
#ifndef XVTPM_BACKEND_TPMIF_H
#define XVTPM_BACKEND_TPMIF_H

#include <stdbool.h>
#include "compiler.h"
#include "lib/error.h"
#include "stubdom/manager/front.h"

/* Opens Xen's devices.  shared_domain: several vTPMs live in this domain (dom0): leaves
 * with another uuid are theirs and left alone.  In a stub domain they are refused.
 * When it closes, the guest is told with Closed (6). */
int __must_check tpmif_front(struct front **f, bool shared_domain, struct error *e);

#endif
