/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failed authorizations and crashes.
 *
 * A TPM 2.0 that starts without a TPM2_Shutdown behind it, and in which an object was used
 * that dictionary attacks are counted for, counts one failed try: it may have lost one
 * (TPM 2.0 Library, Part 1, 19.8.6).  This engine loses none: a failed try is durable
 * before it is answered.  So a crash of host or stub domain is not counted, or a few of
 * them would lock a guest out of its disk.  The exception is a session that ended since
 * the store failed, when the failed try may be what could not be stored.
 */
#ifndef XVTPM_ENGINE_LOCKOUT_H
#define XVTPM_ENGINE_LOCKOUT_H

#include <stdbool.h>

/* Whether the next TPM2_Startup counts an end without TPM2_Shutdown. */
void engine_lockout_counts(bool counts);

#endif
