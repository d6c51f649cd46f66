/* SPDX-License-Identifier: Apache-2.0 */
/* The figures themselves.  Names as https://prometheus.io/docs/practices/naming/ asks:
 * one prefix, base units, _total for what only grows. */
#ifndef VTPMD_METRICS_TEXT_H
#define VTPMD_METRICS_TEXT_H

#include <event2/buffer.h>
#include "tools/vtpmd/vtpmd.h"

/* What managers last told, and what vtpmd knows itself. */
void metrics_text(struct vtpmd *d, struct evbuffer *out);

#endif
