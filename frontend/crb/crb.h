/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of a TPM 2.0 with the Command Response Buffer interface, as a guest's
 * firmware and drivers find it at 0xFED40000: localities 0 to 4, a page each.
 * Source: TCG PC Client Platform TPM Profile 1.05, 6.5.3 (CRB); offsets in a page:
 *
 *   00 LOC_STATE  08 LOC_CTRL  0c LOC_STS  30 INTF_ID (8)  38 CTRL_EXT (8)
 *   40 CTRL_REQ   44 CTRL_STS  48 CTRL_CANCEL  4c CTRL_START
 *   50 INT_ENABLE 54 INT_STS   58 CTRL_CMD_SIZE  5c CTRL_CMD_ADDR (8)
 *   64 CTRL_RSP_SIZE  68 CTRL_RSP_ADDR (8)  80 the buffer's first bytes
 *
 * The buffer is a page of the guest's RAM that CTRL_CMD_ADDR and _RSP_ADDR name, so that
 * command and response cost no exits.  Reserved offsets read as 0 and ignore writes; an
 * access of any size at any offset is defined, byte by byte.
 *
 *             cmdReady        goIdle   START                    cancel
 *   idle      -> ready        -        -> executing (*)            -
 *   ready     -               -> idle  -> executing             -
 *   executing -               -        -                        passed on, once
 *   complete  -> ready        -> idle  -> executing             -
 *
 * (*) The profile has no such step; SeaBIOS sends its first command without a cmdReady.
 *
 * The guest is hostile.  A command is copied once out of the buffer, and the copy is
 * checked.  One command at a time; each access is a few stores.
 *
 * struct crb_state is all that there is: it is kept where it outlives this process, and
 * goes along with a guest that is saved.  Whatever store to it, to the buffer or by ops
 * was the last of a process that was killed, the next one goes on: the access that was
 * served is served again, unless start names its vCPU: then its command was taken, and
 * the response is delivered (again).
 */
#ifndef XVTPM_CRB_H
#define XVTPM_CRB_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRB_BASE       0xFED40000u
#define CRB_LOCALITIES 5
#define CRB_PAGE       0x1000u
#define CRB_SIZE       (CRB_LOCALITIES * CRB_PAGE)
#define CRB_CTRL_START 0x4cu
#define CRB_BUFFER     0xFED45000u /* RAM of the guest */
#define CRB_BUFFER_MAX 4096u

#define CRB_NO_LOCALITY 0xff
#define CRB_LOCALITY_HARDWARE \
	4 /* the processor's, for a measured launch: never the guest's */
#define CRB_EXECUTING 1u

struct crb_state {
	uint8_t active;	 /* the locality that has the TPM, or CRB_NO_LOCALITY */
	uint8_t pending; /* bit n: locality n has asked for it */
	uint8_t seized;	 /* bit n: it was taken from locality n */
	uint8_t ready;	 /* not idle */
	uint8_t failed;	 /* tpmSts: the TPM does not answer any more */
	uint8_t cancel;
	uint8_t locality; /* of the command */
	uint8_t away; /* the buffer was given back, and has no response from then on */
	/* CRB_EXECUTING: a command has no response yet; above it, 1 + the vCPU whose write
	 * to START is being served, and its command was taken; 0: none */
	uint32_t start;
	uint32_t int_enable;
	uint32_t rsp_len; /* of the last response; 0: none since the last command */
	uint8_t rsp[CRB_BUFFER_MAX];
};

struct crb_ops {
	/* Gives the TPM a command, of 10..CRB_BUFFER_MAX bytes; crb_complete() follows.
	 * It is prepared, and sent by send(), which may be repeated. */
	void (*prepare)(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len);
	void (*send)(void *ctx);
	/* The command shall end early; its response comes all the same. */
	void (*cancel)(void *ctx);
};

struct crb {
	struct crb_state *s;
	volatile uint8_t *buffer; /* CRB_BUFFER_MAX bytes, the guest's */
	uint8_t localities;	  /* bit n: the guest may have locality n */
	uint32_t vcpu;		  /* 1 + the one whose access is served; 0: none */
	const struct crb_ops *ops;
	void *ctx;
};

/*
 * The contracts, which `make prove` proves for every access and whatever the buffer has at
 * each read (docs/proofs.md).
 *   crb_may        the guest may have locality n: never 4, the processor's
 *   crb_sound      no locality has the TPM but one that may, one has it while a command
 *                  executes, and the response fits
 *   crb_apart      registers and buffer are there, apart from each other
 *   crb_kept       a command that executes keeps its locality, its START, and no
 *                  register write ends it
 */
/*@ predicate crb_may(struct crb *c, integer n) =
	0 <= n < CRB_LOCALITY_HARDWARE && (c->localities >> n & 1) != 0;
    predicate crb_executes(struct crb_state *s) = (s->start & CRB_EXECUTING) != 0;
    predicate crb_sound(struct crb *c) =
	(c->s->active == CRB_NO_LOCALITY || crb_may(c, c->s->active)) &&
	(crb_executes(c->s) ==> c->s->active != CRB_NO_LOCALITY) &&
	c->s->rsp_len <= CRB_BUFFER_MAX;
    predicate crb_apart(struct crb *c) =
	\valid_read(c) && \valid(c->s) && \valid(c->buffer + (0 .. CRB_BUFFER_MAX - 1)) &&
	\separated(c, c->s, c->buffer + (0 .. CRB_BUFFER_MAX - 1));
    predicate crb_holds(struct crb *c) = crb_apart(c) && crb_sound(c);
    predicate crb_calls(struct crb *c) =
	\valid_read(c->ops) && c->ops->prepare == &axiom_crb_prepare &&
	c->ops->send == &axiom_crb_send && c->ops->cancel == &axiom_crb_cancel;
    predicate crb_kept{A, B}(struct crb *c) =
	\at(crb_executes(c->s), A) ==>
		\at(c->s->start, B) == \at(c->s->start, A) &&
		\at(c->s->active, B) == \at(c->s->active, A) &&
		\at(c->s->locality, B) == \at(c->s->locality, A) &&
		\at(c->s->ready, B) == \at(c->s->ready, A) &&
		\at(c->s->rsp_len, B) == \at(c->s->rsp_len, A);
*/

/* As after a power-on. */
/*@ requires \valid(s);
    assigns *s;
    ensures s->active == CRB_NO_LOCALITY && s->rsp_len == 0 && s->start == 0; */
void crb_reset(struct crb_state *s);
/* A state that comes from elsewhere is one that a guest can have brought about. */
/*@ requires crb_apart(c);
    assigns \nothing;
    ensures \result <==> crb_sound(c); */
bool crb_is_sound(const struct crb *c);
/* The guest's access at CRB_BASE + at, of size bytes, 1 to 8. */
/*@ requires crb_holds(c);
    assigns c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_holds(c);
    ensures crb_kept{Pre, Post}(c); */
uint64_t crb_read(const struct crb *c, uint32_t at, unsigned int size);
/*@ requires crb_holds(c) && crb_calls(c);
    assigns c->s->active, c->s->pending, c->s->seized, c->s->ready, c->s->cancel;
    assigns c->s->locality, c->s->start, c->s->int_enable;
    assigns c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
    assigns c->buffer[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_holds(c);
    ensures crb_kept{Pre, Post}(c); */
void crb_write(struct crb *c, uint32_t at, unsigned int size, uint64_t value);
/* The response to the command that executes; one that no buffer can hold becomes
 * TPM_RC_FAILURE.  Without a command: nothing. */
/*@ requires crb_holds(c) && (len > 0 ==> \valid_read(rsp + (0 .. len - 1)));
    requires \separated(c->s, c->buffer + (0 .. CRB_BUFFER_MAX - 1), rsp + (0 .. len - 1));
    assigns c->s->start, c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
    assigns c->buffer[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_holds(c);
    ensures (c->s->start & CRB_EXECUTING) == 0; */
void crb_complete(struct crb *c, const uint8_t *rsp, size_t len);
/* Puts the last response into the buffer; the command is over. */
/*@ requires crb_holds(c);
    assigns c->s->start, c->buffer[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_holds(c);
    ensures (c->s->start & CRB_EXECUTING) == 0; */
void crb_deliver(struct crb *c);
/* A command that executes has failed: the way to the TPM was lost. */
/*@ requires crb_holds(c);
    assigns c->s->start, c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
    assigns c->buffer[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_holds(c);
    ensures (c->s->start & CRB_EXECUTING) == 0; */
void crb_abort(struct crb *c);
/* The TPM does not answer any more: tpmSts, and TPM_RC_FAILURE to what executes, and to all
 * that follows. */
/*@ requires crb_holds(c);
    assigns c->s->start, c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
    assigns c->s->failed, c->buffer[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_holds(c) && c->s->failed == 1;
    ensures (c->s->start & CRB_EXECUTING) == 0; */
void crb_fail(struct crb *c);

#endif
