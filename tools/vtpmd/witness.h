/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether another host of a pool has seen a newer state of a vTPM than etcd has: what etcd
 * shows may have been put back while this host was away, and its own anchor does not tell then.
 *
 * Each host answers from its anchor (witness_tell()), by `vtpmctl migrate-receive`; `vtpmctl host
 * witness`, a child, asks it.  The hosts are those of the signed list, with their addresses.
 *
 *   - Of each vTPM all of them are asked once in a connection to etcd: soon after that begins, as
 *     long as all answer.  From then on this host sees by itself what is written, and a start
 *     waits for nobody, whichever host is lost.
 *   - A start of one of which not all have answered asks for it, and waits until each host has
 *     answered, or WITNESS_ANSWER_S is over; one that did not is not waited for again for
 *     WITNESS_SILENT_S, unless a majority is asked for.
 *
 * What was told to be newer than etcd's is from then on this host's own knowledge, by its TPM, and
 * the vTPM does not start.  Hosts that do not answer hinder a start only when --pool-witness asks
 * for a majority, and that has not answered.
 *
 * Bounds: WITNESS_VTPMS_MAX vTPMs in a question, WITNESS_AT_ONCE children.
 */
#ifndef VTPMD_WITNESS_H
#define VTPMD_WITNESS_H

#include "include/compiler.h"
#include "lib/error.h"
#include "lib/witness.h"
#include "tools/vtpmd/vtpmd.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define WITNESS_AT_ONCE	 8
#define WITNESS_ANSWER_S 8
#define WITNESS_SILENT_S 30
#define WITNESS_HELLO_S \
	60 /* hosts that do not answer are asked this often, without a start */

struct vtpm;

/* For a store that is a pool's.  -ENOMEM */
int __must_check witness_new(struct vtpmd *d);
void witness_free(struct vtpmd *d);
/* Before a vTPM starts that this host has just claimed: 0; -EAGAIN: others are asked, and
 * vtpm_witnessed() follows; else *e tells why it does not. */
int __must_check witness_may_start(struct vtpm *v, struct error *e);
/* An operator takes what is stored as it is: what others said is forgotten, and asked anew. */
void witness_forget(struct vtpm *v);
/* Answers another host's question; out has room for WITNESS_ANSWER_MAX.  -EBADMSG */
int __must_check witness_tell(struct vtpmd *d, const uint8_t *in, size_t len,
			      uint8_t *out, size_t *out_len);
/* [{"name", "answers", "at", "cluster_id", "revision", "ahead", "why"}] of the other hosts of the list. */
json_t *witness_show(const struct vtpmd *d);

struct witness_figures {
	uint64_t unwitnessed; /* starts for which not all hosts had answered */
	uint64_t refused;     /* starts, as another host has seen more */
	unsigned int hosts, silent;
	unsigned int
		ahead; /* hosts that have seen more of etcd than there is, or another one */
	unsigned int
		witnessed; /* vTPMs of which all were heard: their starts ask nobody */
};

void witness_figures(const struct vtpmd *d, struct witness_figures *f);

#endif
