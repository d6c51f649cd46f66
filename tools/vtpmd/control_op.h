/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the control socket and what it asked for.  Private to control*.c. */
#ifndef VTPMD_CONTROL_OP_H
#define VTPMD_CONTROL_OP_H

#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/registry.h"

#include <event2/bufferevent.h>
#include <jansson.h>

enum control_what {
	CREATE,
	START,
	STOP,
	DELETE,
	SHOW,
	LIST,
	RESUME,
	BACKUP,
	RESTORE,
	RESEAL,
	REKEY,
	RELOAD,
	ACCEPT,
	CLONE,
	ATTEST,
	CERTIFY,
	CERTIFICATES,
	LAUNCH,
	LAUNCHED,
	LAUNCH_FAILED,
	AUDIT_END,
	AUDIT_ROTATE,
	NO_OP
};

struct control {
	struct control *next;
	struct vtpmd *d;
	struct bufferevent *stream;
	bool busy; /* a request is being answered */
	enum control_what what;
	bool force;
	bool launched; /* RESUME: what comes is this domain, of a launch */
	uint8_t domain[16];
	char name[META_NAME_MAX + 2]; /* of the vTPM; one too long stays so */
	bool waiting;		      /* waiter is on that vTPM's list */
	struct vtpm_waiter waiter;
	bool ran;	  /* STOP: it is not stopped already */
	uint8_t uuid[16]; /* of the answer, while the anchor is waited for */
	struct anchor_waiter anchored;
	bool asking; /* managers were asked for their status */
	struct timespec asked;
	struct event *timer;  /* limit of the asking */
	struct event *answer; /* all have told: control_ask_answer() */
};

void control_op(struct control *c, const char *line, size_t len);
/* The client went away. */
void control_op_cancel(struct control *c);

/* Sends a line; takes the object over.  NULL: it could not be made, and a sentence that
 * says so is the final answer. */
void control_send(struct control *c, json_t *line);
/* The final line was sent: the next request may come. */
void control_idle(struct control *c);
/* For a vTPM's on_status. */
void control_on_status(struct vtpmd *d);

/*
 * The ops that managers have a say in.  Private to control*.c.
 *
 * Each asks the managers concerned, and is answered once all of them have told, or left,
 * or did not in time.  Meanwhile c->asking; control.c's timer and event bring it back.
 */

/* A manager told, or left, or c's time is over: perhaps all have by now; then c->answer
 * follows from the loop. */
void control_ask_status(struct control *c);
/* Of c->answer. */
void control_ask_answer(struct control *c);

#endif
