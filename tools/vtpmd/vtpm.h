/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one vTPM.
 *
 *   stopped  --start-->  starting (creating, the first time)
 *   starting --READY-->  running
 *   starting --FAIL, or no READY in time-->  failed, with its sentence; when the
 *            KMS or the TPM could not be reached, tried again after a while
 *   starting, running --the manager dies unasked-->  starting again after a
 *            pause, three times a minute at most; then failed, as it is when it may not
 *            have the TPM written so often (wear.h), and then tried again after a while
 *   running  --stop-->  stopping --gone-->  stopped
 *
 * failed is as stopped, with an error to show.  The lease on the store is held
 * from start until the manager is gone.  A vTPM that never became ready is made
 * again by the next start if it has no permanent state yet; once it has one, it
 * is only ever opened.  What it shall be is known to the vtpmd that was asked to create
 * it, and nowhere else: when that has ended, it is not made any more.
 */
#ifndef VTPMD_VTPM_H
#define VTPMD_VTPM_H

#include "include/channel.h"
#include "lib/binding.h"
#include "tools/vtpmd/anchor_file.h"
#include "tools/vtpmd/anchor_waiter.h"
#include "tools/vtpmd/body.h"
#include "tools/vtpmd/bucket.h"
#include "tools/vtpmd/config.h"
#include "tools/vtpmd/guests.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/meta.h"
#include "tools/vtpmd/peer.h"
#include "tools/vtpmd/store.h"

#include <event2/util.h>
#include <time.h>

enum vtpm_state {
	VTPM_STOPPED,
	VTPM_STARTING,
	VTPM_RUNNING,
	VTPM_STOPPING,
	VTPM_FAILED,
};

/* Someone who waits for a vTPM; lives in its owner until it is cancelled. */
struct vtpm_waiter {
	struct vtpm_waiter *next;
	void (*progress)(void *ctx, const char *text);
	/* The state is none of starting and stopping any more; the waiter was
	 * taken off the list.  May free the vTPM when it was the last one. */
	void (*settled)(void *ctx, struct vtpm *v);
	void *ctx;
};

/* What a manager last said about itself; -1: it did not. */
struct vtpm_status {
	struct timespec at;
	int64_t value[16]; /* by enum channel_status */
	bool timed;	   /* it told how long commands took: STATUS_LATENCY */
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
	struct vtpm *next; /* in the queue */
	uint32_t id;	   /* of the request */
	uint64_t since_ms;
	uint8_t request[VTPM_QUOTE_MAX];
	size_t len;
	struct bucket bucket; /* this vTPM's own */
};

#define VTPM_DEATHS 3
/* How long list and the figures wait for what managers tell of themselves; one that runs
 * a long command is shown without. */
#define VTPM_TABLE_MS 1500

/* For log_about(); more members may follow. */
#define VTPM_ABOUT(v, ...)    \
	(&(struct log_about){ \
		.vtpm = (v)->meta.name, .uuid = (v)->meta.uuid, ##__VA_ARGS__})

struct vtpm {
	struct vtpm *next;
	struct vtpmd *d;
	struct meta meta;
	struct store store;
	enum vtpm_state state;
	struct config *config; /* that its manager got, or gets; NULL: none */
	struct body *body;     /* NULL: none */
	struct peer *peer;     /* NULL: not connected */
	bool body_alive;
	bool failure_reported; /* the manager said FAIL, or vtpmd made it end */
	bool hello_pending;    /* connected, HELLO has not come yet */
	bool adopted;	       /* found running by this vtpmd, and not settled since */
	bool queued;	       /* starting, but others go first, or the TPM */
	bool urgent;	       /* an operator waits: others do not go first */
	bool autostart;	       /* since vtpmd started, and has not settled yet */
	bool making;	       /* this vtpmd creates it: until its first READY */
	bool state_opened;     /* its manager has opened the state */
	bool claim;	       /* the anchor is to take its folder as it is */
	uint64_t claimed;      /* the anchor's change that did */
	bool begun; /* it is to run: lease and folder were checked (anchor_begin()) */
	uint64_t raised; /* the anchor's change that has the epoch of its run */
	bool unused;	 /* nothing was put in that yet: as good as ... */
	struct anchor_entry before; /* ... what was known before it */
	bool new_launched;	    /* the anchor does not know meta.launched yet */
	bool new_header;	    /* the anchor is to take the header that was put */
	uint64_t header_change;	    /* the anchor's change that did */
	struct anchor_waiter header_wait;
	struct wear wear;
	unsigned int tries; /* that failed since the KMS or the TPM was there */
	int64_t ready_ms;   /* stamp_ms() of READY; 0: not since it was tried again */
	struct timespec next_try;
	struct event *timer, *pause, *settle, *ended, *keep;
	bool unkept;	      /* vtpm.json is older than meta: the disk did not take it */
	enum cause why_cause; /* its body ended, while the last put is waited for */
	char why[320];
	struct timespec started;
	int64_t deaths[VTPM_DEATHS]; /* stamp_ms(); 0: none */
	struct vtpm_trouble trouble;
	uint64_t restarts, failures; /* since vtpmd started */
	bool rekeying;		     /* the manager was asked for new key slots ... */
	bool rekeying_deep;	     /* ... and for a new data key */
	uint64_t rekeying_from;	     /* ... when that was the header's generation */
	bool finish_failed; /* ... and said once that it cannot finish it: in the audit log */
	bool unfinished; /* a deep rekey: its manager connected to both keys */
	/* when the manager got the configuration that it makes them of; empty: not from
	 * this vtpmd */
	char configured[STAMP_SIZE];
	struct error rekey_error;
	struct vtpm_quote quote;
	struct peer_limits limits;
	struct vtpm_attest attest;
	struct guests guests;
	uint8_t launcher[16]; /* whose launch set, or may set, meta.launched */
	char refused[200];    /* the last guest that was, and why; empty: none since */
	struct vtpm_status status;
	int64_t asked_ms; /* stamp_ms() of the first question for it without an answer */
	struct vtpm_waiter *waiters;
	const struct body_owner *body_owner;
};

/* Takes the store over.  NULL: out of memory. */
struct vtpm *vtpm_new(struct vtpmd *d, const struct meta *m, struct store *s);
/* Leaves a stub domain running. */
void vtpm_free(struct vtpm *v);

/* For an operator.  0: it is starting, or runs already, and goes on if its stub domain was
 * asked to end; else *e. */
int __must_check vtpm_start(struct vtpm *v, struct error *e);
/* As vtpm_start(), when its turn comes: only some start at the same time. */
void vtpm_start_later(struct vtpm *v);
/* The same, as one of those that are started with the host: the journal tells how far
 * they are.  vtpm_autostart_begin() when all are known. */
void vtpm_autostart(struct vtpm *v);
void vtpm_autostart_begin(struct vtpmd *d);
/* The same for one that failed, as if it never had: its cause may be gone. */
void vtpm_start_again(struct vtpm *v);
/* Seconds until a vTPM that failed for want of the KMS or the TPM is started again;
 * -1: it is not. */
int64_t vtpm_next_try(const struct vtpm *v);
/* Whether a vTPM that does not run is what is anchored, and describes it as its header
 * does; of one that runs that is known. */
int __must_check vtpm_check(struct vtpm *v, struct error *e);
/* Takes over what an earlier vtpmd left running; whether there was something. */
bool vtpm_adopt(struct vtpm *v);
/* `xl shutdown` of its stub domain, which was heard and waits for a guest, is forgotten. */
void vtpm_cancel_end(struct vtpm *v);
/* 0: it is stopping, or stopped already. */
int __must_check vtpm_stop(struct vtpm *v, struct error *e);
/* Asks a process to finish, since vtpmd ends; whether there is one to wait for. */
bool vtpm_leave(struct vtpm *v);

bool vtpm_settled(const struct vtpm *v);
void vtpm_wait(struct vtpm *v, struct vtpm_waiter *w);
void vtpm_cancel(struct vtpm *v, struct vtpm_waiter *w);
/* Asks the manager for its status; false: there is nobody to ask. */
bool vtpm_ask_status(struct vtpm *v);
/* Whether the answer to a question asked then is still to come. */
bool vtpm_owes_status(const struct vtpm *v, const struct timespec *asked);
/* Whether a table of all vTPMs does not wait for its status: its manager waits for the
 * disk, has asked for too much, or has left a question unanswered for as long as such a
 * table waits. */
bool vtpm_is_mute(const struct vtpm *v);
/* Asks the manager for new key slots, of host.json as it is now, and, deep, for a new
 * data key; rekeying until it has answered.  false: there is nobody to ask. */
bool __must_check vtpm_rekey(struct vtpm *v, bool deep);
/* Writes vtpm.json; what goes wrong goes to the journal, and is tried again until it is
 * done. */
void vtpm_keep_meta(struct vtpm *v);
/* A line in the audit log; detail may be NULL.  When it cannot be written, the journal
 * says so, and the vTPM goes on. */
void vtpm_audit(const struct vtpm *v, const char *event, const char *detail);
/* The same for a start that failed, but for one that was tried again and failed of the same
 * cause.  Before the vTPM's error is set again. */
void vtpm_audit_refusal(const struct vtpm *v, enum cause cause);
/* "running", ... */
const char *vtpm_state_word(const struct vtpm *v);

/* Private to vtpm*.c. */

void vtpm_set_state(struct vtpm *v, enum vtpm_state state);
/* Anyone who waits for managers' answers looks again. */
void vtpm_notify_status(struct vtpm *v);
/* id: of the event, for the journal; or NULL */
void vtpm_progress(struct vtpm *v, const char *text, const char *id);
void vtpm_set_timer(struct vtpm *v, int seconds);
void vtpm_note_trouble(struct vtpm *v, const char *text);
/* It failed: sets what `vtpmctl show` tells. */
void vtpm_fail(struct vtpm *v, enum cause cause, const char *text);
/* Of v->keep. */
void vtpm_on_keep(evutil_socket_t fd, short what, void *ctx);

#endif
