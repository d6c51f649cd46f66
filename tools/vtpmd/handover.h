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
 * A crash leads to the last record, and to what the marks say (below).  No record is HERE when
 * there is a folder, else ABSENT.  ABSENT with a record is a folder that has to be erased.
 * TAKEN runs, whatever the other host says of the transfer when it is there again after all:
 * ABORT and the message TAKEN are refused, and RELEASED gets the answer that has it erase what
 * it has.
 *
 * Messages may be lost, doubled, late or out of order.  Each names its transfer by a random
 * number (txid) that is never used again, and is sent again (HANDOVER_TICK) until the other
 * side has answered; the transport says that it is the other host's.
 *
 * An EXPORT opens with the key of one ACCEPT, which the manager made that is to import it
 * and keeps in its memory alone: so the late messages of a transfer lead to no second import.
 *
 * Who writes to the store can remove a record, or put back an older one.  So the host's TPM
 * keeps a mark of the transfer (tools/vtpmd/anchor_file.h), which no file takes back:
 *
 *   LEAVING   PROVED to CONFIRMED: this host may have released it
 *   ARRIVING  ACCEPTED to OWNED: the other host may not have released it
 *   GIVING    BACK: this host may have given it back
 *
 * Each is in the TPM before the state is entered of which it tells, and before the guest stands
 * still.  A mark that a state does not have is taken away some time after that state is entered,
 * and the whole entry when the vTPM has gone: until then (FORGOTTEN) no message is sent that
 * lets the other host run it.  After a crash a mark counts more than a record:
 *
 *   LEAVING   its record is RELEASED or AWAY, else DOUBT: the destination is asked; RELEASED,
 *             too, when there is no folder any more, so that it gives up nothing for that
 *   ARRIVING  PREPARED, or UNSURE when it may have run since: the source is asked
 *   GIVING    BACK
 *   none      its record, but for RELEASED, which is DOUBT
 *
 * A record that says that the vTPM has gone, or came to nothing, has it erased only with the mark
 * of that transfer: an older one that is put back does not.  Nor has a message what is whole, and
 * has no mark.  It is STRAY then, which neither runs nor is erased, and has no other host erase
 * anything, until an operator takes or deletes it.
 *
 * A host whose TPM knows the vTPM, and that has not got its folder, or has a folder of which its TPM
 * knows nothing, sends nothing that has the other host erase its own.  When that gives it back it is
 * AWAY, and says GONE once its TPM has forgotten it.  After a crash no record counts of a vTPM of
 * which the TPM knows nothing, but INCOMING and HERE: it is ABSENT, and its folder STRAY.
 *
 * In DOUBT the source sends ASK.  The destination that has run it says KEPT; one that was only
 * prepared gives it up, and says NOTHING: the vTPM goes on at the source.  A destination that is
 * UNSURE says PREPARED again, to which the source answers; and a source that is AWAY says DONE again
 * when it is asked to go on.
 *
 * What holds, and tests/unit/handover_test.c shows for all orders and crashes:
 * - At most one side's manager executes commands, also when records are removed or put back.
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
	/* source; no record: only the destination knows whether it was released */
	HANDOVER_DOUBT = 19,
	/* destination; its manager executes nothing, and the host's TPM gets the mark GIVING; the
	 * record is OWNED, or PREPARED */
	HANDOVER_YIELDING = 20,
	/* destination; no record that counts: only the source knows whether it released it */
	HANDOVER_UNSURE = 21,
	/* either side; no record that counts: it is here, whole, and not in a transfer, as the
	 * host's TPM knows, though the record has it erased */
	HANDOVER_STRAY = 22,
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
	/* of the source, in DOUBT */
	HANDOVER_MSG_ASK = 13, /* who has it? */
	/* of the destination */
	HANDOVER_MSG_NOTHING = 14, /* it never runs this transfer, as its TPM knows */
	HANDOVER_MSG_KEPT = 15,	   /* it has run it; of the last ASK, and no late one */
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
	HANDOVER_MADE = 51,	/* it has a key and the host's quote of it */
	HANDOVER_IMPORTED = 52, /* and all of it is durable */
	HANDOVER_LOST = 53,	/* it ended, or failed */
	/* it has executed no command since the import; or it began anew, and finds what was
	 * imported, as it was ... */
	HANDOVER_UNTOUCHED = 54,
	HANDOVER_TOUCHED = 55, /* ... or it has, or that is not known */
	/* the host's TPM */
	HANDOVER_MARKED = 56,	 /* it has the mark of HANDOVER_MARK */
	HANDOVER_FORGOTTEN = 57, /* it has nothing of the vTPM, which was erased */
};

/* What the host's TPM knows of the transfer.  The numbers are in the anchor's table. */
enum handover_mark {
	HANDOVER_NO_MARK = 0,
	HANDOVER_LEAVING = 1,
	HANDOVER_ARRIVING = 2,
	HANDOVER_GIVING_BACK = 3,
	HANDOVER_MARKS,
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
	/* the destination's manager executes nothing, and the host's TPM gets GIVING_BACK; then
	 * HANDOVER_MARKED */
	HANDOVER_MARK,
};

/* Starts with a state of ABSENT or HERE, or as its record says. */
struct handover {
	enum handover_state state;
	uint8_t txid[HANDOVER_TXID_SIZE];
	/* Of the last transfer that ended in AWAY; zeroes: none.  A destination may still ask
	 * about it, so that what would be ABSENT is AWAY then. */
	uint8_t gone[HANDOVER_TXID_SIZE];
	/* In ABSENT and AWAY: the host's TPM has nothing of the vTPM, so that no folder that is
	 * put back is run.  Not in the record. */
	bool forgotten;
	/* As it is before each event; not in the record. */
	bool missing; /* the host's TPM knows the vTPM, or there is its folder, and not both */
	bool unmarked; /* there are both, and it is in no transfer */
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

/* Whether the kind is a message's, and no event of this host's own: an operator's, its manager's or
 * its TPM's. */
bool handover_is_message(enum handover_kind kind);
/* Changes h, and says what is to be done.  Returns 0, also for a message that means nothing
 * any more; -EPERM: what is no message does not fit the state, and nothing is changed. */
int __must_check handover_step(struct handover *h, const struct handover_event *ev,
			       struct handover_todo *todo);
/* After a crash: what the host's TPM, which knows the vTPM, says beside the record; whole: the
 * folder has a state that can be run.  Before handover_restart(). */
void handover_recover(struct handover *h, enum handover_mark mark,
		      const uint8_t txid[HANDOVER_TXID_SIZE], bool whole);
/* The same of one of which the host's TPM knows nothing; there: it has a folder. */
void handover_recover_unknown(struct handover *h, bool there);
/* Whether a mark that is left of a transfer is to be taken away in this state. */
bool handover_needs_no_mark(const struct handover *h);
/* Whether the message says that the other host runs it, too: one that was TAKEN here, or whose
 * source has lost the record that it released it. */
bool handover_contests(const struct handover *h, const struct handover_event *ev);
/* After a crash, or the start of vtpmd: h is as the record says. */
void handover_restart(struct handover *h, struct handover_todo *todo);

/* Whether nothing is here, or all that is has to be erased. */
bool handover_is_empty(const struct handover *h);
/* Whether its manager may execute commands. */
bool handover_runs(const struct handover *h);
/* For an operator: "released". */
const char *handover_word(enum handover_state state);

#endif
