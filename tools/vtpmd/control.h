/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket (0600), for vtpmctl.  One JSON object a line; a request is
 *   {"op": "create|start|stop|delete|show", "name": NAME, ...} or {"op": "list"}
 *   create: "policy" (host.json's), "memory" (8, MiB), "placement" (vtpmd's default)
 *   "measured": true, for measured guests only; launch, launched: control_launch.h
 *   resume, backup, rekey, accept: a name alone; restore, reseal: backup.h
 *   stop, delete: "force": true, also when a guest is connected
 * Its answer is any number of {"progress": SENTENCE}, then one of
 *   {"ok": true, "uuid": UUID}   create, start, stop, delete
 *   {"ok": true, "vtpm": {...}}, {"ok": true, "vtpms": [...]}   show, list
 *   {"ok": false, "error": SENTENCE, "cause": WORD}
 * WORD is one of lib/error.h's, "no-such-vtpm", "exists" or "busy".
 */
#ifndef VTPMD_CONTROL_H
#define VTPMD_CONTROL_H

#include "include/compiler.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/ask.h"
#include "tools/vtpmd/backup.h"
#include "tools/vtpmd/hold.h"
#include "tools/vtpmd/registry.h"

#include <event2/bufferevent.h>
#include <jansson.h>

/* A client, and what it asked for. */

enum control_what {
	CREATE,
	START,
	STOP,
	DELETE,
	SHOW,
	LIST,
	RESUME,
	BACKUP,
	BACKED_UP,
	RESTORE,
	VERIFY,
	RESEAL,
	REKEY,
	RELOAD,
	ACCEPT,
	CLONE,
	RENAME,
	SET,
	ATTEST,
	CERTIFY,
	CERTIFICATES,
	LAUNCH,
	LAUNCHED,
	LAUNCH_FAILED,
	AUDIT_END,
	AUDIT_ROTATE,
	MOVE,
	POOL_ACCEPT,
	POOL_MOVE,
	POOL_SHOW,
	POOL_LIST,
	POOL_WITNESS,
	KMS_TOKEN,
	NO_OP
};

/* In moves, by the first request of one that came on the connection. */
enum control_role {
	CONTROL_NO_ROLE,
	CONTROL_OPERATES,    /* `vtpmctl migrate` of this host */
	CONTROL_SERVES_PEER, /* migrate-receive: what another host says */
};

struct move;

struct control {
	struct control *next, *before;
	struct vtpmd *d;
	struct bufferevent *stream;
	bool busy; /* a request is being answered */
	enum control_what what;
	bool force;
	bool launched; /* RESUME: what comes is this domain, of a launch */
	uint8_t domain[16];
	bool has_saved; /* RESUME: the guest in the file was this domain */
	uint8_t saved[16];
	char name[META_NAME_MAX + 2]; /* of the vTPM; one too long stays so */
	struct hold hold;	      /* while what is stored of the vTPM is changed */
	struct error why;	   /* CREATE: it failed, while what is left of it goes */
	struct waiter waiter;	   /* in a list of settling's, or of the anchor's */
	struct vtpm *settling;	   /* NULL: no vTPM is waited for */
	int64_t since_ms;	   /* REKEY: it was asked for ... */
	bool told;		   /* ... and what it waits for was said */
	bool recovers;		   /* BACKUP: for `vtpmctl recover` */
	bool ran;		   /* STOP: it is not stopped already */
	uint8_t uuid[16];	   /* of the answer, while the anchor is waited for */
	struct event *late;	   /* POOL_WITNESS: until when it is; NULL: it is not */
	json_t *held;		   /* MOVE: the request, meanwhile ... */
	enum control_role role;	   /* ... what the connection is ... */
	struct move *carries;	   /* ... and what it carries; NULL: nothing */
	struct backup_given given; /* BACKUP: what became of it was not told yet */
	struct ask ask;
};

/* What is done for a client. */
struct control_handlers {
	/* A line came; answered now or later. */
	void (*request)(struct control *c, const char *line, size_t len);
	/* The answer of c->ask, the client's. */
	event_callback_fn answer;
};

/* Those that managers have a say in ask the managers concerned, and are answered once all of
 * them have told, or left, or did not in time. */
extern const struct control_handlers control_ops;

int __must_check control_open(struct vtpmd *d, const struct control_handlers *handlers);
/* Who connects waits until it is over. */
void control_pause(bool yes);
void control_close(struct vtpmd *d);

/* Sends a line; takes the object over.  NULL: it could not be made, and a sentence that
 * says so is the final answer. */
void control_send(struct control *c, json_t *line);
/* The final line was sent: the next request may come. */
void control_idle(struct control *c);

/* The last line of an answer, each kind of it once.  Private to control*.c. */

/* Any such line; it is taken over. */
void control_answer_with(struct control *c, json_t *line);
/* ... "uuid" */
void control_answer_ok(struct control *c, const uint8_t uuid[16]);
/* The same, once the host's TPM has the generations: what an operator did is not to be
 * undone by an older copy of the store. */
void control_answer_anchored(struct control *c, const uint8_t uuid[16]);
/* {"ok": false, ...}; word: a cause, as docs/formats.md lists them */
void control_answer_word(struct control *c, const char *word, const char *text);
/* e's sentence and cause; rc -EEXIST and -EBUSY have words of their own */
void control_answer_refuse(struct control *c, int rc, const struct error *e);
/* Has run() change what is stored of a vTPM that this host claims for it (hold.h), with c as its
 * context; done() answers, and is NULL for "ok" alone. */
void control_hold(struct control *c, struct vtpm *v,
		  int (*run)(void *ctx, struct vtpm *v, struct error *e),
		  void (*done)(void *ctx, int rc, const struct error *e));
/* What vtpmctl does not send. */
void control_answer_malformed(struct control *c);
/* text, or that it is in use on another host of the pool, and is to be asked there. */
void control_answer_not_running(struct control *c, struct vtpm *v, const char *text);
/* There is no vTPM c->name; it may have moved to another host. */
void control_answer_no_such(struct control *c);

/*
 * The answer to an op that starts or stops a vTPM: CREATE, START, STOP, DELETE.
 * Private to control*.c.
 */

/* Answers when the vTPM has settled, which may be now; until then c is on its list of
 * waiters, and the client gets progress lines.  A DELETE removes the vTPM then. */
void control_settle(struct control *c, struct vtpm *v);

#endif
