/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one host of a pool asks another about vTPMs, and what that one tells: the newest of each
 * that it has seen in the pool's etcd, as its anchor has it (tools/vtpmd/anchor_file.h).  Over the
 * link of handovers (tools/vtpmctl/peerlink.h), on which each host has proved which one it is;
 * one question, and its answer.  Big-endian; B is u16 length | bytes.
 *
 * Question: u8 WITNESS_ASKS | B "xen-vtpm witness 2" | B name of the pool | u16 n | n * uuid[16]
 * Answer:   u8 WITNESS_TELLS | B "xen-vtpm witness 2" | u8 0: it is not in that pool, and n is 0;
 *           1: it tells what it has seen; 2: who has a vTPM alone, as its own anchor is not known
 *           | u64 etcd's cluster id | u64 the revision of etcd that it has seen
 *           | u16 n | n * what it has seen, of those of which it has something:
 *             uuid[16] | SHA-256 of the header | u64 its generation, 0: not known | u64 epoch
 *             | u64 generation of the permanent state in this epoch, 0: none yet
 *             | SHA-256 of the state with which the epoch began | u64 its generation
 *             | u8 who has it now: enum witness_use
 */
#ifndef XVTPM_LIB_WITNESS_H
#define XVTPM_LIB_WITNESS_H

#include "include/compiler.h"
#include "lib/binding.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Neither is a kind of a handover's message (tools/vtpmd/handover.h). */
#define WITNESS_ASKS	   0x70
#define WITNESS_TELLS	   0x71
#define WITNESS_LABEL	   "xen-vtpm witness 2"
#define WITNESS_POOL_MAX   128 /* of a pool's name: tools/vtpmd/etcd/where.h */
#define WITNESS_VTPMS_MAX  128 /* in one question */
#define WITNESS_SAID_SIZE  113
#define WITNESS_ASK_MAX	   (128 + WITNESS_POOL_MAX + 16 * WITNESS_VTPMS_MAX)
#define WITNESS_ANSWER_MAX (64 + WITNESS_SAID_SIZE * WITNESS_VTPMS_MAX)

struct witness_question {
	struct binding_part pool; /* into the bytes that were read */
	unsigned int n;
	uint8_t uuid[WITNESS_VTPMS_MAX][16];
};

/* Who has a vTPM, as the host that is asked sees it while its etcd answers it. */
enum witness_use {
	WITNESS_FREE,	/* nobody, or who asks, or it does not know */
	WITNESS_MINE,	/* itself: its lease holds */
	WITNESS_OTHERS, /* another host than who asks */
};

/* Of one vTPM: as struct anchor_entry; without an entry there are zeros. */
struct witness_said {
	uint8_t uuid[16];
	uint8_t header[32];
	uint64_t header_seq;
	uint64_t epoch, permall;
	uint8_t base[32];
	uint64_t base_seq;
	enum witness_use use;
};

struct witness_answer {
	bool known; /* what it has seen ... */
	bool uses;  /* ... or, when that is not so, who has each alone */
	uint64_t cluster_id, revision;
	unsigned int n;
	struct witness_said said[WITNESS_VTPMS_MAX];
};

/* The generation of the state. */
static inline uint64_t witness_said_seq(const struct witness_said *s)
{
	return s->permall ? s->permall : s->base_seq;
}

/* *len: the room, then the length.  -EMSGSIZE */
int __must_check witness_question_encode(const struct witness_question *q, uint8_t *out,
					 size_t *len);
int __must_check witness_answer_encode(const struct witness_answer *a, uint8_t *out,
				       size_t *len);
/* -EBADMSG: the other one does not write that. */
int __must_check witness_question_decode(const uint8_t *in, size_t len,
					 struct witness_question *q);
int __must_check witness_answer_decode(const uint8_t *in, size_t len,
				       struct witness_answer *a);

#endif
