/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical presence of HVM guests: a guest requests that its TPM be cleared, by the
 * registers of its vtpm-crb (lib/ppi.h), and that is done before its next start.
 *
 *   the guest requests -> noted in vtpm.json, within seconds or at its end
 *     -> CHANNEL_GUEST of the next new guest: told to the manager; or, by `--ppi deny`, not
 *     -> CHANNEL_CLEARED: the response is in vtpm.json, and nothing is pending
 *     -> the manager offers the TPM, and the guest runs
 *
 * After a crash in between it is pending still, no guest has run, and it is done once more.
 */
#ifndef VTPMD_PRESENCE_H
#define VTPMD_PRESENCE_H

#include "compiler.h"
#include "lib/ppi.h"
#include "tools/vtpmd/vtpm.h"

#include <stdbool.h>
#include <stdint.h>

/* crb_request: a guest's request, of what it or a vtpm-crb that it took over wrote. */
bool presence_requested(struct vtpmd *d, const uint8_t vtpm[16], uint32_t operation);
/* What the guest is to read. */
struct ppi_told presence_told(const struct vtpm *v);
/* A new guest, domain domid, comes.  Whether its TPM is to be cleared first; that is put off
 * when its guests have it done too often. */
bool presence_begin(struct vtpm *v, uint32_t domid);
/* The Clear was executed with this response.  -EPERM: none was asked for; -EIO, ...: it could
 * not be stored, and is pending still. */
int __must_check presence_cleared(struct vtpm *v, uint32_t response);
/* --ppi of `vtpmctl set`; 0: durable. */
int __must_check presence_set(struct vtpm *v, bool denied);

#endif
