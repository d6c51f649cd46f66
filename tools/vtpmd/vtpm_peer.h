/* SPDX-License-Identifier: Apache-2.0 */
/* How a vTPM's life meets what its manager says.  Private to vtpm*.c. */
#ifndef VTPMD_VTPM_PEER_H
#define VTPMD_VTPM_PEER_H

#include "tools/vtpmd/vtpm.h"

extern const struct peer_owner vtpm_peer_owner;

/* Its connection is over. */
void vtpm_drop_peer(struct vtpm *v);

/* A vTPM's guests: which of them its manager may serve (guests.h).  Private to vtpm*.c
 * and control*.c. */

/* What an earlier vtpmd knew. */
void vtpm_guest_load(struct vtpm *v);
/* Has all vTPMs forget domains when Xen releases them. */
int __must_check vtpm_guest_watch(struct vtpmd *d);
/* Lets the next guest go on with the PCRs, if it is the last one, saved and restored;
 * launched: the uuid of the launched domain that it becomes, NULL: its own.  The
 * manager has told its status just now.  -ESTALE: the TPM was restarted since; -EBUSY: a
 * launch restores another one. */
int __must_check vtpm_guest_resume(struct vtpm *v, const uint8_t *launched);
/* The domains that live, had the vTPM, and have a device of a stub domain of it that is
 * gone: they have no TPM until they restart.  How many; their numbers go to domids. */
unsigned int vtpm_guest_lost(const struct vtpm *v, uint32_t domids[static GUESTS_MAX]);
void vtpm_guest_revoke(struct vtpm *v);
/* Whether a launch, whose xl is there, restores the domain with this uuid, which has not
 * come yet. */
bool vtpm_guest_restores(struct vtpm *v, const uint8_t uuid[16]);
/* Whether it serves measured guests only, until it is stopped: in vtpm.json, in the run
 * folder, which an edited vtpm.json does not change, and in the anchor. */
void vtpm_guest_set_launched(struct vtpm *v, bool launched);
/* The domain with this uuid was launched with the vTPM, or is restored by that: when it
 * comes, only measured guests are served from then on. */
void vtpm_guest_launched(struct vtpm *v, const uint8_t uuid[16], bool restored);
/* ... and its launch failed: what it changed is put back. */
void vtpm_guest_failed(struct vtpm *v, const uint8_t uuid[16]);

/* `vtpmctl attest`: the running manager is asked for evidence of its vTPM. */

/* -EINVAL: no such nonce or PCRs; -EBUSY: somebody else's is being made; -ENOTCONN: there
 * is nobody to ask.  0: v->attest.pending until v->attest tells. */
int __must_check attest_begin(struct vtpm *v, const char *nonce, const char *user,
			      uint32_t pcrs);
/* The manager is gone, or its vTPM: nothing will come. */
void attest_drop(struct vtpm *v);

#endif
