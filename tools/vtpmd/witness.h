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
 *     needs nobody's answer, whichever host is lost.
 *   - Each start asks all, and waits until each has answered, or WITNESS_ANSWER_S is over, or
 *     WITNESS_GONE_S of one that etcd does not show.  One that was waited for in vain is not waited
 *     for again for WITNESS_SILENT_S, or until it was asked without a start, unless its answer is
 *     needed for a majority.  One that refuses at once, as its vtpmd or its `vtpmctl
 *     migrate-receive` is started anew, is asked again each time.
 *
 * What was told to be newer than etcd's is from then on this host's own knowledge, by its TPM, and
 * the vTPM does not start.
 *
 * Nor does it when another host says that itself or a third one has it now (enum witness_use),
 * though etcd has let this host claim it: that one speaks with another etcd, of which one began as a
 * copy of the other.  Each host claims before it asks, so of two that start one vTPM in two such
 * etcd at least one hears of the other.  Of one etcd, in which another one had the vTPM a moment ago, a
 * host may hear late, or not, as it is cut off and has not noticed: so it is asked again for
 * WITNESS_USED_S.
 *
 * What goes on here after this host's lease did not run for a while is asked for, too, before its guest
 * is answered: another host may have started it meanwhile, in another etcd than the present one.
 *
 * Hosts that do not answer hinder a start only when --pool-witness asks for a majority, and that
 * has not answered.
 *
 * When this host has lost etcd, or its lease did not run, each is waited for once more, as it may have
 * been this host that reached nobody.  A host whose anchor is not known is silent, but for who has a
 * vTPM, which it tells.
 *
 * Bounds: WITNESS_VTPMS_MAX vTPMs in a question, WITNESS_AT_ONCE children.
 */
#ifndef VTPMD_WITNESS_H
#define VTPMD_WITNESS_H

#include "include/compiler.h"
#include "lib/error.h"
#include "lib/pool.h"
#include "lib/witness.h"
#include "tools/vtpmd/vtpmd.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define WITNESS_AT_ONCE	      POOL_HOSTS_MAX
#define WITNESS_HELLO_AT_ONCE 8 /* while no start waits */
#define WITNESS_ANSWER_S      8
#define WITNESS_GONE_S	      3 /* the same, of a host whose lease etcd does not show */
#define WITNESS_USED_S	      4 /* longer than ETCD_CALL_MS: store_etcd_use() */
#define WITNESS_SILENT_S      30
#define WITNESS_HELLO_S \
	60 /* hosts that do not answer are asked this often, without a start */
#define WITNESS_LOOK_S 5 /* and this soon, one whose lease runs again */

struct vtpm;

/* For a store that is a pool's.  -ENOMEM */
int __must_check witness_new(struct vtpmd *d);
void witness_free(struct vtpmd *d);
/* Before a vTPM starts that this host has just claimed: 0; -EAGAIN: others are asked, and
 * vtpm_witnessed() follows; else *e tells why it does not. */
int __must_check witness_may_start(struct vtpm *v, struct error *e);
/* Whether the guest of a vTPM that runs may be answered, when this host's lease holds: not when that
 * did not run for a while, until others were asked who has had it since. */
bool witness_may_go_on(struct vtpm *v);
/* Whether another host has said that it has seen newer than etcd has. */
bool witness_has_newer(struct vtpm *v);
/* The generation of the state that etcd has; 0: none that makes sense. */
uint64_t witness_stored(struct vtpm *v);
/* An operator takes what is stored as it is: what others said is forgotten, and asked anew. */
void witness_forget(struct vtpm *v);
/* Answers the question of the host asker; out has room for WITNESS_ANSWER_MAX.  -EBADMSG */
int __must_check witness_tell(struct vtpmd *d, const char *asker, const uint8_t *in,
			      size_t len, uint8_t *out, size_t *out_len);
/* [{"name", "answers", "at", "cluster_id", "revision", "ahead", "why"}] of the other hosts of the list. */
json_t *witness_show(const struct vtpmd *d);

struct witness_figures {
	uint64_t unwitnessed; /* starts for which not all hosts had answered */
	uint64_t refused;     /* starts, as another host has seen more, or has it */
	unsigned int hosts, silent;
	unsigned int
		ahead; /* hosts that have seen more of etcd than there is, or another one */
	unsigned int
		witnessed; /* vTPMs of which all were heard: their starts need no answer */
};

void witness_figures(const struct vtpmd *d, struct witness_figures *f);

#endif
