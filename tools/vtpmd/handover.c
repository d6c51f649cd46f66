/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/handover.h"

#include <errno.h>
#include <string.h>

#define IN(state) (1u << HANDOVER_##state)

enum {
	ANY = (1u << HANDOVER_STATES) - 1,
	SOURCE_RUNS = IN(OFFERED) | IN(JUDGING) | IN(PROVED),
	SOURCE_FROZEN = IN(EXPORTING) | IN(FROZEN) | IN(HELD),
	GIVEN = IN(RELEASED) | IN(CONFIRMED),
	COMING = IN(INCOMING) | IN(ACCEPTED) | IN(IMPORTING),
	/* this host has not got it, and owes nobody an answer about it */
	EMPTY = IN(ABSENT) | IN(AWAY),
	/* what this host has run of the transfer, or runs */
	KEPT = IN(OWNED) | IN(GIVING) | IN(UNSURE) | IN(HERE) | IN(TAKEN),
	/* it knows that a transfer of which it has nothing came to nothing.  Not a host that has
	 * lost its store: the only copy may be the destination's; and not one that may yet have
	 * to take the destination's */
	KNOWS = ANY & ~(IN(ABSENT) | IN(STRAY)),
	OWNS = IN(HERE) | IN(TAKEN) | SOURCE_RUNS | SOURCE_FROZEN,
};

/* Which transfer the event has to be of. */
enum which {
	NEW,	 /* begins one */
	CURRENT, /* h->txid, or the event has none */
	BARE,	 /* the same, and nothing that could be run is here */
	GONE,	 /* h->gone */
	OTHER,	 /* none of them */
};

struct row {
	enum handover_kind kind;
	enum which which;
	unsigned int from;
	int to; /* enum handover_state; -1: it stays */
	struct {
		enum handover_act act;
		enum handover_kind message;
	} todo[HANDOVER_TODO_MAX];
};

#define STAYS (-1)
#define DO(what)                       \
	{                              \
		.act = HANDOVER_##what \
	}
#define SEND(what)                                                   \
	{                                                            \
		.act = HANDOVER_SEND, .message = HANDOVER_MSG_##what \
	}

/* The first row that fits is taken. */
static const struct row table[] = {
	/* source */
	{HANDOVER_BEGIN, NEW, IN(HERE) | IN(TAKEN), HANDOVER_OFFERED, {SEND(OFFER)}},
	{HANDOVER_MSG_ACCEPT, CURRENT, IN(OFFERED), HANDOVER_JUDGING, {DO(JUDGE)}},
	{HANDOVER_JUDGED_GOOD, CURRENT, IN(JUDGING), HANDOVER_PROVED, {}},
	{HANDOVER_JUDGED_BAD, CURRENT, IN(JUDGING), HANDOVER_HERE, {SEND(ABORT)}},
	{HANDOVER_EXPORT, CURRENT, IN(PROVED), HANDOVER_EXPORTING, {DO(FREEZE)}},
	{HANDOVER_EXPORTED, CURRENT, IN(EXPORTING), HANDOVER_FROZEN, {SEND(EXPORT)}},
	{HANDOVER_MSG_PREPARED, CURRENT, IN(FROZEN), HANDOVER_HELD, {}},
	{HANDOVER_COMMIT,
	 CURRENT,
	 IN(HELD),
	 HANDOVER_RELEASED,
	 {DO(STORE), SEND(RELEASED)}},
	{HANDOVER_MSG_ACTIVATED, CURRENT, GIVEN, HANDOVER_CONFIRMED, {}},
	{HANDOVER_FINISH,
	 CURRENT,
	 IN(CONFIRMED),
	 HANDOVER_AWAY,
	 {DO(STORE), DO(WIPE)}}, /* and DONE: FORGOTTEN */

	/* what the destination has is all that is left; GONE: when it asks again */
	{HANDOVER_MSG_BACK,
	 BARE,
	 GIVEN | IN(DOUBT),
	 HANDOVER_AWAY,
	 {DO(STORE), DO(WIPE)}},

	/* nothing here says whether it was released */
	{HANDOVER_MSG_NOTHING,
	 CURRENT,
	 GIVEN | IN(DOUBT),
	 HANDOVER_HERE,
	 {DO(STORE), DO(THAW)}},
	{HANDOVER_MSG_BACK,
	 CURRENT,
	 IN(DOUBT),
	 HANDOVER_HERE,
	 {DO(STORE), DO(THAW), SEND(TAKEN)}},
	{HANDOVER_MSG_KEPT,
	 CURRENT,
	 IN(DOUBT),
	 HANDOVER_RELEASED,
	 {DO(STORE), SEND(RELEASED)}},
	{HANDOVER_MSG_PREPARED, CURRENT, IN(DOUBT), STAYS, {SEND(ASK)}},
	{HANDOVER_MSG_ACCEPT, CURRENT, IN(DOUBT), STAYS, {SEND(ASK)}},
	/* which may be a late one */
	{HANDOVER_MSG_ACTIVATED, CURRENT, IN(DOUBT), STAYS, {SEND(ASK)}},

	/* it comes to nothing */
	{HANDOVER_CANCEL, CURRENT, SOURCE_RUNS, HANDOVER_HERE, {SEND(ABORT)}},
	{HANDOVER_CANCEL, CURRENT, SOURCE_FROZEN, HANDOVER_HERE, {DO(THAW), SEND(ABORT)}},
	{HANDOVER_LOST, CURRENT, SOURCE_RUNS, HANDOVER_HERE, {SEND(ABORT)}},
	{HANDOVER_LOST, CURRENT, IN(EXPORTING), HANDOVER_HERE, {DO(THAW), SEND(ABORT)}},
	{HANDOVER_MSG_REFUSE, CURRENT, SOURCE_RUNS, HANDOVER_HERE, {}},
	{HANDOVER_MSG_REFUSE, CURRENT, SOURCE_FROZEN, HANDOVER_HERE, {DO(THAW)}},

	/* it is given back */
	{HANDOVER_MSG_BACK,
	 CURRENT,
	 SOURCE_FROZEN,
	 HANDOVER_HERE,
	 {DO(THAW), SEND(TAKEN)}},
	{HANDOVER_MSG_BACK,
	 CURRENT,
	 GIVEN,
	 HANDOVER_HERE,
	 {DO(STORE), DO(THAW), SEND(TAKEN)}},
	{HANDOVER_MSG_BACK, GONE, ANY, STAYS, {SEND(GONE)}},
	/* it was taken, and nobody heard so */
	{HANDOVER_MSG_BACK, CURRENT, IN(HERE) | IN(TAKEN), STAYS, {SEND(TAKEN)}},
	{HANDOVER_MSG_BACK, OTHER, OWNS, STAYS, {SEND(TAKEN)}},

	/* late messages of the destination's, which waits for an answer */
	{HANDOVER_MSG_PREPARED, CURRENT, GIVEN, STAYS, {SEND(RELEASED)}},
	{HANDOVER_MSG_PREPARED, CURRENT, IN(HERE) | IN(TAKEN), STAYS, {SEND(ABORT)}},
	/* it has run there, and what it was is not known there any more */
	{HANDOVER_MSG_PREPARED, GONE, EMPTY, STAYS, {SEND(RELEASED)}},
	{HANDOVER_MSG_PREPARED, OTHER, KNOWS, STAYS, {SEND(ABORT)}},
	{HANDOVER_MSG_ACCEPT,
	 CURRENT,
	 IN(HERE) | IN(TAKEN) | EMPTY,
	 STAYS,
	 {SEND(ABORT)}},
	{HANDOVER_MSG_ACCEPT, OTHER, KNOWS, STAYS, {SEND(ABORT)}},
	/* that may have been away, and its record is gone: who gives it back has it */
	{HANDOVER_MSG_ACCEPT, OTHER, IN(ABSENT), STAYS, {SEND(GONE)}},
	/* no ABORT: it may have this transfer already, and give it back */
	{HANDOVER_MSG_ACCEPT, GONE, ANY, STAYS, {SEND(GONE)}},
	{HANDOVER_MSG_ACTIVATED, GONE, ANY, STAYS, {SEND(DONE)}},
	/* it was taken there, as if this host were lost */
	{HANDOVER_MSG_ACTIVATED, CURRENT, IN(HERE), STAYS, {SEND(ABORT)}},
	{HANDOVER_MSG_ACTIVATED, OTHER, OWNS, STAYS, {SEND(ABORT)}},

	/* destination */
	{HANDOVER_MSG_OFFER, NEW, EMPTY, HANDOVER_INCOMING, {DO(STORE), DO(MAKE)}},
	{HANDOVER_MSG_OFFER, CURRENT, IN(ACCEPTED), STAYS, {SEND(ACCEPT)}},
	{HANDOVER_MSG_OFFER, CURRENT, EMPTY, STAYS, {SEND(REFUSE)}},
	{HANDOVER_MSG_OFFER, OTHER, ANY & ~EMPTY, STAYS, {SEND(REFUSE)}},
	{HANDOVER_MADE, CURRENT, IN(INCOMING), HANDOVER_ACCEPTED, {SEND(ACCEPT)}},
	{HANDOVER_MSG_EXPORT, CURRENT, IN(ACCEPTED), HANDOVER_IMPORTING, {DO(IMPORT)}},
	{HANDOVER_MSG_EXPORT, CURRENT, IN(PREPARED), STAYS, {SEND(PREPARED)}},
	{HANDOVER_MSG_EXPORT, CURRENT, EMPTY, STAYS, {SEND(REFUSE)}},
	{HANDOVER_MSG_EXPORT, OTHER, ANY, STAYS, {SEND(REFUSE)}},
	{HANDOVER_IMPORTED,
	 CURRENT,
	 IN(IMPORTING),
	 HANDOVER_PREPARED,
	 {DO(STORE), SEND(PREPARED)}},
	{HANDOVER_LOST,
	 CURRENT,
	 COMING,
	 HANDOVER_ABSENT,
	 {DO(STORE), DO(WIPE), SEND(REFUSE)}},
	{HANDOVER_MSG_ABORT,
	 CURRENT,
	 COMING | IN(PREPARED),
	 HANDOVER_ABSENT,
	 {DO(STORE), DO(WIPE)}},
	{HANDOVER_MSG_RELEASED,
	 CURRENT,
	 IN(PREPARED),
	 HANDOVER_OWNED,
	 {DO(STORE), DO(ACTIVATE), SEND(ACTIVATED)}},
	{HANDOVER_MSG_RELEASED, CURRENT, IN(OWNED) | IN(HERE), STAYS, {SEND(ACTIVATED)}},
	{HANDOVER_MSG_RELEASED, CURRENT, IN(BACK), STAYS, {SEND(BACK)}},
	{HANDOVER_MSG_DONE, CURRENT, IN(OWNED), HANDOVER_HERE, {DO(STORE)}},
	{HANDOVER_MSG_DONE,
	 CURRENT,
	 IN(GIVING),
	 HANDOVER_HERE,
	 {DO(STORE), DO(ACTIVATE)}},

	/* the source does not know, and this host does; or it decides, and lets go */
	{HANDOVER_MSG_ASK, CURRENT, KEPT, STAYS, {SEND(KEPT)}},
	{HANDOVER_MSG_ASK, CURRENT, IN(BACK), STAYS, {SEND(BACK)}},
	{HANDOVER_MSG_ASK,
	 CURRENT,
	 COMING | IN(PREPARED) | IN(STRAY),
	 HANDOVER_ABSENT,
	 {DO(STORE), DO(WIPE)}},
	{HANDOVER_MSG_ASK, CURRENT, EMPTY, STAYS, {SEND(NOTHING)}},
	{HANDOVER_MSG_ASK,
	 OTHER,
	 IN(ABSENT) | IN(ACCEPTED) | IN(IMPORTING) | IN(PREPARED),
	 STAYS,
	 {SEND(NOTHING)}},
	{HANDOVER_MSG_RELEASED, CURRENT, EMPTY, STAYS, {SEND(NOTHING)}},
	{HANDOVER_MSG_RELEASED, OTHER, IN(ABSENT), STAYS, {SEND(NOTHING)}},
	{HANDOVER_MSG_RELEASED,
	 CURRENT,
	 IN(UNSURE),
	 HANDOVER_OWNED,
	 {DO(STORE), DO(ACTIVATE), SEND(ACTIVATED)}},
	{HANDOVER_MSG_DONE,
	 CURRENT,
	 IN(UNSURE) | IN(YIELDING),
	 HANDOVER_HERE,
	 {DO(STORE), DO(ACTIVATE)}},
	{HANDOVER_MSG_GONE,
	 CURRENT,
	 IN(UNSURE) | IN(YIELDING),
	 HANDOVER_HERE,
	 {DO(STORE), DO(ACTIVATE)}},

	/* all is erased, and the TPM knows */
	{HANDOVER_FORGOTTEN, GONE, IN(AWAY), STAYS, {SEND(DONE)}},
	{HANDOVER_FORGOTTEN, CURRENT, EMPTY, STAYS, {}}, /* who asks is answered */

	/* it gives back */
	{HANDOVER_GIVE_BACK, CURRENT, IN(OWNED), HANDOVER_GIVING, {DO(DEACTIVATE)}},
	{HANDOVER_UNTOUCHED, CURRENT, IN(GIVING), HANDOVER_YIELDING, {DO(MARK)}},
	{HANDOVER_MARKED, CURRENT, IN(YIELDING), HANDOVER_BACK, {DO(STORE), SEND(BACK)}},
	{HANDOVER_TOUCHED, CURRENT, IN(GIVING), HANDOVER_OWNED, {DO(ACTIVATE)}},
	{HANDOVER_LOST, CURRENT, IN(GIVING), HANDOVER_OWNED, {DO(ACTIVATE)}},
	{HANDOVER_GIVE_BACK, CURRENT, IN(PREPARED), HANDOVER_YIELDING, {DO(MARK)}},
	{HANDOVER_MSG_TAKEN, CURRENT, IN(BACK), HANDOVER_ABSENT, {DO(STORE), DO(WIPE)}},
	{HANDOVER_MSG_GONE, CURRENT, COMING, HANDOVER_ABSENT, {DO(STORE), DO(WIPE)}},
	{HANDOVER_MSG_GONE, CURRENT, IN(BACK), HANDOVER_HERE, {DO(STORE), DO(ACTIVATE)}},

	/* an operator takes it; the other host may be there again */
	{HANDOVER_TAKE,
	 CURRENT,
	 GIVEN | IN(DOUBT),
	 HANDOVER_TAKEN,
	 {DO(STORE), DO(THAW)}},
	{HANDOVER_TAKE,
	 CURRENT,
	 IN(PREPARED) | IN(BACK) | IN(YIELDING) | IN(UNSURE) | IN(STRAY),
	 HANDOVER_TAKEN,
	 {DO(STORE), DO(ACTIVATE)}},
	{HANDOVER_TAKE, CURRENT, IN(OWNED), HANDOVER_TAKEN, {DO(STORE)}},
	{HANDOVER_MSG_RELEASED, CURRENT, IN(TAKEN), STAYS, {SEND(ACTIVATED)}},
	{HANDOVER_MSG_ABORT, CURRENT, IN(TAKEN), STAYS, {SEND(REFUSE)}},
	{HANDOVER_MSG_TAKEN, CURRENT, IN(TAKEN), STAYS, {SEND(REFUSE)}},
	{HANDOVER_MSG_EXPORT, CURRENT, IN(TAKEN), STAYS, {SEND(REFUSE)}},
	{HANDOVER_MSG_DONE, CURRENT, IN(TAKEN), HANDOVER_HERE, {DO(STORE)}},
	{HANDOVER_MSG_GONE, CURRENT, IN(TAKEN), HANDOVER_HERE, {DO(STORE)}},

	/* until there is an answer */
	{HANDOVER_TICK, CURRENT, IN(OFFERED), STAYS, {SEND(OFFER)}},
	{HANDOVER_TICK, CURRENT, IN(FROZEN), STAYS, {SEND(EXPORT)}},
	{HANDOVER_TICK, CURRENT, IN(RELEASED), STAYS, {SEND(RELEASED)}},
	{HANDOVER_TICK, CURRENT, IN(ACCEPTED), STAYS, {SEND(ACCEPT)}},
	{HANDOVER_TICK, CURRENT, IN(PREPARED), STAYS, {SEND(PREPARED)}},
	{HANDOVER_TICK, CURRENT, IN(OWNED) | IN(TAKEN), STAYS, {SEND(ACTIVATED)}},
	{HANDOVER_TICK, CURRENT, IN(BACK), STAYS, {SEND(BACK)}},
	{HANDOVER_TICK, CURRENT, IN(DOUBT), STAYS, {SEND(ASK)}},
	{HANDOVER_TICK, CURRENT, IN(UNSURE), STAYS, {SEND(PREPARED)}},
	{HANDOVER_TICK, CURRENT, IN(YIELDING), STAYS, {DO(MARK)}},
	/* the destination may have crashed when it had just come, and be UNSURE */
	{HANDOVER_TICK, GONE, IN(AWAY), STAYS, {SEND(DONE)}},
	{HANDOVER_TICK, GONE, ANY, STAYS, {}},
	{HANDOVER_TICK, CURRENT, ANY, STAYS, {}},
};

/* What follows upon a record. */
static const struct row restarts[] = {
	{.from = IN(HERE) | IN(TAKEN), .to = STAYS, .todo = {DO(ACTIVATE)}},
	{.from = IN(INCOMING),
	 .to = HANDOVER_ABSENT,
	 .todo = {DO(STORE), DO(WIPE), SEND(REFUSE)}},
	{.from = IN(OWNED), .to = STAYS, .todo = {DO(ACTIVATE), SEND(ACTIVATED)}},
	/* the record may be an older one: only the mark says this */
	{.from = IN(PREPARED), .to = STAYS, .todo = {DO(STORE), SEND(PREPARED)}},
	{.from = IN(BACK), .to = STAYS, .todo = {DO(STORE), SEND(BACK)}},
	{.from = IN(DOUBT), .to = STAYS, .todo = {SEND(ASK)}},
	{.from = IN(UNSURE), .to = STAYS, .todo = {SEND(PREPARED)}},
	{.from = IN(RELEASED), .to = STAYS, .todo = {SEND(RELEASED)}},
	/* the crash may have come before all was erased */
	{.from = IN(AWAY) | IN(ABSENT), .to = STAYS, .todo = {DO(WIPE)}},
};

static const uint8_t no_txid[HANDOVER_TXID_SIZE];

bool handover_is_message(enum handover_kind kind)
{
	return kind > 0 && kind < HANDOVER_MESSAGES;
}

static bool is_txid(const uint8_t *a, const uint8_t *b)
{
	return !memcmp(a, b, HANDOVER_TXID_SIZE);
}

static bool fits_transfer(const struct handover *h, const struct handover_event *ev,
			  enum which which)
{
	bool current = !ev->txid || is_txid(ev->txid, h->txid);
	bool gone =
		is_txid(ev->txid ? ev->txid : h->txid, h->gone) &&
		(ev->txid || ev->kind == HANDOVER_FORGOTTEN || ev->kind == HANDOVER_TICK);

	switch (which) {
	case NEW:
		/* one that was used is not used again */
		return ev->txid && !gone && !current;
	case CURRENT:
		return current && !gone;
	case BARE:
		return current && !gone && h->missing;
	case GONE:
		return gone;
	default:
		return !current && !gone;
	}
}

/* Whether the message lets the other host run what this one has erased. */
static bool lets_run(enum handover_kind message)
{
	return message == HANDOVER_MSG_DONE || message == HANDOVER_MSG_GONE ||
	       message == HANDOVER_MSG_RELEASED || message == HANDOVER_MSG_NOTHING;
}

/* Whether the message has the other host erase what it has, at once or after FINISH here. */
static bool has_erased(enum handover_kind message)
{
	return message == HANDOVER_MSG_ABORT || message == HANDOVER_MSG_TAKEN ||
	       message == HANDOVER_MSG_ASK || message == HANDOVER_MSG_ACTIVATED;
}

static void fill_todo(const struct handover *h, const struct row *row,
		      const uint8_t *txid, struct handover_todo *todo)
{
	size_t i;

	memset(todo, 0, sizeof(*todo));
	memcpy(todo->txid, txid, sizeof(todo->txid));
	/* FORGOTTEN follows */
	if (handover_is_empty(h) && !h->forgotten && lets_run(row->todo[0].message))
		return;
	for (i = 0; i < HANDOVER_TODO_MAX && row->todo[i].act; i++) {
		if (h->missing && has_erased(row->todo[i].message))
			continue;
		todo->item[todo->n].act = row->todo[i].act;
		todo->item[todo->n++].message = row->todo[i].message;
	}
}

static void enter_state(struct handover *h, int to)
{
	if (to == STAYS)
		return;
	if (to == HANDOVER_AWAY)
		memcpy(h->gone, h->txid, sizeof(h->gone));
	else if (to == HANDOVER_ABSENT && !is_txid(h->gone, no_txid))
		to = HANDOVER_AWAY;
	if (!handover_is_empty(h))
		h->forgotten = false;
	h->state = (enum handover_state)to;
}

static void take_row(struct handover *h, const struct row *row, const uint8_t *txid,
		     struct handover_todo *todo)
{
	int to = row->to;

	fill_todo(h, row, txid, todo);
	/* who asks has the vTPM, too, as its host's TPM knows */
	if (h->unmarked && to == HANDOVER_ABSENT && row->kind != HANDOVER_MSG_ASK) {
		todo->n = 0;
		to = HANDOVER_STRAY;
	}
	if (row->which == NEW)
		memcpy(h->txid, txid, sizeof(h->txid));
	enter_state(h, to);
}

/* What an operator may want of a vTPM that is not as its record says. */
static bool is_refused(const struct handover *h, enum handover_kind kind)
{
	return (kind == HANDOVER_TAKE && h->missing) ||
	       (kind == HANDOVER_GIVE_BACK && h->unmarked &&
		h->state == HANDOVER_PREPARED);
}

int handover_step(struct handover *h, const struct handover_event *ev,
		  struct handover_todo *todo)
{
	uint8_t txid[HANDOVER_TXID_SIZE];
	size_t i;

	memset(todo, 0, sizeof(*todo));
	if ((handover_is_message(ev->kind) || ev->kind == HANDOVER_BEGIN) &&
	    (!ev->txid || is_txid(ev->txid, no_txid)))
		return -EPERM;
	memcpy(txid, ev->txid ? ev->txid : h->txid, sizeof(txid));
	if (ev->kind == HANDOVER_FORGOTTEN)
		h->forgotten = handover_is_empty(h);
	if (is_refused(h, ev->kind))
		return -EPERM;
	for (i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].kind == ev->kind && table[i].from & 1u << h->state &&
		    fits_transfer(h, ev, table[i].which)) {
			take_row(h, &table[i], txid, todo);
			return 0;
		}
	return handover_is_message(ev->kind) ? 0 : -EPERM;
}

void handover_restart(struct handover *h, struct handover_todo *todo)
{
	uint8_t txid[HANDOVER_TXID_SIZE];
	size_t i;

	memset(todo, 0, sizeof(*todo));
	memcpy(txid, h->txid, sizeof(txid));
	for (i = 0; i < ARRAY_SIZE(restarts); i++)
		if (restarts[i].from & 1u << h->state) {
			fill_todo(h, &restarts[i], txid, todo);
			enter_state(h, restarts[i].to);
			return;
		}
}

/* Whether the record is of that transfer, in one of the states. */
static bool is_of(const struct handover *h, const uint8_t *txid, unsigned int states)
{
	return is_txid(h->txid, txid) && states >> h->state & 1;
}

/* Whether all that is here has to be erased, as the record says of the mark's transfer. */
static bool is_over(const struct handover *h, enum handover_mark mark,
		    const uint8_t *txid)
{
	return handover_is_empty(h) &&
	       is_txid(txid, mark == HANDOVER_LEAVING ? h->gone : h->txid);
}

/* Nothing of the record counts. */
static void become_stray(struct handover *h)
{
	h->state = HANDOVER_STRAY;
	memset(h->txid, 0, sizeof(h->txid));
	memset(h->gone, 0, sizeof(h->gone));
}

/* This host has it, unless an operator's taking was cut off between mark and record. */
static void recover_unmarked(struct handover *h, bool whole)
{
	if (h->state == HANDOVER_RELEASED)
		h->state = HANDOVER_DOUBT;
	else if (whole && (EMPTY | IN(INCOMING)) >> h->state & 1)
		become_stray(h);
}

void handover_recover(struct handover *h, enum handover_mark mark,
		      const uint8_t txid[HANDOVER_TXID_SIZE], bool whole)
{
	int to = STAYS;

	if (mark == HANDOVER_NO_MARK) {
		recover_unmarked(h, whole);
		return;
	}
	if (is_over(h, mark, txid))
		return;
	if (mark == HANDOVER_LEAVING && is_txid(txid, h->gone))
		to = HANDOVER_AWAY;
	else if (mark == HANDOVER_LEAVING && !is_of(h, txid, IN(RELEASED)))
		/* what the destination has may be all that is left */
		to = whole ? HANDOVER_DOUBT : HANDOVER_RELEASED;
	else if (mark == HANDOVER_GIVING_BACK)
		/* who takes it has this mark taken away before */
		to = HANDOVER_BACK;
	else if (mark == HANDOVER_ARRIVING &&
		 is_of(h, txid, IN(OWNED) | IN(HERE) | IN(TAKEN) | IN(BACK)))
		to = HANDOVER_UNSURE;
	else if (mark == HANDOVER_ARRIVING)
		to = whole ? HANDOVER_PREPARED : HANDOVER_INCOMING;
	memcpy(h->txid, txid, sizeof(h->txid));
	if (to != STAYS)
		h->state = (enum handover_state)to;
}

void handover_recover_unknown(struct handover *h, bool there)
{
	if ((EMPTY | IN(INCOMING)) >> h->state & 1 ||
	    (there && h->state == HANDOVER_HERE))
		return;
	if (there) {
		become_stray(h);
		return;
	}
	memset(h->txid, 0, sizeof(h->txid));
	enter_state(h, HANDOVER_ABSENT);
}

bool handover_needs_no_mark(const struct handover *h)
{
	return (IN(HERE) | IN(OFFERED) | IN(OWNED) | IN(TAKEN)) & 1u << h->state;
}

bool handover_is_empty(const struct handover *h)
{
	return EMPTY & 1u << h->state;
}

bool handover_runs(const struct handover *h)
{
	return (IN(HERE) | IN(TAKEN) | SOURCE_RUNS | IN(OWNED)) & 1u << h->state;
}

bool handover_contests(const struct handover *h, const struct handover_event *ev)
{
	if (!fits_transfer(h, ev, CURRENT))
		return false;
	if (h->state == HANDOVER_OWNED || h->state == HANDOVER_UNSURE)
		return ev->kind == HANDOVER_MSG_ABORT;
	return h->state == HANDOVER_TAKEN &&
	       (ev->kind == HANDOVER_MSG_ABORT || ev->kind == HANDOVER_MSG_TAKEN ||
		ev->kind == HANDOVER_MSG_ACTIVATED);
}

const char *handover_word(enum handover_state state)
{
	static const char *const words[HANDOVER_STATES] = {
		[HANDOVER_ABSENT] = "absent",	  [HANDOVER_HERE] = "here",
		[HANDOVER_OFFERED] = "offered",	  [HANDOVER_JUDGING] = "judging",
		[HANDOVER_PROVED] = "proved",	  [HANDOVER_EXPORTING] = "exporting",
		[HANDOVER_FROZEN] = "frozen",	  [HANDOVER_HELD] = "held",
		[HANDOVER_RELEASED] = "released", [HANDOVER_CONFIRMED] = "confirmed",
		[HANDOVER_AWAY] = "away",	  [HANDOVER_INCOMING] = "incoming",
		[HANDOVER_ACCEPTED] = "accepted", [HANDOVER_IMPORTING] = "importing",
		[HANDOVER_PREPARED] = "prepared", [HANDOVER_OWNED] = "owned",
		[HANDOVER_GIVING] = "giving",	  [HANDOVER_BACK] = "back",
		[HANDOVER_TAKEN] = "taken",	  [HANDOVER_DOUBT] = "doubt",
		[HANDOVER_YIELDING] = "yielding", [HANDOVER_UNSURE] = "unsure",
		[HANDOVER_STRAY] = "stray",
	};

	return (unsigned int)state < HANDOVER_STATES ? words[state] : "unknown";
}
