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
#include "stubdom/manager/sockspec.h"
#include "stubdom/manager/stateblob.h"

enum alone_startup { ALONE_STARTUP_NONE, ALONE_STARTUP_CLEAR, ALONE_STARTUP_STATE };

struct alone_place {
	const char *state; /* folder */
	enum engine_version version;
	struct sockspec server;	 /* commands; none: SET_DATAFD brings them */
	struct sockspec control; /* or none */
	bool need_init;		 /* off until INIT */
	enum alone_startup startup;
	bool terminate;	 /* end when a client of commands has gone */
	bool daemon;	 /* returns in the parent once the sockets listen */
	const char *log; /* file for what a daemon says; NULL: the system's log */
	const char *pid; /* file for the daemon's process id, or NULL */
};

/* Returns after SIGTERM or CMD_SHUTDOWN, or in the parent of a daemon: 0, or *e says why. */
int __must_check alone_run(const struct alone_place *place, struct error *e);
/* Makes a TPM in place->state of swtpm's file.  -EEXIST: there is a TPM. */
int __must_check alone_import(const struct alone_place *place, const char *file,
			      const struct stateblob_keys *keys, struct error *e);

#endif
