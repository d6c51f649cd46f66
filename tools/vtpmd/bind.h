/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices name a vTPM: what stands in the vtpm line of a guest's file.
 *
 * The toolstack makes the device below the domain that backend= names, which is one vTPM's
 * stub domain.  A line without uuid= gets a random uuid (version 4 of RFC 9562) of libxl's;
 * vTPMs are made with uuids of version 8, so that one that an operator copied from another
 * vTPM, or from one that was deleted, is never taken for a random one.  Of a vTPM with a uuid
 * of version 4 (of an earlier release, or chosen) it may be, and such a vTPM is bound to its
 * uuid unless the operator says otherwise.
 */
#ifndef VTPMD_BIND_H
#define VTPMD_BIND_H

#include "include/compiler.h"
#include "tools/vtpmd/vtpm.h"

/* --bind */
#define BIND_UUID "uuid"
#define BIND_NAME "name"
/* The refusal of BIND_NAME for a vTPM without a domain of its own */
#define BIND_PROCESS                                                                     \
	"A vTPM that is a process of domain 0 is found by its uuid alone: leave --bind " \
	"out, or --placement process."
const char *bind_word(const struct meta *m);
/* Draws a vTPM's uuid. */
void bind_draw(uint8_t uuid[16]);
/* Whether a device with this uuid, below the domain of the vTPM, is the vTPM's.  0; -EPERM,
 * with *why, a sentence. */
int __must_check bind_judge(const struct vtpm *v, const uint8_t device[16],
			    const char **why);

#endif
