/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handover: two hosts, a network that loses, doubles, delays and reorders, and crashes
 * before and after each thing that is done.  All that can come of two transfers, either way,
 * and a few writes and crashes is tried, and each world looked at.
 *
 * A message that was sent may arrive at any time, any number of times, so that the network
 * is the set of all that was ever sent.
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

#define TRANSFERS 2
#define KEYS	  2
#define ROUNDS	  12

struct record {
	uint8_t state, txid, gone;
};

struct side {
	struct record memory, disk;
	uint8_t up;
	uint8_t running; /* its manager executes commands */
	uint8_t touched; /* ... or did since it imported, or began anew */
	uint8_t content; /* of its folder: number of the last write; 0: none */
	uint8_t key;	 /* of its manager, for an import; 0: none */
};

struct world {
	struct side side[2];
	uint8_t begun;			 /* transfers so far */
	uint8_t source[TRANSFERS + 1];	 /* which side began it */
	uint8_t exported[TRANSFERS + 1]; /* content */
	uint8_t made[TRANSFERS + 1];	 /* keys so far */
	uint8_t proved[TRANSFERS + 1];	 /* the key that was judged good */
	uint8_t acknowledged;		 /* number of the last write that was */
	uint8_t crashes;
	uint8_t lost; /* 1 + the side of which that was said; 0: none */
	uint32_t net; /* bit: a message was sent */
};

#define CUT_NEVER 100

/* `build/bin/unit/handover 3 2` looks at 11 million worlds. */
static unsigned int crashes = 1, writes = 1;

static unsigned int bit_of(unsigned int txid, unsigned int message)
{
	return (txid - 1) * HANDOVER_MESSAGES + message;
}

static struct handover expand(const struct record *r)
{
	struct handover h = {.state = (enum handover_state)r->state};

	h.txid[0] = r->txid;
	h.gone[0] = r->gone;
	return h;
}

static struct record shrink(const struct handover *h)
{
	return (struct record){(uint8_t)h->state, h->txid[0], h->gone[0]};
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
		whole += is_whole(w, s);
		if (s->running && s->content != w->acknowledged)
			wrong = "an acknowledged write is lost";
	}
	if (running == 2)
		wrong = "two run";
	if (!whole)
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
	w->net |= 1u << bit_of(txid, message);
}

static void do_act(struct world *w, struct side *s, const struct handover_todo *todo,
		   size_t i)
{
	switch (todo->item[i].act) {
	case HANDOVER_STORE:
		s->disk = s->memory;
		if (s->disk.state == HANDOVER_TAKEN)
			w->lost = s == w->side ? 2 : 1;
		break;
	case HANDOVER_SEND:
		do_send(w, todo->txid[0], todo->item[i].message);
		break;
	case HANDOVER_FREEZE:
	case HANDOVER_DEACTIVATE:
		s->running = 0;
		break;
	case HANDOVER_THAW:
	case HANDOVER_ACTIVATE:
		s->running = 1;
		break;
	case HANDOVER_WIPE:
		s->running = 0;
		s->content = 0;
		s->key = 0;
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

	s->memory = shrink(h);
	for (i = 0; i < todo->n && i < cut; i++)
		do_act(w, s, todo, i);
	if (cut != CUT_NEVER)
		crash(s, keep);
	else if (s->running && !handover_runs(h))
		wrong = "it runs in a state in which it must not";
	look(w);
	if (w->lost)
		find_again(w);
}

static bool happens(struct world *w, unsigned int which, unsigned int kind,
		    unsigned int txid, size_t cut, bool keep)
{
	struct handover h = expand(&w->side[which].memory);
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
	struct handover h = expand(&w->side[which].memory);
	struct handover_todo todo;

	handover_restart(&h, &todo);
	if (cut != CUT_NEVER && cut > todo.n)
		return false;
	w->side[which].up = 1;
	do_all(w, which, &h, &todo, cut, false);
	return true;
}

static unsigned int receiver(const struct world *w, unsigned int txid,
			     unsigned int message)
{
	return message >= HANDOVER_MSG_ACCEPT ? w->source[txid] : !w->source[txid];
}

/* What the manager answers, or an operator wants, of itself; false: it cannot be now. */
static bool prepare_event(struct world *w, unsigned int which, unsigned int kind,
			  bool choice)
{
	struct side *s = &w->side[which];
	unsigned int txid = s->memory.txid;

	switch (kind) {
	case HANDOVER_BEGIN:
		if (s->memory.state != HANDOVER_HERE || w->begun == TRANSFERS)
			return false;
		w->source[++w->begun] = (uint8_t)which;
		return true;
	case HANDOVER_JUDGED_GOOD: /* of the last key, or one that is gone */
		if (s->memory.state == HANDOVER_JUDGING)
			w->proved[txid] = choice ? w->made[txid] : 1;
		return true;
	case HANDOVER_MADE:
		if (s->memory.state != HANDOVER_INCOMING || w->made[txid] == KEYS)
			return false;
		s->key = ++w->made[txid];
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
		return !w->lost && s->content == w->acknowledged;
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
			"runs %u, touched %u, content %u\n",
			i, handover_word((enum handover_state)s->memory.state),
			s->memory.txid, s->memory.gone,
			handover_word((enum handover_state)s->disk.state), s->disk.txid,
			s->disk.gone, s->up, s->running, s->touched, s->content);
	}
	print_message("acknowledged %u, lost %u, sent 0x%x\n", w->acknowledged, w->lost,
		      w->net);
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

		if (n && w->crashes == crashes)
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

		if (n && w->crashes == crashes)
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

	if (!s->running || w->acknowledged == 1 + writes || w->lost == 1 + which)
		return;
	s->content = ++next.acknowledged;
	s->touched = 1;
	keep_world(w, &next, "write", which, 0);
}

static void try_side(const struct world *w, unsigned int which)
{
	try_write(w, which);
	if (!w->side[which].up) {
		try_restart(w, which);
		return;
	}
	for (unsigned int kind = HANDOVER_BEGIN; kind <= HANDOVER_TOUCHED; kind++)
		try_event(w, which, kind, 0);
	for (unsigned int txid = 1; txid <= w->begun; txid++)
		for (unsigned int m = 1; m < HANDOVER_MESSAGES; m++)
			if (w->net & 1u << bit_of(txid, m) &&
			    receiver(w, txid, m) == which)
				try_event(w, which, m, txid);
}

static void deliver_all(struct world *w)
{
	uint32_t net = w->net;

	w->net = 0;
	for (unsigned int txid = 1; txid <= w->begun; txid++)
		for (unsigned int m = 1; m < HANDOVER_MESSAGES; m++)
			if (net & 1u << bit_of(txid, m))
				(void)happens(w, receiver(w, txid, m), m, txid, CUT_NEVER,
					      false);
}

/* No person does anything; late: who waited for the other side has given up. */
static void settle_side(struct world *w, unsigned int which, bool late)
{
	static const unsigned int answers[] = {HANDOVER_LOST, HANDOVER_UNTOUCHED,
					       HANDOVER_JUDGED_BAD, HANDOVER_TICK};

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

/* Who has it can move it again, to the other one, or soon. */
static bool is_at_rest(const struct side *s)
{
	return s->running || s->memory.state == HANDOVER_ABSENT ||
	       s->memory.state == HANDOVER_AWAY || s->memory.state == HANDOVER_RELEASED ||
	       s->memory.state == HANDOVER_CONFIRMED;
}

static bool is_settled(const struct world *w)
{
	if (w->lost)
		return w->side[!(w->lost - 1)].running;
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

static void nothing_goes_wrong_in_any_order(void **state)
{
	struct world first;
	bool reached[2][HANDOVER_STATES] = {0};

	memset(&first, 0, sizeof(first));
	first.side[0] = (struct side){.memory.state = HANDOVER_HERE,
				      .disk.state = HANDOVER_HERE,
				      .up = 1,
				      .running = 1,
				      .touched = 1,
				      .content = 1};
	first.side[1].up = 1;
	first.acknowledged = 1;
	add_world(&first);
	for (size_t i = 0; i < seen.n; i++) {
		const struct world w = seen.world[i];

		for (unsigned int s = 0; s < 2; s++) {
			reached[s][w.side[s].memory.state] = true;
			try_side(&w, s);
		}
		check_recovery(&w);
	}
	print_message("%zu worlds\n", seen.n);
	for (unsigned int s = 0; s < 2 * HANDOVER_STATES; s++)
		/* side 0 had it, and so is AWAY instead */
		if (s != HANDOVER_ABSENT &&
		    !reached[s / HANDOVER_STATES][s % HANDOVER_STATES])
			fail_msg("side %u is never %s", s / HANDOVER_STATES,
				 handover_word(
					 (enum handover_state)(s % HANDOVER_STATES)));
	free(seen.world);
	free(seen.slot);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_goes_wrong_in_any_order),
	};

	if (argc > 2) {
		crashes = (unsigned int)atoi(argv[1]);
		writes = (unsigned int)atoi(argv[2]);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
