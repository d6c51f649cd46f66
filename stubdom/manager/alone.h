/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager on any Linux, without Xen, vtpmd, TPM or KMS: a software TPM on a
 * socket, with the control channel that clients of swtpm expect beside it.
 * For tests and development: who reads its folder has all of its secrets.
 */
#ifndef XVTPM_ALONE_H
#define XVTPM_ALONE_H

#include <stdbool.h>
#include <stdint.h>
#include "compiler.h"
#include "stubdom/manager/engine.h"

struct alone_place {
	const char *state; /* folder */
	enum engine_version version;
	const char *unix_path; /* commands there, control at PATH.ctrl; or NULL: */
	uint16_t port;	       /* commands on 127.0.0.1:port, control on port + 1 */
	bool daemon;	       /* returns in the parent once the sockets listen */
	const char *pid;       /* file for the daemon's process id, or NULL */
};

/* Returns after SIGTERM or CMD_SHUTDOWN, or in the parent of a daemon: 0, or *e says why. */
int __must_check alone_run(const struct alone_place *place, struct error *e);

#endif
