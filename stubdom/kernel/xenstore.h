/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring to xenstored (xen/io/xs_wire.h).  xenstore.c shares it among the open
 * files.  A malformed ring or message ends all use of it: -EIO.
 */
#ifndef STUB_XENSTORE_H
#define STUB_XENSTORE_H

#include "include/compiler.h"

#include <stdint.h>
#include <xen/io/xs_wire.h>
#include <xen/xen.h>

void xenstore_init(void);

#endif
