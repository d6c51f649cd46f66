/* SPDX-License-Identifier: Apache-2.0 */
/* What the files move*.c share. */
#ifndef VTPMD_MOVE_PRIVATE_H
#define VTPMD_MOVE_PRIVATE_H

#include "lib/move.h"
#include "tools/vtpmd/move.h"

#include <event2/util.h>

/* Vtpms that are, or were, in a handover, since the records were last erased. */
#define MOVES_MAX 10000
/* That many more than are in a handover are kept, before those that say nothing are dropped. */
#define MOVES_IDLE 16
/* Messages of one that wait for a client, which are as many as a connection takes at once. */
#define MOVE_OUTBOX_MAX 8
#define MOVE_QUESTION	16
/* In which nothing is heard of a move: nobody goes on with it.  Longer than a client waits for the
 * other side. */
#define MOVE_ALONE_S 90
/* Until what could not be erased is tried again. */
#define MOVE_ERASE_AGAIN_S 30

struct move_bytes {
	uint8_t *p; /* malloc()ed */
	size_t n;
};

struct move {
	struct move *next;
	struct tree_node by_uuid;
	struct vtpmd *d;
	struct move_record r;
	/* As they were sent, or came; of an EXPORT that came, what was sealed, and board. */
	struct move_bytes offer, accept, export, board;
	struct move_bytes ek; /* TPM2B_PUBLICs, of the OFFER */
	/* Of the OFFER that came: what was measured of the guest that comes along (lib/measure.h),
	 * n 0: nothing; and that guest's uuid. */
	struct move_bytes launch;
	uint8_t launched[16];
	/* Of which vTPM that OFFER says that it is a copy: of the vTPM once it is whole. */
	bool is_copy;
	uint8_t copy_of[16];
	char why[320];	/* it came to nothing; "": it did not */
	char said[320]; /* a sentence about it, until the client has that */
	/* for the audit log, which gets it a while later; "": nothing */
	char entry[POOL_NAME_MAX + 2 * HANDOVER_TXID_SIZE + 96];
	struct event *audit;
	json_t *outbox;		 /* messages, hex, until a client takes them */
	struct control *client;	 /* waits for the manager; NULL: none */
	struct control *carrier; /* move_carry.c; NULL: none */
	struct event *erase, *late, *greet;
	/* until the guest's board has no command (source), or is there (destination) */
	struct event *calm, *ready;
	unsigned int looks;
	bool calms;
	struct event *watch;	     /* for one that nobody goes on with ... */
	int64_t heard_ms;	     /* ... since: stamp_ms() */
	struct anchor_mark unmarked; /* what an operator's taking has the TPM forget */
	/* The host's TPM: what it has of the transfer, as of the start of vtpmd (move_mark.c) ... */
	struct anchor_mark found;
	bool has_entry;
	bool stepped;	      /* ... and it has been in another state since that */
	struct event *unmark; /* a mark that is not needed any more */
	bool holds; /* the client waits until the TPM has a mark, or has none any more ... */
	bool forgets;	  /* ... or nothing of the vTPM */
	bool erased;	  /* by this vtpmd */
	bool erase_fails; /* it is tried again: m->erase is pending */
	bool pends; /* its record has it erased, if that is what the host's TPM knows */
	bool lacks; /* its folder has not got what the host's TPM knows */
	uint8_t nonce[MOVE_QUESTION],
		question[MOVE_QUESTION]; /* of ASK: own, the other's */
	/* Destination: until the host's TPM knows the header, which is made before the guest
	 * stands still, and the epoch of what is imported under it. */
	struct waiter anchored;
	uint64_t header; /* the generation of that; 0: none yet */
	bool is_anchored, imported, furnished;
	struct waiter waiter; /* until the vTPM has stopped ... */
	bool waits;	      /* ... if so */
	bool lost;	      /* there is no manager to be told */
	bool contested;	      /* the other host says that it has it, too */
	/* Destination: what came is not given back any more, since it has executed a command here or that
	 * cannot be known ... */
	bool stays;
	bool touched;	      /* ... since it has */
	bool recorded;	      /* it has a file */
	struct twin_own room; /* that file, as long as records are written in place ... */
	bool is_room;	      /* ... and it was made for that alone */
	bool is_twin;	      /* it may be one of an earlier vtpmd's */
	bool unwritten;	      /* its last one could not be written, and that was said */
	int unread;	      /* -errno: its file could not be read */
	/* AWAY, as it was, while another host than that to which it has moved offers it: that is what
	 * is recorded, and what it is again when nothing comes of the offer.  Its peer is "": none. */
	struct move_record away;
	bool over; /* HERE: the other host has nothing of it any more, and said so */
};

#define MOVE_NOT_WRITTEN                                             \
	"The record of its handover could not be written here: see " \
	"the space of the store's disk."

/* Stores m's record.  Returns whether what follows upon that may be done; else the disk has what it
 * had. */
bool move_store_record(struct move *m, enum handover_state before);
/* In the state that comes before a guest may stand still: makes room for the records of that time. */
void move_make_room(struct move *m);
/* In a state that is past it: what was made has no use any more. */
void move_give_room_back(struct move *m);
/* When the guest has long gone on, or waits for the other host: makes the record plain.  0, or -errno:
 * it is as it was. */
int __must_check move_settle_record(struct move *m);
/* Of a vTPM that has come whole, as its record says, though its description could not be written since: it
 * is none that was being made, of which a start says that it may be deleted. */
void move_describe_come(const struct move *m, struct vtpm *v);
/* Whether not all records could be read, and none moves: *e, and -errno; else 0. */
int __must_check move_lacks_records(const struct vtpmd *d, struct error *e);
/* That a vTPM is in a handover, which keeps an operation from it: *e, and -EBUSY. */
int move_refuse_in_handover(const struct move *m, const char *name, struct error *e);
/* The same as move_lacks_records(), of m's record alone, which could not be read. */
int __must_check move_refuse_unread(const struct move *m, struct error *e);
/* NULL: none, or out of memory */
struct move *move_find(struct vtpmd *d, const uint8_t uuid[16]);
struct move *move_new(struct vtpmd *d, const struct move_record *r);
/* The same, however many there are: records that somebody makes leave room for what the host's
 * TPM knows. */
struct move *move_new_marked(struct vtpmd *d, const struct move_record *r);
/* NULL: it has none, or none any more. */
struct vtpm *move_vtpm(const struct move *m);
/* What is AWAY after an offer that came to nothing is with the host to which it had moved. */
void move_recall_away(struct move *m);
/* It came to nothing, and this is why. */
void move_set_why(struct move *m, const char *text);
/* Takes an event in, and has done what follows. */
int move_step(struct move *m, enum handover_kind kind, const uint8_t *txid);
/* Whether m is with another host than the peer. */
bool move_is_with_other(const struct move *m, const char *peer);
/* apart: the messages that a peer gets with which m is not: of an earlier transfer, or REFUSE.
 * -EPERM: another host's handover; -EKEYREJECTED: another machine's; -ENOSPC: there are as many
 * records as it takes; -EBADMSG, -ENOMEM */
int __must_check move_hear(struct vtpmd *d, const char *peer,
			   const struct move_message *msg, json_t *apart);
/* A message, hex; NULL: out of memory. */
json_t *move_encode(const struct move *m, enum handover_kind message,
		    const uint8_t txid[HANDOVER_TXID_SIZE], struct move_bytes body);
/* Has it in the outbox: a message of that transfer. */
void move_send(struct move *m, enum handover_kind message,
	       const uint8_t txid[HANDOVER_TXID_SIZE]);
/* Copies p; what b had is freed.  -ENOMEM */
int __must_check move_keep_bytes(struct move_bytes *b, const void *p, size_t n);
void move_drop_bytes(struct move_bytes *b);
/* Answers the client that waits, unless the manager is still to answer. */
void move_answer(struct move *m);
/* Something was heard of it, or it is in another state. */
void move_watch(struct move *m);
void move_on_watch(evutil_socket_t fd, short what, void *ctx);
/* The audit log gets at once what it was to get later. */
void move_audit_now(struct move *m);
/* Nobody carries it any more. */
void move_note_alone(struct move *m);
/* Of m->calm: exports, once no command of the guest's is left. */
void move_on_calm(evutil_socket_t fd, short what, void *ctx);
/* It waited long enough. */
void move_on_late(evutil_socket_t fd, short what, void *ctx);

/* Who carries it. */

/* Whether a connection does. */
bool move_is_carried(const struct move *m);
/* Notes what c is, at its first request of a move. */
void move_note_role(struct control *c, bool for_peer);
/* Whether another connection carries m, so that c's request is refused. */
bool move_is_beside(const struct move *m, const struct control *c);
/* c carries m from now on, if m is in a transfer, and c is not a host's that only asks. */
void move_carry(struct move *m, struct control *c);
/* c carries nothing any more. */
void move_lay_down(struct control *c);

/* Handovers that are over. */

/* Whether the vTPM is here and this host's, though m is ABSENT: there was no record of it, or it was
 * made again since.  Not one that is being erased, or could not be: another host may run that. */
bool move_is_own(const struct move *m);
/* Whether nothing is lost with m; full: there is no room for others. */
bool move_is_spare(const struct move *m, bool full);
/* Removes a record that is of no use any more. */
void move_settle(struct move *m);
/* The same, of one that vtpmd has found, and of which the host's TPM has no mark. */
void move_settle_found(struct move *m);
/* An operator's wish: removes the record of a vTPM that is not here.  -EOPNOTSUPP: *why tells */
int __must_check move_drop(struct move *m, const char **why);
/* Erases what is left of one that was released, or is in doubt, as an operator says that it runs on a
 * third host: the other one had it, and knows nothing of this transfer any more.  -EOPNOTSUPP: *why. */
int __must_check move_disown(struct move *m, const char **why);
/*
 * {"op": "move", "event": "list"}      those that have moved away, or are in a handover
 * {"op": "move", "event": "waiting"}   those that wait for the other host, of which nobody asks now
 *   -> {"ok": true, "moves": [{"name": NAME, "uuid": UUID, "call": NAME|UUID, "state": WORD,
 *       "peer": HOST, "here": true, "quiet_s": 17}, ...], "records": 12, "limit": 10000,
 *       "old_list": SENTENCE}
 * old_list: why no vTPM moves, as the list of hosts is older than one that was used; null: it is not
 */
void move_list_on_control(struct control *c, bool waiting);

/* Of m->stays: why. */
const char *move_stays(const struct move *m);

/* The guest of Xen that moves along. */

/* The uuid of the domain that uses the vTPM; false: none does. */
bool move_guest(const struct vtpm *v, uint8_t uuid[16]);
/* Whether no guest that runs uses it, so that what is exported is the last of it. */
bool move_guest_rests(const struct vtpm *v);
/* Whether a guest that has it was started here, and is not suspended. */
bool move_guest_runs(const struct vtpm *v);
/* What of its TPM is in domain 0; n 0: nothing.  -ENOENT, -EIO, -ENOMEM, -EBADMSG */
int __must_check move_guest_take(struct vtpm *v, struct move_bytes *board);
/* Whether the guest that came along has a board, for which that is awaited. */
/* The guest that had it last, and is not there any more: what the TPM holds is what it left, if
 * it was saved.  Not an HVM guest, of whose board more is here than moves. */
bool move_guest_saved(const struct vtpm *v, struct guest *saved);
bool move_guest_has_board(const struct vtpm *v);
/* Has its TPM on its board, as it was; crb_is_ready() follows. */
int __must_check move_guest_give(struct vtpm *v, const struct move_bytes *board,
				 const char **why);

/* What was measured of that guest. */

/* NULL: it was not launched, or its xl, with what it boots, has gone. */
json_t *move_launch_describe(const struct vtpm *v);
/* Of an OFFER's description; -EBADMSG: it makes no sense; -ENOMEM */
int __must_check move_launch_take(struct move *m, const json_t *description);
/*
 * {"op": "move", "name": NAME, "event": "launch"}, which answers at once.  At the source:
 *   -> {"ok": true, "uuid": UUID, "measurements": HEX}   of the guest that has the vTPM; "": none
 * At the destination the launch's file is made besides, for vtpmctl to lock it:
 *   -> {"ok": true, "uuid": ..., "measurements": ..., "lease": PATH}
 */
void move_launch_on_control(struct control *c, struct move *m);

/* What the host's TPM knows of it. */

/* At the start: whether its folder has what m->found is of, and can be run; without a mark,
 * whether it was ever made. */
bool move_is_whole(const struct move *m);
/* Sets what struct handover has of folder and TPM: before each event. */
void move_note_facts(struct move *m);
/* What vtpmd does upon its record, and what the TPM knows, but for starting it. */
void move_resume_one(struct move *m);
/* Has the entry have that mark, of this transfer. */
void move_set_mark(struct move *m, enum handover_mark kind);
/* HANDOVER_JUDGED_GOOD, or JUDGED_BAD, follows when the TPM has the mark. */
void move_mark_leaving(struct move *m);
/* HANDOVER_MARKED follows. */
void move_mark_giving(struct move *m);
/* Whether there is one. */
bool move_has_mark(const struct move *m);
/* Has the mark taken away, once the state it is in has lasted. */
void move_unmark_later(struct move *m);
void move_on_unmark(evutil_socket_t fd, short what, void *ctx);
/* HANDOVER_TAKE, once the TPM has no mark.  -EPERM */
int move_take(struct move *m);
/* HANDOVER_FORGOTTEN follows, when all is erased; for ever never, if its folder was removed by
 * others. */
void move_forget_later(struct move *m);
/* Whether that is under way. */
bool move_is_erasing(const struct move *m);

/* What other hosts may have done here. */

/* A vTPM is to be made for that host.  NULL: it may; else the sentence that says why not. */
const char *move_limit_take(struct vtpmd *d, const char *peer);
/* That host's transfer came to something, and is over. */
void move_limit_return(const char *peer);

/* Which machine the other host is. */

/* A move begins: the record has the key of m->r.peer, if the list of hosts has one. */
void move_note_other(struct move *m);
/* Whether m is under way with a machine of which the list of hosts has another key now. */
bool move_is_replaced(const struct move *m);
/* Whether m's other host is not heard: it is such a machine, or nobody knows, as host.json or the list
 * cannot be used. */
bool move_is_deaf(const struct move *m);
/* Why. */
void move_tell_replaced(const struct move *m, char *text, size_t size);

/* What an OFFER says. */

/* Writes m->offer of the vTPM. */
int __must_check move_make_offer(struct move *m, struct vtpm *v);
/* Takes another host's in.  -EBADMSG */
int __must_check move_take_offer(struct move *m, const uint8_t *body, size_t len);
/* Makes the vTPM that m->offer describes, and starts its manager. */
int __must_check move_create(struct move *m, struct error *e);
/* All of it is stored: has v be what its header says, which its manager has written, in place of
 * what the OFFER said.  -EBADMSG: the guest that comes along was let in for another one. */
int __must_check move_describe(struct move *m, struct vtpm *v, struct error *e);
/* The pool, beside host.json.  -ENOENT; -ESTALE: it is older than one that was used. */
int __must_check move_read_pool(struct vtpmd *d, struct move_bytes *pool);
/* NULL, or the sentence of -ESTALE. */
const char *move_old_pool(struct vtpmd *d);
/* The same, for an operator who looks: a newer list is not used by that. */
const char *move_see_old_pool(struct vtpmd *d);

#endif
