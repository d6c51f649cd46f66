/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handovers of this host: what handover.h says is to be done is done here, with records,
 * managers and the messages that `vtpmctl migrate` carries.
 */
#ifndef VTPMD_MOVE_H
#define VTPMD_MOVE_H

#include "lib/cursor.h"
#include "tools/vtpmd/move_record.h"
#include "tools/vtpmd/vtpm.h"

#include <jansson.h>

/* Whether the newest list of hosts that there is (beside host.json, or the pool's in etcd), has
 * the host of this name with this host's keys; else *e: this one may claim nothing. */
int __must_check move_list_has(struct vtpmd *d, const char *name, struct error *e);

/* The names in that list, as a JSON array; NULL: there is none that is signed. */
json_t *move_list_names(struct vtpmd *d);
/* Whether the list that was signed on this host is newer than the pool's in etcd, so that other hosts
 * do not have it. */
bool move_list_is_unpublished(struct vtpmd *d);

struct control;
struct move;
struct binding_part;

/* Reads the records; before registry_load().  Of what cannot be read, what the host's TPM knows of
 * vTPMs counts; on a host without an anchor they do not start. */
void move_init(struct vtpmd *d);
/* What follows upon the records; after registry_load(). */
void move_resume(struct vtpmd *d);
void move_end(struct vtpmd *d);

/* The anchor is known, or something is asked that depends on it: marks against records, once. */
void move_know_marks(struct vtpmd *d);
/* The same, and tells clients that came before it was known. */
void move_on_anchored(struct vtpmd *d);
/* vtpmd ends: what it would have the host's TPM take in a moment goes with the last write. */
void move_leave(struct vtpmd *d);

/* Whether a vTPM's body may be started; else *e: another host has it, or may have. */
int __must_check move_may_start(const struct vtpm *v, struct error *e);
/* Whether it may be deleted, renamed, or changed in what the other host has heard of already. */
int __must_check move_may_change(const struct vtpm *v, struct error *e);
/* Whether a backup of a vTPM that is not here may be restored; lost: also when it has moved to
 * another host, as that never comes back. */
int __must_check move_may_restore(struct vtpmd *d, const uint8_t uuid[16], bool lost,
				  struct error *e);
/* Records that it is this host's again, whatever became of it on the other one: before it is
 * made, so that no crash has the record of the move erase it. */
int __must_check move_restores(struct vtpmd *d, const uint8_t uuid[16], struct error *e);
/* Whether an operator may have it stopped: not while only its manager has the PCRs. */
int __must_check move_may_stop(const struct vtpm *v, struct error *e);
/* Its handover, for an operator: {"step": WORD, "peer": HOST, "way": "out"|"in"|"back"};
 * null when it is in none. */
json_t *move_show(const struct vtpm *v);
#define MOVE_REMOVAL_TEXT 160
/* What removes it, in text, if that is the end of a move on this host; NULL: a person does. */
const char *move_explain_removal(const struct vtpm *v, char text[MOVE_REMOVAL_TEXT]);
/* Whether it is made of what comes from another host. */
bool move_is_incoming(const struct vtpm *v);
/* What the manager of such a one gets besides: CONFIG_INCOMING, CONFIG_EK_NAME. */
void move_put_config(const struct vtpm *v, struct cursor *out);
/* Its manager got its configuration: it is told of the OFFER. */
void move_on_hello(struct vtpm *v);
/* One that ran on without vtpmd is connected again: it may have waited for a word. */
void move_on_resumed(struct vtpm *v);
/* Whether another host has it, and what is left of it here is being erased. */
bool move_is_away(const struct vtpm *v);
/* Whether its manager waits for what comes from another host, as long as that takes. */
bool move_waits(const struct vtpm *v);
/* CHANNEL_MOVED (struct peer_owner). */
void move_on_peer(void *ctx, uint8_t step, uint32_t cause, const uint8_t *bytes,
		  size_t len);
/* Its manager is gone. */
void move_on_gone(struct vtpm *v);
/* Writes the binding that the host's TPM is to sign for an incoming vTPM; request: what its
 * manager asked.  -EINVAL */
int __must_check move_bind(const struct vtpm *v, const uint8_t *request, size_t len,
			   uint8_t *out, size_t *out_len);

/*
 * {"op": "move", "name": NAME, "event": WORD, "host": HOST}       of this host's vTPM
 * {"op": "move", "peer": HOST, "messages": [HEX, ...]}            that came from that host
 *   -> {"ok": true, "name": NAME, "state": WORD, "why": TEXT, "stopped": false,
 *       "replaced": false, "messages": [HEX, ...]}   to be sent there
 * replaced: the list of hosts has another machine under the name of the move's other host.
 * The first with a "peer", too: that host asks, and is told nothing of what is another's.
 * event: begin, export, commit, cancel, finish, back, tick, take.  The answer waits for the manager.
 * forget: the record of one that is not here goes.
 * And launch, which says what was measured of the guest, list and waiting: move_private.h.
 */
void move_on_control(struct control *c, const json_t *request);
/* Writes where a vTPM is that has moved away; false: none of that name has. */
bool move_tell_where(struct vtpmd *d, const char *name, char *text, size_t size);
/* The client is gone. */
void move_forget(struct control *c);

#endif
