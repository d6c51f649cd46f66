/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handover: two hosts, a network that loses, doubles, delays and reorders, and crashes
 * before and after each thing that is done.  All that can come of two transfers, either way,
 * and a few writes and crashes is tried, and each world looked at.
 *
 * A message that was sent may arrive at any time, any number of times, so that the network
 * is the set of all that was ever sent.
 *
 * Who writes to the store of a side that is down removes its record, or puts back the one before,
 * removes a folder, and puts back one that was erased; what the host's TPM has (the mark) stays.
 * Where a test says so he makes records, too, of any state and transfer: so he puts back whatever
 * was there at any time.  What he removes himself is lost; but nothing that follows has the other
 * host erase what it has then.
 *
 * A person may say that one side is lost for good, and take it at the other one.  The lost side
 * is then there again after all, and does and sends whatever it can: two of it may run then,
 * but nothing that it sends stops or erases what was taken.
 */
#include "tests/unit/unit.h"
#include "tools/vtpmd/handover.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRANSFERS_MAX 3
/* In which the vTPM came from side 1 to side 0, before all that is tried. */
#define FORMER 3
#define KEYS   2
#define ROUNDS 12

struct record {
	uint8_t state, txid, gone, forgotten; /* the last: in memory alone */
};

struct side {
	struct record memory, disk;
	uint8_t up;
	uint8_t running; /* its manager executes commands */
	uint8_t touched; /* ... or did since it imported, or began anew */
	uint8_t content; /* of its folder: number of the last write; 0: none */
	uint8_t key;	 /* of its manager, for an import; 0: none */
	uint8_t kept;	 /* it ran on while vtpmd was away, and was told nothing since */
	uint8_t entry;	 /* the host's TPM knows the vTPM ... */
	uint8_t mark, marked; /* ... with this mark, of that transfer */
	struct record old;    /* the record before */
	uint8_t erased;	      /* content of the folder that was */
};

struct world {
	struct side side[2];
	uint8_t begun;			     /* transfers so far */
	uint8_t source[TRANSFERS_MAX + 1];   /* which side began it */
	uint8_t exported[TRANSFERS_MAX + 1]; /* content */
	uint8_t made[TRANSFERS_MAX + 1];     /* keys so far */
	uint8_t proved[TRANSFERS_MAX + 1];   /* the key that was judged good */
	uint8_t acknowledged;		     /* number of the last write that was */
	uint8_t crashes;
	uint8_t tampers;
	uint8_t lost; /* 1 + the side of which that was said; 0: none */
	uint8_t destroyed; /* who writes to the store removed what the other side need not have */
	uint64_t net; /* bit: a message was sent */
};

#define CUT_NEVER 100

/* How much of it there is in the worlds of a test; `build/bin/unit/handover TRANSFERS CRASHES
 * WRITES TAMPERS TAKES [PROMPT [MAKES]]` looks at others. */
static struct bounds {
	unsigned int transfers, crashes, writes, tampers;
	bool takes;
	bool prompt; /* a mark that is not needed is taken away at once */
	bool makes;  /* who writes to the store makes records */
} bounds;

/* As the table of handover.c has it; move_op.c has the mark taken away before. */
#define CAN_TAKE                                                                     \
	(1u << HANDOVER_RELEASED | 1u << HANDOVER_CONFIRMED | 1u << HANDOVER_DOUBT | \
	 1u << HANDOVER_PREPARED | 1u << HANDOVER_BACK | 1u << HANDOVER_YIELDING |   \
	 1u << HANDOVER_UNSURE | 1u << HANDOVER_OWNED)

#define EMPTY (1u << HANDOVER_ABSENT | 1u << HANDOVER_AWAY)
#define COMING \
	(1u << HANDOVER_INCOMING | 1u << HANDOVER_ACCEPTED | 1u << HANDOVER_IMPORTING)

static unsigned int bit_of(unsigned int txid, unsigned int message)
{
	return (txid - 1) * HANDOVER_MESSAGES + message;
}

static struct handover expand(const struct record *r)
{
	struct handover h = {.state = (enum handover_state)r->state};

	h.txid[0] = r->txid;
	h.gone[0] = r->gone;
	h.forgotten = r->forgotten;
	return h;
}

static struct record shrink(const struct handover *h)
{
	return (struct record){(uint8_t)h->state, h->txid[0], h->gone[0], h->forgotten};
}

/* Set: what is wrong with a world. */
static const char *wrong;

static bool is_whole(const struct world *w, const struct side *s)
{
	return s->content == w->acknowledged && s->disk.state != HANDOVER_ABSENT &&
	       s->disk.state != HANDOVER_AWAY && s->disk.state != HANDOVER_INCOMING;
}

static void look(const struct world *w)
{
	unsigned int running = 0, whole = 0;

	for (unsigned int i = 0; i < 2; i++) {
		const struct side *s = &w->side[i];

		if (w->lost == 1 + i)
			continue;
		running += s->running;
		whole += w->tampers ? s->content != 0 : is_whole(w, s);
		/* who writes to the store undoes the last changes anyway, after a crash */
		if (s->running && s->content != w->acknowledged && !w->tampers)
			wrong = "an acknowledged write is lost";
	}
	if (running == 2)
		wrong = "two run";
	if (!whole && !w->tampers)
		wrong = "no copy can be recovered";
}

/* The lost side is there, and has given up what it had. */
static void find_again(struct world *w)
{
	const struct side *s = &w->side[w->lost - 1];
	unsigned int empty = 1u << HANDOVER_ABSENT | 1u << HANDOVER_AWAY;

	if (empty >> s->memory.state & 1 && empty >> s->disk.state & 1 && !s->running)
		w->lost = 0;
}

/* keep: the manager, as a stub domain does. */
static void crash(struct side *s, bool keep)
{
	s->up = 0;
	s->memory = s->disk;
	s->kept = keep && s->running;
	if (keep)
		return;
	s->running = 0;
	s->touched = 1;
	s->key = 0;
}

static void do_send(struct world *w, unsigned int txid, unsigned int message)
{
	if (message == HANDOVER_MSG_EXPORT && !w->proved[txid])
		wrong = "exported without a proof";
	w->net |= UINT64_C(1) << bit_of(txid, message);
}

static bool was_sent(const struct world *w, unsigned int txid, unsigned int message)
{
	return w->net >> bit_of(txid, message) & 1;
}

static void do_wipe(const struct world *w, struct side *s)
{
	s->running = s->kept = 0;
	if (s->content && bounds.tampers)
		s->erased = s->content;
	if (s->content && !w->side[s == w->side].content && !w->destroyed)
		wrong = "the last copy is erased";
	s->content = 0;
	s->key = 0;
}

static void do_act(struct world *w, struct side *s, const struct handover_todo *todo,
		   size_t i)
{
	switch (todo->item[i].act) {
	case HANDOVER_STORE:
		if (memcmp(&s->old, &s->disk, sizeof(s->old)) && bounds.tampers)
			s->old = s->disk;
		s->disk = s->memory;
		s->disk.forgotten = 0;
		if (s->disk.state == HANDOVER_TAKEN)
			w->lost = s == w->side ? 2 : 1;
		break;
	case HANDOVER_SEND:
		do_send(w, todo->txid[0], todo->item[i].message);
		break;
	case HANDOVER_FREEZE:
	case HANDOVER_DEACTIVATE:
	case HANDOVER_MARK:
		s->running = s->kept = 0;
		break;
	case HANDOVER_THAW:
	case HANDOVER_ACTIVATE:
		s->running = s->entry && s->content;
		s->kept = 0;
		break;
	case HANDOVER_WIPE:
		do_wipe(w, s);
		break;
	default:
		break;
	}
	look(w);
}

/* Has all done that follows, or the first cut things, and then it crashes. */
static void do_all(struct world *w, unsigned int which, const struct handover *h,
		   const struct handover_todo *todo, size_t cut, bool keep)
{
	struct side *s = &w->side[which];
	size_t i;

	/* an operator's taking that was cut off had its mark taken away */
	if (s->memory.state == HANDOVER_DOUBT && h->state == HANDOVER_RELEASED) {
		s->mark = HANDOVER_LEAVING;
		s->marked = h->txid[0];
	}
	s->memory = shrink(h);
	for (i = 0; i < todo->n && i < cut; i++)
		do_act(w, s, todo, i);
	if (cut != CUT_NEVER)
		crash(s, keep);
	else if (s->running && !s->kept && !handover_runs(h))
		wrong = "it runs in a state in which it must not";
	if (cut == CUT_NEVER && bounds.prompt && handover_needs_no_mark(h))
		s->mark = s->marked = 0;
	look(w);
	if (w->lost)
		find_again(w);
}

static struct handover expand_side(const struct side *s)
{
	struct handover h = expand(&s->memory);

	h.missing = !s->entry != !s->content && !(COMING >> h.state & 1);
	h.unmarked = s->entry && s->content && !s->mark;
	return h;
}

static bool happens(struct world *w, unsigned int which, unsigned int kind,
		    unsigned int txid, size_t cut, bool keep)
{
	struct handover h = expand_side(&w->side[which]);
	uint8_t id[HANDOVER_TXID_SIZE] = {(uint8_t)txid};
	const struct handover_event ev = {(enum handover_kind)kind, txid ? id : NULL};
	struct handover_todo todo;

	if (handover_step(&h, &ev, &todo) || (cut != CUT_NEVER && cut > todo.n))
		return false;
	do_all(w, which, &h, &todo, cut, keep);
	return true;
}

static bool restarts_side(struct world *w, unsigned int which, size_t cut)
{
	struct side *s = &w->side[which];
	const uint8_t marked[HANDOVER_TXID_SIZE] = {s->marked};
	struct handover h = expand_side(s);
	struct handover_todo todo;

	if (!s->entry)
		handover_recover_unknown(&h, s->content);
	else
		handover_recover(&h, (enum handover_mark)s->mark, marked, s->content);
	handover_restart(&h, &todo);
	/* an answer to what it asked before it ended is none */
	if (h.state == HANDOVER_DOUBT)
		w->net &= ~(UINT64_C(1) << bit_of(h.txid[0], HANDOVER_MSG_KEPT));
	if (cut != CUT_NEVER && cut > todo.n)
		return false;
	w->side[which].up = 1;
	do_all(w, which, &h, &todo, cut, false);
	return true;
}

static unsigned int receiver(const struct world *w, unsigned int txid,
			     unsigned int message)
{
	return message >= HANDOVER_MSG_ACCEPT && message != HANDOVER_MSG_ASK
		       ? w->source[txid]
		       : !w->source[txid];
}

/* The TPM has it before what follows is done. */
static void mark_side(struct side *s, enum handover_mark mark)
{
	s->entry = 1;
	s->mark = mark;
	s->marked = mark ? s->memory.txid : 0;
}

/* What the manager answers, or an operator wants, of itself; false: it cannot be now. */
static bool prepare_event(struct world *w, unsigned int which, unsigned int kind,
			  bool choice)
{
	struct side *s = &w->side[which];
	unsigned int txid = s->memory.txid;

	switch (kind) {
	case HANDOVER_BEGIN:
		if (s->memory.state != HANDOVER_HERE || w->begun == bounds.transfers)
			return false;
		w->source[++w->begun] = (uint8_t)which;
		return true;
	case HANDOVER_JUDGED_GOOD: /* of the last key, or one that is gone */
		if (s->memory.state != HANDOVER_JUDGING)
			return true;
		w->proved[txid] = choice ? w->made[txid] : 1;
		mark_side(s, HANDOVER_LEAVING);
		return true;
	case HANDOVER_MADE:
		if (s->memory.state != HANDOVER_INCOMING || txid == FORMER ||
		    w->made[txid] == KEYS)
			return false;
		s->key = ++w->made[txid];
		s->erased = 0; /* another header is anchored now */
		mark_side(s, HANDOVER_ARRIVING);
		return true;
	case HANDOVER_MARKED:
		if (s->memory.state != HANDOVER_YIELDING)
			return false;
		mark_side(s, HANDOVER_GIVING_BACK);
		return true;
	case HANDOVER_FORGOTTEN: /* registry_remove() was before it */
		if (s->content || s->memory.forgotten || !(EMPTY >> s->memory.state & 1))
			return false;
		s->entry = s->mark = s->marked = 0;
		return true;
	case HANDOVER_EXPORTED:
		if (s->memory.state == HANDOVER_EXPORTING)
			w->exported[txid] = s->content;
		return true;
	case HANDOVER_IMPORTED:
		if (s->memory.state != HANDOVER_IMPORTING || s->key != w->proved[txid])
			return false;
		s->content = w->exported[txid];
		s->touched = 0;
		return true;
	case HANDOVER_UNTOUCHED:
		return !s->touched;
	case HANDOVER_TAKE: /* with all that was acknowledged: else that is lost, too */
		if (!bounds.takes || w->lost || s->content != w->acknowledged)
			return false;
		if (CAN_TAKE >> s->memory.state & 1)
			mark_side(s, HANDOVER_NO_MARK);
		return true;
	default:
		return true;
	}
}

/* The worlds that were seen, by open addressing; and those that wait to be looked at. */
static struct {
	struct world *world;
	size_t *slot, slots, n, room;
} seen;

static size_t hash_world(const struct world *w)
{
	const uint8_t *p = (const uint8_t *)w;
	uint64_t h = 1469598103934665603u;

	for (size_t i = 0; i < sizeof(*w); i++)
		h = (h ^ p[i]) * 1099511628211u;
	return (size_t)(h ^ h >> 29);
}

static void grow(void)
{
	size_t i, at;

	seen.room = seen.room ? 2 * seen.room : 1 << 16;
	seen.slots = 2 * seen.room;
	free(seen.slot);
	seen.world = realloc(seen.world, seen.room * sizeof(*seen.world));
	seen.slot = calloc(seen.slots, sizeof(*seen.slot));
	assert_non_null(seen.world);
	assert_non_null(seen.slot);
	for (i = 0; i < seen.n; i++) {
		at = hash_world(&seen.world[i]) % seen.slots;
		while (seen.slot[at])
			at = (at + 1) % seen.slots;
		seen.slot[at] = i + 1;
	}
}

static void add_world(const struct world *w)
{
	size_t at;

	if (seen.n == seen.room)
		grow();
	at = hash_world(w) % seen.slots;
	for (; seen.slot[at]; at = (at + 1) % seen.slots)
		if (!memcmp(&seen.world[seen.slot[at] - 1], w, sizeof(*w)))
			return;
	seen.world[seen.n++] = *w;
	seen.slot[at] = seen.n;
}

static void print_world(const struct world *w)
{
	for (int i = 0; i < 2; i++) {
		const struct side *s = &w->side[i];

		print_message(
			"side %d: %s (%u, gone %u), record %s (%u, gone %u), up %u, "
			"runs %u, touched %u, content %u, entry %u, mark %u of %u, erased %u\n",
			i, handover_word((enum handover_state)s->memory.state),
			s->memory.txid, s->memory.gone,
			handover_word((enum handover_state)s->disk.state), s->disk.txid,
			s->disk.gone, s->up, s->running, s->touched, s->content, s->entry,
			s->mark, s->marked, s->erased);
	}
	print_message("acknowledged %u, lost %u, tampers %u, destroyed %u, sent 0x%llx\n",
		      w->acknowledged, w->lost, w->tampers, w->destroyed,
		      (unsigned long long)w->net);
}

static void keep_world(const struct world *before, const struct world *w,
		       const char *what, unsigned int which, unsigned int kind)
{
	if (wrong) {
		print_world(before);
		print_message("then %s %u at side %u\n", what, kind, which);
		print_world(w);
		fail_msg("%s", wrong);
	}
	add_world(w);
}

/* Tries an event whole, and cut off after each thing that it has done. */
static void try_choice(const struct world *w, unsigned int which, unsigned int kind,
		       unsigned int txid, bool choice)
{
	for (size_t n = 0; n <= 2 * (HANDOVER_TODO_MAX + 1); n++) {
		size_t cut = n ? (n - 1) / 2 : CUT_NEVER;
		struct world next = *w;

		if (n && w->crashes == bounds.crashes)
			break;
		if (!prepare_event(&next, which, kind, choice) ||
		    !happens(&next, which, kind,
			     kind == HANDOVER_BEGIN ? next.begun : txid, cut, n % 2))
			break;
		next.crashes += cut != CUT_NEVER;
		keep_world(w, &next, "event", which, kind);
	}
}

static void try_event(const struct world *w, unsigned int which, unsigned int kind,
		      unsigned int txid)
{
	try_choice(w, which, kind, txid, true);
	if (kind == HANDOVER_JUDGED_GOOD)
		try_choice(w, which, kind, txid, false);
}

static void try_restart(const struct world *w, unsigned int which)
{
	for (size_t n = 0; n <= HANDOVER_TODO_MAX + 1; n++) {
		struct world next = *w;

		if (n && w->crashes == bounds.crashes)
			break;
		if (!restarts_side(&next, which, n ? n - 1 : CUT_NEVER))
			break;
		next.crashes += n != 0;
		keep_world(w, &next, "restart", which, 0);
	}
}

static void try_write(const struct world *w, unsigned int which)
{
	struct world next = *w;
	struct side *s = &next.side[which];

	if (!s->running || w->acknowledged == 1 + bounds.writes || w->lost == 1 + which)
		return;
	s->content = ++next.acknowledged;
	s->touched = 1;
	keep_world(w, &next, "write", which, 0);
}

/* The mark that its state does not have is taken away, some time. */
static void try_unmark(const struct world *w, unsigned int which)
{
	struct world next = *w;
	struct handover h = expand(&next.side[which].memory);

	if (!next.side[which].mark || !handover_needs_no_mark(&h))
		return;
	mark_side(&next.side[which], HANDOVER_NO_MARK);
	keep_world(w, &next, "unmark", which, 0);
}

/* Whether the other side may erase what it has, upon what this one has sent or its TPM knows, so
 * that who removes this one's folder destroys the vTPM. */
static bool is_alone(const struct world *w, const struct side *s)
{
	switch (s->mark) {
	case HANDOVER_LEAVING:
		return was_sent(w, s->marked, HANDOVER_MSG_ABORT) ||
		       was_sent(w, s->marked, HANDOVER_MSG_TAKEN) ||
		       was_sent(w, s->marked, HANDOVER_MSG_ASK);
	case HANDOVER_ARRIVING:
	case HANDOVER_GIVING_BACK:
		return was_sent(w, s->marked, HANDOVER_MSG_ACTIVATED);
	default:
		return true;
	}
}

enum tamper_folder { LEAVES_FOLDER, PUTS_FOLDER_BACK, REMOVES_FOLDER, TAMPER_FOLDERS };

/* false: nothing would be another */
static bool change_folder(struct world *w, struct side *s, enum tamper_folder how)
{
	if (how == LEAVES_FOLDER)
		return true;
	if (how == PUTS_FOLDER_BACK) {
		if (s->content || !s->erased)
			return false;
		s->content = s->erased;
		return true;
	}
	/* what runs on without its folder is ended, with what it has not stored */
	if (!s->content || s->kept)
		return false;
	w->destroyed |= is_alone(w, s);
	s->erased = s->content;
	s->content = s->key = 0;
	return true;
}

/* A record that is for this very transfer has the folder erased, as he could himself; or, RELEASED
 * when it was given back just now, with a late word that it runs there. */
static bool says_erased(const struct world *w, const struct side *s)
{
	if (s->disk.state == HANDOVER_RELEASED && s->mark == HANDOVER_LEAVING &&
	    s->disk.txid == s->marked && was_sent(w, s->marked, HANDOVER_MSG_TAKEN))
		return true;
	if (s->disk.state != HANDOVER_ABSENT && s->disk.state != HANDOVER_AWAY)
		return s->mark == HANDOVER_LEAVING && s->disk.gone == s->marked;
	return s->mark &&
	       s->marked == (s->mark == HANDOVER_LEAVING ? s->disk.gone : s->disk.txid);
}

/* A late message of the source's, which does not know any more, has what is only prepared erased: so
 * has a record that says that it is. */
static bool is_asked_late(const struct world *w, const struct side *s)
{
	unsigned int txid = s->mark ? s->marked : s->disk.txid;

	return (s->mark == HANDOVER_ARRIVING || s->disk.state == HANDOVER_PREPARED) &&
	       txid && txid != FORMER && was_sent(w, txid, HANDOVER_MSG_ACTIVATED) &&
	       (was_sent(w, txid, HANDOVER_MSG_ASK) ||
		was_sent(w, txid, HANDOVER_MSG_ABORT));
}

static void put_record(const struct world *w, unsigned int which, const struct record *r,
		       enum tamper_folder how, unsigned int number)
{
	struct world next = *w;
	struct side *s = &next.side[which];

	if (!change_folder(&next, s, how))
		return;
	if (r)
		s->disk = *r;
	else
		s->disk = (struct record){s->content ? HANDOVER_HERE : HANDOVER_ABSENT, 0,
					  0, 0};
	if (says_erased(w, s) || is_asked_late(w, s))
		next.destroyed = 1;
	s->memory = s->disk;
	next.tampers++;
	keep_world(w, &next, "tamper", which, number);
}

/* Who writes to the store of a side that is down: no record, or the one before. */
static void try_tamper(const struct world *w, unsigned int which)
{
	if (w->lost || w->tampers == bounds.tampers)
		return;
	for (unsigned int how = 0; how < TAMPER_FOLDERS; how++) {
		put_record(w, which, NULL, how, how);
		put_record(w, which, &w->side[which].old, how, how + 10);
		if (how != LEAVES_FOLDER)
			put_record(w, which, &w->side[which].disk, how, how + 20);
	}
}

/* He makes one: but none that has a stub domain which runs on count as at rest (BACK, RELEASED). */
static void try_made(const struct world *w, unsigned int which)
{
	static const uint8_t states[] = {
		HANDOVER_ABSENT,   HANDOVER_HERE,     HANDOVER_RELEASED, HANDOVER_AWAY,
		HANDOVER_INCOMING, HANDOVER_PREPARED, HANDOVER_OWNED,	 HANDOVER_TAKEN,
	};

	if (!bounds.makes || w->lost || w->tampers == bounds.tampers)
		return;
	for (size_t i = 0; i < sizeof(states); i++)
		for (uint8_t txid = 1; txid <= TRANSFERS_MAX; txid++)
			for (uint8_t gone = 0; gone <= TRANSFERS_MAX; gone++) {
				const struct record r = {states[i], txid, gone, 0};

				if ((txid > w->begun && txid != FORMER) ||
				    (gone > w->begun && gone != FORMER) ||
				    (gone && gone != FORMER &&
				     (gone != txid || states[i] != HANDOVER_AWAY)) ||
				    (states[i] == HANDOVER_RELEASED &&
				     w->side[which].kept))
					continue;
				put_record(w, which, &r, LEAVES_FOLDER, 100 + states[i]);
			}
}

static void try_messages(const struct world *w, unsigned int which, unsigned int txid)
{
	for (unsigned int m = 1; m < HANDOVER_MESSAGES; m++)
		if (was_sent(w, txid, m) && receiver(w, txid, m) == which)
			try_event(w, which, m, txid);
}

static void try_side(const struct world *w, unsigned int which)
{
	try_write(w, which);
	if (!w->side[which].up) {
		try_restart(w, which);
		try_tamper(w, which);
		try_made(w, which);
		return;
	}
	try_unmark(w, which);
	for (unsigned int kind = HANDOVER_BEGIN; kind <= HANDOVER_FORGOTTEN; kind++)
		try_event(w, which, kind, 0);
	for (unsigned int txid = 1; txid <= w->begun; txid++)
		try_messages(w, which, txid);
	if (bounds.tampers)
		try_messages(w, which, FORMER);
}

static void deliver_all(struct world *w)
{
	const struct world sent = *w;

	w->net = 0;
	for (unsigned int txid = 1; txid <= w->begun; txid++)
		for (unsigned int m = 1; m < HANDOVER_MESSAGES; m++)
			if (was_sent(&sent, txid, m))
				(void)happens(w, receiver(w, txid, m), m, txid, CUT_NEVER,
					      false);
}

/* No person does anything; late: who waited for the other side has given up. */
static void settle_side(struct world *w, unsigned int which, bool late)
{
	static const unsigned int answers[] = {HANDOVER_LOST,	    HANDOVER_UNTOUCHED,
					       HANDOVER_JUDGED_BAD, HANDOVER_MARKED,
					       HANDOVER_FORGOTTEN,  HANDOVER_TICK};

	if (!w->side[which].up)
		(void)restarts_side(w, which, CUT_NEVER);
	if (late)
		(void)happens(w, which, HANDOVER_CANCEL, 0, CUT_NEVER, false);
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++)
		/* who waits for the other side is not lost */
		if ((answers[i] != HANDOVER_LOST ||
		     w->side[which].memory.state != HANDOVER_ACCEPTED) &&
		    prepare_event(w, which, answers[i], true))
			(void)happens(w, which, answers[i], 0, CUT_NEVER, false);
}

/* Who has it can move it again, to the other one, or soon.  One whose taking was cut off is left
 * for a person to delete. */
static bool is_at_rest(const struct side *s)
{
	return s->running ||
	       (bounds.takes && (s->memory.state == HANDOVER_UNSURE ||
				 s->memory.state == HANDOVER_STRAY)) ||
	       s->memory.state == HANDOVER_ABSENT || s->memory.state == HANDOVER_AWAY ||
	       s->memory.state == HANDOVER_RELEASED ||
	       s->memory.state == HANDOVER_CONFIRMED;
}

static bool is_settled(const struct world *w)
{
	if (w->lost)
		return w->side[!(w->lost - 1)].running;
	/* one whose taking was cut off, and what it then gave up, too */
	if (bounds.takes && w->side[0].running + w->side[1].running == 0 &&
	    (w->side[0].memory.state == HANDOVER_STRAY ||
	     w->side[1].memory.state == HANDOVER_STRAY))
		return w->side[0].content && w->side[1].content;
	return w->side[0].up && w->side[1].up &&
	       w->side[0].running + w->side[1].running == 1 && is_at_rest(&w->side[0]) &&
	       is_at_rest(&w->side[1]);
}

/* All that is under way is lost; then all goes well; but what is lost for good stays so. */
static void check_recovery(const struct world *before)
{
	struct world w = *before;
	unsigned int round;

	w.net = 0;
	for (round = 0; round < ROUNDS && !is_settled(&w); round++) {
		for (unsigned int i = 0; i < 2; i++)
			if (w.lost != 1 + i)
				settle_side(&w, i, round > ROUNDS / 2);
		if (!w.lost)
			deliver_all(&w);
	}
	if (!wrong && !is_settled(&w))
		wrong = "with all up again, not one side runs";
	if (!wrong)
		return;
	print_world(before);
	print_message("then\n");
	print_world(&w);
	fail_msg("%s", wrong);
}

static void try_all(struct bounds b, bool seen_in[2][HANDOVER_STATES])
{
	struct world first;

	bounds = b;
	memset(&first, 0, sizeof(first));
	memset(&seen, 0, sizeof(seen));
	first.side[0] = (struct side){.memory.state = HANDOVER_HERE,
				      .disk.state = HANDOVER_HERE,
				      .old.state = HANDOVER_HERE,
				      .up = 1,
				      .running = 1,
				      .touched = 1,
				      .entry = 1,
				      .content = 1};
	first.source[FORMER] = 1;
	first.side[1].up = first.side[1].memory.forgotten = 1;
	first.acknowledged = 1;
	add_world(&first);
	for (size_t i = 0; i < seen.n; i++) {
		const struct world w = seen.world[i];

		for (unsigned int s = 0; s < 2; s++) {
			seen_in[s][w.side[s].memory.state] = true;
			try_side(&w, s);
		}
		/* who writes to the store may have a person decide */
		if (!w.tampers)
			check_recovery(&w);
	}
	print_message("%zu worlds\n", seen.n);
	free(seen.world);
	free(seen.slot);
}

static bool reached[2][HANDOVER_STATES];

static void nothing_goes_wrong_in_any_order(void **state)
{
	try_all((struct bounds){2, 0, 1, 0, true, true, false}, reached);
}

/* One transfer, and crashes while marks are left. */
static void nor_with_crashes(void **state)
{
	try_all((struct bounds){1, 2, 1, 0, true, false, false}, reached);
}

static void nor_when_records_are_removed_and_put_back(void **state)
{
	try_all((struct bounds){1, 1, 1, 2, false, false, false}, reached);
}

static void nor_when_records_are_made(void **state)
{
	try_all((struct bounds){1, 1, 1, 1, false, false, true}, reached);
}

static void and_each_state_was_reached(void **state)
{
	static const unsigned int only_source = 1u << HANDOVER_DOUBT;
	static const unsigned int only_destination =
		1u << HANDOVER_UNSURE | 1u << HANDOVER_YIELDING;

	for (unsigned int s = 0; s < HANDOVER_STATES; s++) {
		/* side 0 had it, and so is AWAY instead */
		if (s != HANDOVER_ABSENT && !reached[0][s] &&
		    !(only_destination >> s & 1))
			fail_msg("side 0 is never %s",
				 handover_word((enum handover_state)s));
		if (!reached[1][s] && !(only_source >> s & 1))
			fail_msg("side 1 is never %s",
				 handover_word((enum handover_state)s));
	}
}

static struct bounds asked;

static void nor_in_these(void **state)
{
	try_all(asked, reached);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_goes_wrong_in_any_order),
		cmocka_unit_test(nor_with_crashes),
		cmocka_unit_test(nor_when_records_are_removed_and_put_back),
		cmocka_unit_test(nor_when_records_are_made),
		cmocka_unit_test(and_each_state_was_reached),
	};
	const struct CMUnitTest others[] = {
		cmocka_unit_test(nor_in_these),
	};

	if (argc < 6)
		return cmocka_run_group_tests(tests, NULL, NULL);
	asked = (struct bounds){(unsigned int)atoi(argv[1]),
				(unsigned int)atoi(argv[2]),
				(unsigned int)atoi(argv[3]),
				(unsigned int)atoi(argv[4]),
				atoi(argv[5]),
				argc > 6 && atoi(argv[6]),
				argc > 7};
	return cmocka_run_group_tests(others, NULL, NULL);
}
