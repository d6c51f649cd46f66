/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handover of a vTPM from one host, the source, to another, the destination: who may
 * run it when, and what each side does about each message, answer and crash.  It does no
 * I/O: handover_step() takes what happened and says what is to be done, in order.
 *
 *   source                                     destination
 *   HERE                                       ABSENT
 *   OFFERED     --- OFFER ------------------>  INCOMING *   makes folder and manager
 *   JUDGING     <-- ACCEPT -----------------   ACCEPTED     its proof
 *   PROVED          its manager has judged
 *   EXPORTING       its manager is frozen
 *   FROZEN      --- EXPORT ----------------->  IMPORTING
 *   HELD        <-- PREPARED ---------------   PREPARED *   all is stored, nothing runs
 *   RELEASED *  --- RELEASED --------------->  OWNED *      runs
 *   CONFIRMED   <-- ACTIVATED --------------
 *   AWAY *      --- DONE ------------------->  HERE *
 * Before DONE:  <-- BACK -------------------   GIVING, then BACK *
 *   HERE *      --- TAKEN ------------------>  ABSENT
 * The other host is lost for good, as its operator says:
 *   TAKEN *                                    TAKEN *      runs
 *
 * States with * are durable records.  RELEASED is the commit point: before it the source
 * can take the vTPM back by itself (CANCEL), from it on only the destination gives it back.
 * A crash leads to the last record.  No record is HERE when there is a folder, else ABSENT.
 * ABSENT with a record is a folder that has to be erased.  TAKEN runs, whatever the other
 * host says of the transfer when it is there again after all: ABORT and the message TAKEN are
 * refused, and RELEASED gets the answer that has it erase what it has.
 *
 * Messages may be lost, doubled, late or out of order.  Each names its transfer by a random
 * number (txid) that is never used again, and is sent again (HANDOVER_TICK) until the other
 * side has answered; the transport says that it is the other host's.
 *
 * An EXPORT opens with the key of one ACCEPT, which the manager made that is to import it
 * and keeps in its memory alone: so the late messages of a transfer lead to no second import.
 *
 * What holds, and tests/unit/handover_test.c shows for all orders and crashes:
 * - At most one side's manager executes commands.
 * - A copy with every write that was acknowledged is stored and can be run.
 * - Nothing is exported unless the source's manager has judged this transfer's proof.
 * - When both hosts and the network are up again, one side runs it without a person.
 */
#ifndef VTPMD_HANDOVER_H
#define VTPMD_HANDOVER_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HANDOVER_TXID_SIZE 16

/* The numbers are in records, and do not change. */
enum handover_state {
	HANDOVER_ABSENT = 0,
	HANDOVER_HERE = 1, /* this host's, and no transfer is under way */
	/* source; its manager runs */
	HANDOVER_OFFERED = 2,
	HANDOVER_JUDGING = 3,
	HANDOVER_PROVED = 4,
	/* source; its manager is frozen */
	HANDOVER_EXPORTING = 5,
	HANDOVER_FROZEN = 6,
	HANDOVER_HELD = 7, /* the destination is prepared */
	HANDOVER_RELEASED = 8,
	HANDOVER_CONFIRMED = 9, /* the record is RELEASED */
	HANDOVER_AWAY = 10,	/* it has nothing left but this record */
	/* destination; its manager executes nothing */
	HANDOVER_INCOMING = 11,
	HANDOVER_ACCEPTED = 12,	 /* the record is INCOMING */
	HANDOVER_IMPORTING = 13, /* the record is INCOMING */
	HANDOVER_PREPARED = 14,
	/* destination; its manager runs */
	HANDOVER_OWNED = 15,
	/* destination; its manager is frozen again */
	HANDOVER_GIVING = 16, /* the record is OWNED */
	HANDOVER_BACK = 17,
	/* either side; its operator took it, and its manager runs */
	HANDOVER_TAKEN = 18,
	HANDOVER_STATES,
};

enum handover_kind {
	/* messages of the source */
	HANDOVER_MSG_OFFER = 1,
	HANDOVER_MSG_EXPORT = 2,
	HANDOVER_MSG_RELEASED = 3,
	HANDOVER_MSG_ABORT = 4, /* this transfer is never released */
	HANDOVER_MSG_DONE = 5,	/* it cannot be given back any more */
	HANDOVER_MSG_TAKEN = 6, /* the answer to BACK: it is the source's again */
	HANDOVER_MSG_GONE = 7,	/* this transfer is over: who has it keeps it */
	/* messages of the destination */
	HANDOVER_MSG_ACCEPT = 8,
	HANDOVER_MSG_REFUSE = 9, /* it has nothing of this transfer */
	HANDOVER_MSG_PREPARED = 10,
	HANDOVER_MSG_ACTIVATED = 11,
	HANDOVER_MSG_BACK = 12,
	HANDOVER_MESSAGES,

	/* an operator's, or of who waits for the guest */
	HANDOVER_BEGIN = 32,  /* a new txid */
	HANDOVER_EXPORT = 33, /* the guest is suspended, or there is none */
	HANDOVER_COMMIT = 34,
	HANDOVER_CANCEL = 35, /* also when the connection is lost */
	HANDOVER_FINISH = 36, /* the guest runs there: no give-back is wanted */
	HANDOVER_GIVE_BACK = 37,
	HANDOVER_TICK = 38, /* now and then, and when there is a connection again */
	HANDOVER_TAKE = 39, /* the other host, and its copy, never come back */
	/* the manager's answers */
	HANDOVER_JUDGED_GOOD = 48,
	HANDOVER_JUDGED_BAD = 49,
	HANDOVER_EXPORTED = 50,
	HANDOVER_MADE = 51,	 /* it has a key and the host's quote of it */
	HANDOVER_IMPORTED = 52,	 /* and all of it is durable */
	HANDOVER_LOST = 53,	 /* it ended, or failed */
	HANDOVER_UNTOUCHED = 54, /* it has executed no command since the import ... */
	HANDOVER_TOUCHED = 55,	 /* ... or it has, or began anew */
};

enum handover_act {
	/* The record gets h's state and txids, and is durable before anything that follows
	 * is done.  When the disk does not take it: tried until it does. */
	HANDOVER_STORE = 1,
	HANDOVER_SEND, /* a message of todo->txid */
	/* the source's manager */
	HANDOVER_JUDGE,
	HANDOVER_FREEZE, /* it finishes the command in flight, stores, and exports */
	HANDOVER_THAW,	 /* it goes on; when it is gone it is started as after a crash */
	/* It ends, key slots and states are erased; the record is, too, when its state is
	 * ABSENT.  Either side's. */
	HANDOVER_WIPE,
	/* the destination's manager */
	HANDOVER_MAKE, /* folder and manager */
	HANDOVER_IMPORT,
	HANDOVER_ACTIVATE, /* it runs; when it is gone it is started as after a crash */
	HANDOVER_DEACTIVATE,
};

/* Starts with a state of ABSENT or HERE, or as its record says. */
struct handover {
	enum handover_state state;
	uint8_t txid[HANDOVER_TXID_SIZE];
	/* Of the last transfer that ended in AWAY; zeroes: none.  A destination may still ask
	 * about it, so that what would be ABSENT is AWAY then. */
	uint8_t gone[HANDOVER_TXID_SIZE];
};

struct handover_event {
	enum handover_kind kind;
	const uint8_t *txid; /* of a message, and of BEGIN */
};

#define HANDOVER_TODO_MAX 3

struct handover_todo {
	size_t n;
	struct {
		enum handover_act act;
		enum handover_kind message; /* SEND */
	} item[HANDOVER_TODO_MAX];
	uint8_t txid[HANDOVER_TXID_SIZE];
};

/* Changes h, and says what is to be done.  Returns 0, also for a message that means nothing
 * any more; -EPERM: what is no message does not fit the state, and nothing is changed. */
int __must_check handover_step(struct handover *h, const struct handover_event *ev,
			       struct handover_todo *todo);
/* Whether the message says that the other host runs it, too: one that was TAKEN here, or whose
 * source has lost the record that it released it. */
bool handover_contests(const struct handover *h, const struct handover_event *ev);
/* After a crash, or the start of vtpmd: h is as the record says. */
void handover_restart(struct handover *h, struct handover_todo *todo);

/* Whether its manager may execute commands. */
bool handover_runs(const struct handover *h);
/* For an operator: "released". */
const char *handover_word(enum handover_state state);

#endif
