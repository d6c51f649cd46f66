/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving a stopped vTPM between this host's folder (struct vtpmd's folder) and the pool in
 * which its vtpmd is: `vtpmctl pool move`.
 *
 * Which copy counts is said by one name in etcd: the vTPM's description there is the value
 * "vtpm.json", and the pool's copy counts, or POOL_MOVE_RELEASED, and the folder of the host
 * that "host" names does.  One transaction under the claim gives it the one name or the other,
 * and that is the move: it compares owner and gen, so a copy of it that comes late does nothing.
 * Other hosts list, claim and start what has "vtpm.json", and nothing else.  That no vtpmd that
 * runs from the folder starts what is in etcd is the work of the host's TPM, whose anchor says
 * "pooled" for longer than "vtpm.json" is there (struct anchor_entry):
 *
 *      the host's TPM  etcd       folder   what can be started    the next step
 *   0  not pooled      nothing    whole    the folder             all values go to etcd
 *   1  not pooled      released   whole    the folder             the TPM is to say "pooled"
 *   2  pooled          released   whole    neither                the transaction
 *   3  pooled          vtpm.json  there    the pool's             the folder goes
 *   4  pooled          vtpm.json  nothing  the pool's
 *
 * Into the pool from 0 to 4, out of it from 4 to 0.  A crash leaves one of these, and the same
 * command, or the one in the other direction, goes on from there; in 2 that is needed, by this
 * host, in the pool.  No step is taken for done unless etcd has said so under a claim that held
 * (store_etcd_done()), or the TPM has: what memory shows, and what is missing there, proves
 * nothing.  One vTPM at a time.
 */
#ifndef VTPMD_POOL_MOVE_H
#define VTPMD_POOL_MOVE_H

#include "include/compiler.h"
#include "lib/error.h"
#include "tools/vtpmd/vtpmd.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define POOL_MOVE_RELEASED "released"

struct vtpm;

/* Begins to move the vTPM of that name, or tells how far it is: -EINPROGRESS; 0 and its uuid,
 * once it is there; -EBUSY: another one is moved; else it came to nothing, and *e says why. */
int __must_check pool_move(struct vtpmd *d, const char *name, bool to_folder,
			   uint8_t uuid[16], struct error *e);
/* The names of the vTPMs in the folder, which are not in the pool: an array. */
json_t *pool_move_names(const struct vtpmd *d);
/* Whether one of these has that name; false: this host is in no pool. */
bool pool_move_is_in_folder(const struct vtpmd *d, const char *name);
/* Whether it is being moved: nothing else is done with it. */
bool pool_move_has(const struct vtpm *v);
/* Whether one with this uuid is: what other hosts do to it is looked at when that is over. */
bool pool_move_is_of(const uint8_t uuid[16]);
/* vtpmd ends: what is not over stays as it is. */
void pool_move_end(void);

#endif
