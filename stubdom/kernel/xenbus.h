/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/xen/xenbus: the xenstore protocol as a file.  A reply goes to the file that
 * asked, a watch event to the file that set the watch: request numbers and tokens
 * are changed on their way out and back.
 *
 * A file may have one request under way, from its last byte written to its reply's
 * last byte read; a second is -EBUSY.  Watch events wait in one page; when that is
 * full, an event for the watched path itself stands for those that were dropped.
 */
#ifndef STUB_XENBUS_H
#define STUB_XENBUS_H

#include "stubdom/kernel/xenstore.h"

/* A message from xenstored; header->len bytes, at most XENSTORE_PAYLOAD_MAX, which
 * may be changed. */
void xenbus_receive(const struct xsd_sockmsg *header, char *payload);

#endif
