/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one vTPM: its states and what leads from one to another (vtpm_next()).
 *
 * A start that failed since the KMS or the TPM could not be reached is tried again after a
 * while.  A manager that died unasked is started again after a pause, three times a minute at
 * most; then the vTPM has failed, as it has when it may not have the TPM written so often
 * (struct wear), and is started again after a while.  A vTPM that never became ready is made
 * again by the next start if it has no permanent state yet; once it has one, it is only ever
 * opened.  What it shall be is known to the vtpmd that was asked to create it, and nowhere
 * else: when that has ended, it is not made any more.
 */
#ifndef VTPMD_VTPM_H
#define VTPMD_VTPM_H

#include "include/channel.h"
#include "lib/binding.h"
#include "lib/witness.h"
#include "tools/vtpmd/anchor_file.h"
#include "tools/vtpmd/body.h"
#include "tools/vtpmd/bucket.h"
#include "tools/vtpmd/config.h"
#include "tools/vtpmd/guests.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/meta.h"
#include "tools/vtpmd/peer.h"
#include "tools/vtpmd/store.h"

#include <errno.h>
#include <event2/util.h>
#include <time.h>

/*
 * Where a vTPM is in its life.
 *
 * The lease on the store is held from VTPM_ANCHORING on, and while it restarts, until its
 * manager is gone.
 */
enum vtpm_state {
	/* stopped */
	VTPM_STOPPED,
	/* failed: as stopped, with an error to show; v->pause: started again after a while */
	VTPM_FAILED,

	/* starting (creating, the first time) */
	VTPM_QUEUED,	 /* others go first */
	VTPM_RESTARTING, /* its manager died; queued again after a pause (v->pause) */
	VTPM_ANCHORING, /* it is to run: lease and folder were checked, and the TPM is to have
			  * the epoch of the run */
	VTPM_BOOTING,  /* it has a body from here on; no HELLO yet */
	VTPM_OPENING,  /* its manager has its configuration, and opens the state */
	VTPM_ADOPTED,  /* found running by this vtpmd; no HELLO yet */
	VTPM_ABORTING, /* its manager said FAIL, or is made to end, before it was ready */

	/* running */
	VTPM_RUNNING, /* its manager has opened the state */
	VTPM_FAILING, /* ... and said FAIL since, or is made to end */

	/* stopping */
	VTPM_STOPPING, /* its manager is to end */
	VTPM_ENDING,   /* ... and said FAIL since, or is made to end */
};

enum vtpm_event {
	VTPM_START,   /* it is to run, when its turn comes */
	VTPM_BEGIN,   /* its folder is what is anchored, and has an epoch for the run */
	VTPM_LOSE,    /* before it has a body: the claim on its store, and begins again */
	VTPM_BOOT,    /* its body is started */
	VTPM_ADOPT,   /* an earlier vtpmd may have left its body ... */
	VTPM_ABSENT,  /* ... and did not */
	VTPM_HELLO,   /* its manager got its configuration */
	VTPM_RESUME,  /* a manager connected whose state is open */
	VTPM_READY,   /* its manager has opened the state */
	VTPM_GIVE_UP, /* its manager said FAIL, or vtpmd makes it end */
	VTPM_STOP,    /* an operator, `xl shutdown`, or the end of vtpmd */
	VTPM_GONE,    /* its manager ended; when unasked, it is started again */
	VTPM_REFUSE,  /* it cannot start, or died too often */
};

#define VTPM_IN(state) (1u << VTPM_##state)

/* Sets of states, for vtpm_is(). */
enum {
	VTPM_DOWN = VTPM_IN(STOPPED) | VTPM_IN(FAILED),
	VTPM_WAITING = VTPM_IN(QUEUED) | VTPM_IN(RESTARTING) | VTPM_IN(ANCHORING),
	VTPM_COMING = VTPM_IN(BOOTING) | VTPM_IN(OPENING) | VTPM_IN(ADOPTED),
	VTPM_STARTING = VTPM_WAITING | VTPM_COMING | VTPM_IN(ABORTING),
	VTPM_UP = VTPM_IN(RUNNING) | VTPM_IN(FAILING),
	VTPM_LEAVING = VTPM_IN(STOPPING) | VTPM_IN(ENDING),
	/* It neither starts nor stops. */
	VTPM_SETTLED = VTPM_DOWN | VTPM_UP,
	/* What its manager puts is of a state that it has opened, and counts. */
	VTPM_OPENED = VTPM_UP | VTPM_LEAVING,
	VTPM_WITH_BODY = VTPM_COMING | VTPM_IN(ABORTING) | VTPM_OPENED,
	/* Its folder was checked for a run, which lasts. */
	VTPM_BEGUN = VTPM_IN(ANCHORING) | VTPM_WITH_BODY,
	/* Its manager said FAIL, or is made to end. */
	VTPM_GIVEN_UP = VTPM_IN(ABORTING) | VTPM_IN(FAILING) | VTPM_IN(ENDING),
};

/* The state that follows, by the one table of what may happen when.  -EPERM: nothing does */
static inline int __must_check vtpm_next(enum vtpm_state from, enum vtpm_event event)
{
	static const struct {
		enum vtpm_event event;
		unsigned int from;
		enum vtpm_state to;
	} table[] = {
		{VTPM_START, VTPM_DOWN | VTPM_IN(RESTARTING), VTPM_QUEUED},
		{VTPM_BEGIN, VTPM_IN(QUEUED), VTPM_ANCHORING},
		{VTPM_LOSE, VTPM_IN(ANCHORING), VTPM_QUEUED},
		{VTPM_BOOT, VTPM_IN(ANCHORING), VTPM_BOOTING},
		{VTPM_ADOPT, VTPM_DOWN, VTPM_ADOPTED},
		{VTPM_ABSENT, VTPM_IN(ADOPTED), VTPM_STOPPED},
		{VTPM_HELLO, VTPM_IN(BOOTING) | VTPM_IN(OPENING), VTPM_OPENING},
		{VTPM_RESUME, VTPM_COMING | VTPM_IN(RUNNING), VTPM_RUNNING},
		{VTPM_RESUME, VTPM_IN(STOPPING), VTPM_STOPPING},
		{VTPM_READY, VTPM_IN(OPENING), VTPM_RUNNING},
		{VTPM_GIVE_UP, VTPM_COMING | VTPM_IN(ABORTING), VTPM_ABORTING},
		{VTPM_GIVE_UP, VTPM_UP, VTPM_FAILING},
		{VTPM_GIVE_UP, VTPM_LEAVING, VTPM_ENDING},
		{VTPM_STOP, VTPM_DOWN | VTPM_WAITING, VTPM_STOPPED},
		{VTPM_STOP, VTPM_COMING | VTPM_IN(RUNNING), VTPM_STOPPING},
		{VTPM_STOP, VTPM_IN(ABORTING) | VTPM_IN(FAILING), VTPM_ENDING},
		{VTPM_GONE, VTPM_COMING | VTPM_IN(RUNNING), VTPM_RESTARTING},
		{VTPM_GONE, VTPM_IN(ABORTING) | VTPM_IN(FAILING), VTPM_FAILED},
		{VTPM_GONE, VTPM_LEAVING, VTPM_STOPPED},
		{VTPM_REFUSE, VTPM_IN(QUEUED) | VTPM_IN(ANCHORING), VTPM_FAILED},
		{VTPM_REFUSE, VTPM_COMING | VTPM_IN(RUNNING), VTPM_FAILED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].event == event && table[i].from & 1u << from)
			return table[i].to;
	return -EPERM;
}

/* Who waits until a vTPM neither starts nor stops, or until the host's TPM has all that was
 * anchored so far: in a list, and in its owner until it is called or cancelled. */
struct waiter {
	struct waiter *next, **at; /* what points to it; NULL: it is in no list */
	uint64_t need; /* the anchor's change; it is set by the list's owner */
	/* A line about the vTPM. */
	void (*progress)(void *ctx, const char *text);
	/* It was taken off the list.  e: NULL, or why the TPM does not have it. */
	void (*done)(void *ctx, const struct error *e);
	void *ctx;
};

static inline void waiter_add(struct waiter **list, struct waiter *w)
{
	w->next = *list;
	w->at = list;
	if (w->next)
		w->next->at = &w->next;
	*list = w;
}

/* Takes it off the list that it is in, if any. */
static inline void waiter_cancel(struct waiter *w)
{
	if (!w->at)
		return;
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	w->next = NULL;
	w->at = NULL;
}

/* What a manager last said about itself; -1: it did not. */
struct vtpm_status {
	struct timespec at;
	int64_t value[STATUS_TOKEN_USED_MS + 1]; /* by enum channel_status */
	bool timed;				 /* it has STATUS_LATENCY */
	uint64_t sum_ns, bucket[LATENCY_BUCKETS];
};

/* Why it last failed or died, kept while it runs again. */
struct vtpm_trouble {
	time_t at; /* 0: never, since vtpmd started */
	char text[320];
};

/* `vtpmctl attest`, while the manager makes evidence, and what came of it. */
struct vtpm_attest {
	bool pending; /* the manager has not answered */
	uint8_t nonce[BINDING_NONCE_MAX], user[BINDING_USER_MAX];
	size_t nonce_len, user_len;
	uint32_t pcrs;
	bool quoted;	/* the host's TPM was asked for it */
	char *evidence; /* malloc()ed; NULL: error says why */
	struct error error;
};

/* The manager's request for a quote of the host's TPM, while it waits for its turn. */
#define VTPM_QUOTE_MAX 320
struct vtpm_quote {
	bool waits;
	struct vtpm *before, *behind; /* in the line of those who wait: quote.c */
	uint32_t id;		      /* of the request */
	uint64_t since_ms;
	uint8_t request[VTPM_QUOTE_MAX];
	size_t len;
	struct bucket bucket; /* this vTPM's own */
};

/* What the anchor is to take of a vTPM as soon as its table is known. */
enum vtpm_untold {
	UNTOLD_FOLDER = 1,   /* its folder as it is */
	UNTOLD_HEADER = 2,   /* the header that was put */
	UNTOLD_LAUNCHED = 4, /* meta.launched */
	UNTOLD_MARK = 8,     /* anchor.mark */
};

/* A vTPM's entry in the anchor's table, as far as vtpmd owes it something. */
struct vtpm_anchor {
	unsigned int untold; /* of enum vtpm_untold */
	/* the table's changes that took the folder and the last header, and that has the
	 * epoch of its run */
	uint64_t claimed, header, raised;
	bool unused;		    /* nothing was put in that epoch: as good as ... */
	struct anchor_entry before; /* ... what was known before it */
	struct waiter waiter;	    /* for the last header */
	struct anchor_mark mark; /* of the transfer in which it is: its entry gets it */
	/* of a pool: the put of another host that was seen, and the header's generation that
	 * belongs to what is anchored; 0: not known */
	int64_t seen;
	uint64_t seen_header;
};

enum vtpm_witness_step {
	WITNESS_NOT_ASKED,
	WITNESS_WAITS, /* a start, for the next question ... */
	WITNESS_ASKED, /* ... which was asked ... */
	WITNESS_HEARD, /* ... and its answers are here */
};

/* What other hosts of the pool have seen of it: witness.h. */
struct vtpm_witness {
	enum vtpm_witness_step step;
	bool due; /* it was claimed, and others are to be heard before it starts */
	unsigned int claim; /* how often it was claimed: answers count for one claim */
	/* The connection to etcd, and the list of hosts, in which all were heard. */
	unsigned int readied;
	uint64_t list;
	unsigned int hosts, heard;  /* others, and of them those that answered last */
	struct witness_said said;   /* the newest */
	char by[POOL_NAME_MAX + 1]; /* who said that; empty: nobody said anything */
	/* The stretch of this host's lease (store_etcd_stretch()) in which no other host said that
	 * it, or a third one, has what this one has claimed. */
	unsigned int sure;
	/* Of the last answers: who says that it, or another host than this one, has it now. */
	enum witness_use use;
	char used_by[POOL_NAME_MAX + 1];
	/* since when that is so for the start that waits; of one that runs, when it was heard
	 * last; 0: it is not so */
	int64_t used_ms;
};

enum vtpm_rekey_asked { REKEY_NOTHING, REKEY_SLOTS, REKEY_DEEP };

/* New key slots, and, deep, a new data key. */
struct vtpm_rekey {
	enum vtpm_rekey_asked asked; /* of the manager, which has not answered */
	uint64_t from;		     /* the header's generation when it was asked */
	bool unfinished; /* an earlier one: its manager connected to both keys ... */
	bool failed; /* ... and said once that it cannot finish it: in the audit log */
	/* when the manager got the configuration that it makes them of; empty: not from
	 * this vtpmd */
	char configured[STAMP_SIZE];
	struct error error;
};

#define VTPM_DEATHS 3

/* For log_about(); more members may follow. */
#define VTPM_ABOUT(v, ...)    \
	(&(struct log_about){ \
		.vtpm = (v)->meta.name, .uuid = (v)->meta.uuid, ##__VA_ARGS__})

/* What a failure in a pool is to wait for. */
enum vtpm_for_now { VTPM_FOR_GOOD, VTPM_OTHER_HAS_IT, VTPM_PUT_BACK };

struct vtpm {
	struct vtpm *next, *before; /* vtpms.h */
	struct tree_node by_name, by_uuid;
	struct queue_place queued;
	struct vtpmd *d;
	struct meta meta;
	struct store store;
	enum vtpm_state state;
	struct config *config; /* that its manager got, or gets; NULL: none */
	struct body *body;     /* NULL: none */
	struct peer *peer;     /* NULL: not connected */
	struct vtpm_anchor anchor;
	struct vtpm_witness witness;
	bool urgent;	/* queued: an operator waits, and others do not go first */
	bool moves;	/* between the host's folder and a pool: pool_move.h */
	bool autostart; /* since vtpmd started, and has not settled yet */
	bool making;	/* this vtpmd creates it: until its first READY */
	struct wear wear;
	enum vtpm_for_now for_now; /* of one that failed */
	unsigned int tries;	   /* that failed since the KMS or the TPM was there */
	unsigned int unsettled; /* looks at a store that had not yet all that was set */
	int64_t ready_ms;	/* stamp_ms() of READY; 0: not since it was tried again */
	struct timespec next_try;
	struct event *timer, *pause, *settle, *ended;
	struct event *keep; /* pending: the disk did not take vtpm.json, which is older */
	enum cause why_cause; /* its body ended, while the last put is waited for */
	char why[320];
	struct timespec started;
	int64_t deaths[VTPM_DEATHS]; /* stamp_ms(); 0: none */
	struct vtpm_trouble trouble;
	uint64_t restarts, failures; /* since vtpmd started */
	uint64_t refusals;	     /* of guests, likewise */
	struct vtpm_rekey rekey;
	struct vtpm_quote quote;
	struct peer_limits limits;
	struct vtpm_attest attest;
	struct guests guests;
	uint8_t launcher[16]; /* whose launch set, or may set, meta.launched */
	struct bucket clearings;
	bool clears;	     /* the guest that comes waits for its TPM2_Clear ... */
	uint32_t clears_for; /* ... and is this domain */
	char refused[320];   /* the last guest that was, and why; empty: none since */
	struct vtpm_status status;
	int64_t asked_ms; /* stamp_ms() of the first question for it without an answer */
	/* Until the state is none of starting and stopping; the last one that is called may
	 * free the vTPM. */
	struct waiter *waiters;
	struct hold *holds; /* hold.h */
	const struct body_owner *body_owner;
};

/* Takes the store over.  NULL: out of memory. */
struct vtpm *vtpm_new(struct vtpmd *d, const struct meta *m, struct store *s);
/* Leaves a stub domain running. */
void vtpm_free(struct vtpm *v);

/* For an operator.  0: it is starting, or runs already, and goes on if its stub domain was
 * asked to end; else *e. */
int __must_check vtpm_start(struct vtpm *v, struct error *e);
/* As vtpm_start(), as one of those that are started with the host: the journal tells how far
 * they are.  vtpm_autostart_begin() when all are known. */
void vtpm_autostart(struct vtpm *v);
void vtpm_autostart_begin(struct vtpmd *d);
/* The same for one that failed, as if it never had: its cause may be gone. */
void vtpm_start_again(struct vtpm *v);
/* One that failed as another host had it, or as etcd's data were put back, has not failed any more:
 * no host of its pool has it; the data were accepted. */
void vtpm_let_go(struct vtpm *v);
void vtpm_accepted(struct vtpm *v);
/* Seconds until a vTPM that failed for want of the KMS or the TPM is started again;
 * -1: it is not. */
int64_t vtpm_next_try(const struct vtpm *v);
/* Whether a vTPM that does not run is what is anchored, and describes it as its header
 * does; of one that runs that is known. */
int __must_check vtpm_check(struct vtpm *v, struct error *e);
/* Takes over what an earlier vtpmd left running; whether there was something.  Where another host
 * has it, or had it last, that is ended instead. */
bool vtpm_adopt(struct vtpm *v);
/* `xl shutdown` of its stub domain, which was heard and waits for a guest, is forgotten. */
void vtpm_cancel_end(struct vtpm *v);
/* 0: it is stopping, or stopped already. */
int __must_check vtpm_stop(struct vtpm *v, struct error *e);
/* Asks a process to finish, since vtpmd ends; whether there is one to wait for. */
bool vtpm_leave(struct vtpm *v);

static inline bool vtpm_is(const struct vtpm *v, unsigned int states)
{
	return states >> v->state & 1;
}

/* Whether it runs, and its manager hears what it is asked. */
static inline bool vtpm_hears(const struct vtpm *v)
{
	return vtpm_is(v, VTPM_UP) && peer_is_greeted(v->peer);
}

/* Asks the manager for new key slots, of host.json as it is now, and, deep, for a new
 * data key; v->rekey.asked until it has answered.  false: there is nobody to ask. */
bool __must_check vtpm_rekey(struct vtpm *v, bool deep);
/* Writes vtpm.json; what goes wrong goes to the journal, and is tried again until it is
 * done. */
int vtpm_keep_meta(struct vtpm *v);
/* Takes --ppi and the pending request from vtpm.json, which another host may have written
 * since it was read here. */
void vtpm_refresh_presence(struct vtpm *v);
/* A line in the audit log; detail may be NULL.  Returns 0, or -errno when it cannot be written,
 * which the journal says, too; most go on. */
int vtpm_audit(const struct vtpm *v, const char *event, const char *detail);
/* The same for a start that failed, but for one that was tried again and failed of the same
 * cause.  Before the vTPM's error is set again. */
void vtpm_audit_refusal(const struct vtpm *v, enum cause cause);
/* "running", ... */
const char *vtpm_state_word(const struct vtpm *v);

/* Private to vtpm*.c. */

/* Takes it to the state that follows; false: the table has none, which the journal tells. */
bool vtpm_step(struct vtpm *v, enum vtpm_event event);
/* The same, where it settles: whoever waits for that goes on. */
void vtpm_settle(struct vtpm *v, enum vtpm_event event);
/* id: of the event, for the journal; or NULL */
void vtpm_progress(struct vtpm *v, const char *text, const char *id);
void vtpm_set_timer(struct vtpm *v, int seconds);
void vtpm_note_trouble(struct vtpm *v, const char *text);
/* It failed: sets what `vtpmctl show` tells. */
void vtpm_fail(struct vtpm *v, enum cause cause, const char *text);
/* Of v->keep. */
void vtpm_on_keep(evutil_socket_t fd, short what, void *ctx);
/* Of v->settle: from the loop, since a waiter may free the vTPM. */
void vtpm_on_settle(evutil_socket_t fd, short what, void *ctx);
/* Who waits for the store hears why. */
void vtpm_tell_slow(struct vtpm *v);

/* Seconds a start may take; a KMS or a TPM that hangs is given up by the manager before. */
#define VTPM_START_S 180

/* Starts as many of those that wait as may start now. */
void vtpm_start_queued(struct vtpmd *d);
/* The same, when the host's TPM has answered. */
void vtpm_start_anchored(struct vtpmd *d);
/* The other hosts of the pool have told what they have seen of it. */
void vtpm_witnessed(struct vtpm *v);
/* As store_claim(), whatever it is claimed for: what is claimed all the time since it ran here last
 * nobody else has seen more of, and of what was not, others are asked before a start. */
int __must_check vtpm_claim(struct vtpm *v, struct error *e);

/* How a vTPM's life meets what its manager says: vtpm_peer.c. */

extern const struct peer_owner vtpm_peer_owner;

/* Its connection is over. */
void vtpm_drop_peer(struct vtpm *v);

/* A vTPM's guests: which of them its manager may serve (guests.h).  For control*.c, too. */

/* What an earlier vtpmd knew. */
void vtpm_guest_load(struct vtpm *v);
#define GUEST_NAME_MAX 96
/* "domain 7 (web1)", as the toolstack calls it; printable. */
void vtpm_guest_name(const struct vtpm *v, uint32_t domid,
		     char out[static GUEST_NAME_MAX]);
/* Whether the toolstack gave this vTPM, whose body there is, to the domain. */
bool vtpm_guest_is_given(const struct vtpm *v, uint32_t domid);
/* The TPM on its board, of a domain that is new. */
struct crb_guest vtpm_guest_crb(const struct vtpm *v, uint32_t domid);
/* A guest does not get this vTPM: tells the journal, and `vtpmctl show`. */
void vtpm_guest_refused(struct vtpm *v, uint32_t domid, const char *why);
void vtpm_guest_on_refused(void *ctx, uint32_t domid, const char *why);
/* Has all vTPMs forget domains when Xen releases them. */
int __must_check vtpm_guest_watch(struct vtpmd *d);
/* Lets the next guest go on with the PCRs, if it is the last one, saved and restored;
 * launched: the uuid of the launched domain that it becomes, NULL: its own.  The
 * manager has just sent its status.  -ESTALE: the TPM was restarted since; -EBUSY: a
 * launch restores another one. */
int __must_check vtpm_guest_resume(struct vtpm *v, const uint8_t *launched);
/* The domains that live, had the vTPM, and have a device of a stub domain of it that is
 * gone: they have no TPM until they restart.  How many; their numbers go to domids. */
unsigned int vtpm_guest_lost(const struct vtpm *v, uint32_t domids[static GUESTS_MAX]);
/* Whether a launch, whose xl is there, restores the domain with this uuid, which has not
 * come yet. */
bool vtpm_guest_restores(struct vtpm *v, const uint8_t uuid[16]);
/* Whether it serves measured guests only, until it is stopped: in vtpm.json, in the run
 * folder, which an edited vtpm.json does not change, and in the anchor. */
void vtpm_guest_set_launched(struct vtpm *v, bool launched);
/* The domain with this uuid was launched with the vTPM, or is restored by that: when it
 * comes, only measured guests are served from then on. */
void vtpm_guest_launched(struct vtpm *v, const uint8_t uuid[16], bool restored);
/* ... and its launch failed: what it changed is put back. */
void vtpm_guest_failed(struct vtpm *v, const uint8_t uuid[16]);

/* `vtpmctl attest`: the running manager is asked for evidence of its vTPM. */

/* -EINVAL: no such nonce or PCRs; -EBUSY: somebody else's is being made; -ENOTCONN: there
 * no manager is connected.  0: v->attest.pending until the result is there. */
int __must_check attest_begin(struct vtpm *v, const char *nonce, const char *user,
			      uint32_t pcrs);
/* The manager is gone, or its vTPM: nothing will come. */
void attest_drop(struct vtpm *v);

#endif
