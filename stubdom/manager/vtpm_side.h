/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the TPM's commands come from: a guest, by the backend; or, without Xen, clients
 * of a socket.  Private to vtpm*.c.
 */
#ifndef XVTPM_VTPM_SIDE_H
#define XVTPM_VTPM_SIDE_H

#include "listener.h"
#include "plain.h"
#include "unlock.h"
#include "vtpm.h"
#include "vtpm_status.h"
#include "backend/backend.h"
#include "backend/xen_ops.h"

/* Starts zeroed, but for listener.fd, -1. */
struct vtpm_side {
	struct xen_ops xen;
	bool has_xen;
	struct backend *backend; /* NULL: none */
	struct listener listener;
	struct plain *plain; /* NULL: none */
};

/* Opens the devices of Xen, or the socket, and serves nobody yet. */
int __must_check vtpm_side_prepare(struct vtpm_side *s, const struct vtpm_place *place,
				   struct error *e);
/* The engine serves from now on; a socket has only its execute(). */
int __must_check vtpm_side_open(struct vtpm_side *s, const struct vtpm_place *place,
				const struct unlock_config *config,
				const struct backend_engine *engine, struct error *e);
/* Also of one that was not opened or prepared, or not whole.  A socket's name stays: a
 * process that has given up its rights does not see it, and vtpmd removes it. */
void vtpm_side_close(struct vtpm_side *s);
/* Waits for commands, or until fd can be read, and serves what came.  -errno: xenstore or
 * the event channels are lost. */
int __must_check vtpm_side_serve(struct vtpm_side *s, int fd);
/* Its figures, into the status. */
void vtpm_side_stats(const struct vtpm_side *s, struct vtpm_status *status);

#endif
