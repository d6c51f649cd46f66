/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real backend_ops: xenstore, grants and event channels of the domain that
 * this process runs in, be it a stub domain or dom0.
 */
#ifndef XVTPM_BACKEND_XEN_OPS_H
#define XVTPM_BACKEND_XEN_OPS_H

#include "compiler.h"
#include "backend/ops.h"
#include "backend/xenstore.h"

struct xen_ops {
	struct xenstore xenstore;
	struct xenevtchn_handle *evtchn;
	struct xengntdev_handle *gnttab;
	struct xentoollog_logger_stdiostream *logger;
};

/* To hand to backend_open(), with a struct xen_ops as ops_ctx. */
extern const struct backend_ops xen_ops_table;

/* Opens /dev/xen/{xenbus,evtchn,gntdev}; on failure nothing stays open. */
int __must_check xen_ops_open(struct xen_ops *x);
void xen_ops_close(struct xen_ops *x);

#endif
