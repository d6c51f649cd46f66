/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring to xenstored (xen/io/xs_wire.h).  xenbus.c shares it among the open
 * files.  A ring or a message that makes no sense ends all use of it: -EIO.
 */
#ifndef STUB_XENSTORE_H
#define STUB_XENSTORE_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/xs_wire.h>
#include "include/compiler.h"

void xenstore_init(void);
/* Sends one message; waits for room, taking in what arrives meanwhile. */
int __must_check xenstore_send(const struct xsd_sockmsg *header, const void *payload);
/* Takes in all that has arrived; calls xenbus_receive() for each whole message. */
void xenstore_pump(void);
/* 0, or -EIO: the ring is not to be used any more. */
int __must_check xenstore_status(void);

#endif
