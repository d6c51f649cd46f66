/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures for Prometheus: GET /metrics in its text format 0.0.4, on a Unix socket
 * (0600) or on a loopback address.  A scrape asks the managers again, twice a second at most.
 *
 * On loopback every user of this host may connect and read names and figures, and
 * nothing secret.  What connections may cost is bounded (their number, their time and
 * their bytes), so that no client takes descriptors from vtpmd, which it needs to store
 * states; that is why it is no evhttp: libevent 2.1's bounds no number of connections, gives
 * each read and write a time, but a connection no end, and accepts all that wait at once,
 * before managers and the operator have their turn.
 */
#ifndef VTPMD_METRICS_H
#define VTPMD_METRICS_H

#include "include/compiler.h"
#include "tools/vtpmd/vtpmd.h"

#include <sys/socket.h>

#define METRICS_CLIENTS 8

/* Listens at d->metrics; does nothing when that is NULL.  -EINVAL, -errno */
int __must_check metrics_open(struct vtpmd *d);
void metrics_close(struct vtpmd *d);

/* The host's token for Vault was used ago_ms ago, and lasted for left_s more (0: it has no end, or
 * that is not known).  What was used later than that is believed. */
void metrics_token(struct vtpmd *d, int64_t left_s, int64_t ago_ms);

#endif
