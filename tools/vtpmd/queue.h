/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is.  A vTPM that is to start, or comes up, is in the one line that its state
 * says, in the order in which they came there: who looks for the next one looks at none of
 * those that wait for something else.
 */
#ifndef VTPMD_QUEUE_H
#define VTPMD_QUEUE_H

struct vtpm;
struct vtpmd;

struct queue_line {
	struct vtpm *first, *last;
};

struct queue {
	struct queue_line
		begins; /* VTPM_QUEUED, but for those whose store is being claimed */
	struct queue_line urgent; /* VTPM_ANCHORING: an operator waits ... */
	struct queue_line later;  /* ... or nobody does */
	struct queue_line held;	  /* VTPM_ANCHORING: until the host's TPM has answered */
	struct queue_line coming; /* VTPM_COMING, VTPM_ABORTING */
};

/* A vTPM's. */
struct queue_place {
	struct queue_line *in; /* NULL: none */
	struct vtpm *before, *behind;
};

/* Into the line of its state, as the last one, or into none; it leaves the one it is in. */
void queue_put(struct vtpm *v);
/* Into none, until its state changes, or queue_put(). */
void queue_leave(struct vtpm *v);
/* The host's TPM does not have yet what it is to have for it. */
void queue_hold(struct vtpm *v);
/* The host's TPM has answered: whoever is held is to look again. */
void queue_let_go(struct vtpmd *d);

#endif
