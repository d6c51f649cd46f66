/* SPDX-License-Identifier: Apache-2.0 */
/* The operation "move" of the control socket: what `vtpmctl migrate` carries between hosts. */
#include "lib/crypt.h"
#include "lib/text.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/control.h"
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/vtpms.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#define WAIT_S	     60 /* for a manager: a TPM and a KMS have to be heard */
#define MESSAGES_MAX 8
#define CALM_LOOKS   500 /* for the response to a command, which may make a key */

static const struct timeval calm_every = {.tv_usec = 20000};

/* Its manager is to answer. */
#define PENDING                                                                        \
	(1u << HANDOVER_JUDGING | 1u << HANDOVER_EXPORTING | 1u << HANDOVER_INCOMING | \
	 1u << HANDOVER_IMPORTING | 1u << HANDOVER_GIVING)

/* It is here, and no transfer of it is under way. */
#define OVER (1u << HANDOVER_HERE | 1u << HANDOVER_TAKEN)

static void answer_state(struct control *c, struct move *m)
{
	const struct vtpm *v = move_vtpm(m);
	/* what was taken waits for nothing */
	bool replaced = m->r.h.state != HANDOVER_TAKEN && move_is_replaced(m);
	json_t *out = m->outbox;

	m->outbox = json_array();
	if (replaced)
		move_tell_replaced(m, m->why, sizeof(m->why));
	control_answer_with(c, json_pack("{s:b, s:s, s:s, s:s, s:s, s:b, s:b, s:o}", "ok",
					 1, "name", m->r.name, "state",
					 handover_word(m->r.h.state), "peer", m->r.peer,
					 "why", m->why, "stopped", v && !v->meta.wanted,
					 "replaced", replaced, "messages", out));
	move_recall_away(m);
}

void move_answer(struct move *m)
{
	struct control *c = m->client;

	/* what the host's TPM knows of it may be another state */
	if (!c || m->calms || m->holds || anchor_busy(m->d->anchor) ||
	    PENDING >> m->r.h.state & 1)
		return;
	/* what it has to tell may follow upon that */
	if (!json_array_size(m->outbox) && move_is_erasing(m))
		return;
	m->client = NULL;
	event_del(m->late);
	answer_state(c, m);
}

void move_on_late(evutil_socket_t fd, short what, void *ctx)
{
	struct move *m = ctx;
	struct control *c = m->client;

	m->client = NULL;
	if (c)
		answer_state(c, m);
}

static void refuse_beside(struct control *c, const struct move *m)
{
	char text[320];

	snprintf(
		text, sizeof(text),
		"%s moves, and another `vtpmctl migrate` of %s or of this host goes on with "
		"it: wait for its end.",
		m->r.name, m->r.peer[0] ? m->r.peer : "another host");
	control_answer_word(c, "busy", text);
}

static void wait_for(struct control *c, struct move *m)
{
	const struct timeval limit = {.tv_sec = WAIT_S};

	move_carry(m, c);
	/* one whose other host has gone may wait yet */
	if (m->client && m->client != c)
		refuse_beside(m->client, m);
	m->client = c;
	event_add(m->late, &limit);
	move_answer(m);
}

void move_forget(struct control *c)
{
	struct move *m;

	move_lay_down(c);
	/* thousands of others come and go beside thousands of moves */
	if (c->what != MOVE)
		return;
	for (m = c->d->moves; m; m = m->next)
		if (m->client == c) {
			m->client = NULL;
			event_del(m->late);
		}
}

/* What a record says that is found by its name, before others of that name: of a transfer that is
 * under way; of what has moved away; nothing any more. */
static int rank_record(const struct move *m)
{
	const unsigned int nothing = OVER | 1u << HANDOVER_ABSENT;

	if (nothing >> m->r.h.state & 1)
		return 1;
	return m->r.h.state == HANDOVER_AWAY ? 2 : 3;
}

/* One that is away has no vTPM, and a record with its name, as may have several; or its uuid is
 * given.  Any host may have had one come to nothing here, of whatever name.  peer: who asks, and
 * means what it has sent; NULL: an operator. */
static struct move *find_without_vtpm(struct vtpmd *d, const char *name, const char *peer)
{
	struct move *m, *found = NULL;
	uint8_t uuid[16];

	for (m = d->moves; m; m = m->next)
		if (!strcmp(m->r.name, name) && (!peer || !strcmp(m->r.peer, peer)) &&
		    (!found || rank_record(m) > rank_record(found)))
			found = m;
	if (found)
		return found;
	return uuid_parse(name, uuid) ? NULL : move_find(d, uuid);
}

/* Another one of its name that has moved away, to another host; NULL: none. */
static const struct move *find_namesake(const struct vtpmd *d, const struct move *m)
{
	const struct move *one;

	for (one = d->moves; one; one = one->next)
		if (!one->unread && one->r.h.state == HANDOVER_AWAY &&
		    !strcmp(one->r.name, m->r.name) &&
		    strcmp(one->r.peer, m->r.peer) != 0)
			return one;
	return NULL;
}

bool move_tell_where(struct vtpmd *d, const char *name, char *text, size_t size)
{
	const struct move *m = find_without_vtpm(d, name, NULL), *other;

	if (!m || m->unread || m->r.h.state != HANDOVER_AWAY)
		return false;
	other = find_namesake(d, m);
	if (other)
		snprintf(
			text, size,
			"More than one %s has moved away, to %s and to %s: `vtpmctl migrate "
			"--moved` lists them, with their uuids.",
			m->r.name, m->r.peer, other->r.peer);
	else
		snprintf(text, size, "%s has moved to %s: ask for it there.", m->r.name,
			 m->r.peer);
	return true;
}

/* The move of a vTPM that is here; made if there is none.  peer: who asks; NULL: an operator. */
static struct move *move_of(struct vtpmd *d, const char *name, const char *peer)
{
	struct move_record fresh = {.h.state = HANDOVER_HERE};
	struct vtpm *v = vtpms_find(d, name);
	struct move *m = v ? move_find(d, v->meta.uuid) : NULL;

	/* one that is here may have the name of another that this host had sent */
	if (!v || (peer && (!m || strcmp(m->r.peer, peer) != 0)))
		return find_without_vtpm(d, name, peer);
	if (m)
		return m;
	memcpy(fresh.uuid, v->meta.uuid, sizeof(fresh.uuid));
	strcpy(fresh.name, v->meta.name);
	return move_new(d, &fresh);
}

/* A manager in domain 0 shares that with others, and a guest is moved with a backend of its
 * own. */
static bool can_move(const struct vtpmd *d, const struct vtpm *v, const char **why)
{
	*why = "It is in a pool's etcd, whose other hosts would start it there when this one "
	       "is away: stop it, and start it on another host of the pool.";
	if (store_is_leased(&v->store))
		return false;
	*why = "It is a process of domain 0 (`--placement process`), and those do not move: "
	       "`vtpmctl recover` has its backup on another host.";
	if (d->xen && v->meta.process)
		return false;
	*why = "Nobody can use it here, and so it does not move: `vtpmctl recover` has its "
	       "backup on another host.";
	return d->xen || d->unix_dir;
}

static int begin_move(struct control *c, struct move *m, const char *host,
		      const char **why)
{
	struct vtpm *v = vtpms_find(c->d, c->name);
	uint8_t txid[HANDOVER_TXID_SIZE];
	int rc;

	if (!host || strlen(host) > POOL_NAME_MAX || !host[0])
		return -EINVAL;
	if (!v)
		return -ENOENT;
	if (!vtpm_hears(v))
		return -ENOTCONN;
	if (!can_move(c->d, v, why))
		return -EOPNOTSUPP;
	*why = move_old_pool(c->d);
	if (*why)
		return -EOPNOTSUPP;
	if (move_is_own(m))
		m->r.h.state = HANDOVER_HERE;
	if (m->r.h.state != HANDOVER_HERE && m->r.h.state != HANDOVER_TAKEN)
		return -EBUSY;
	m->why[0] = '\0';
	strcpy(m->r.peer, host);
	strcpy(m->r.name, v->meta.name);
	move_note_other(m);
	rc = move_make_offer(m, v);
	if (!rc)
		rc = crypt_random(txid, sizeof(txid));
	return rc ? rc : move_step(m, HANDOVER_BEGIN, txid);
}

static const struct {
	const char *word;
	enum handover_kind kind;
} wishes[] = {
	{"begin", HANDOVER_BEGIN},   {"export", HANDOVER_EXPORT},
	{"commit", HANDOVER_COMMIT}, {"cancel", HANDOVER_CANCEL},
	{"finish", HANDOVER_FINISH}, {"back", HANDOVER_GIVE_BACK},
	{"tick", HANDOVER_TICK},     {"take", HANDOVER_TAKE},
};

/* A guest that xl has resumed here has its TPM here. */
static int commit_move(struct move *m, const char **why)
{
	const struct vtpm *v = move_vtpm(m);

	*why = "Its guest runs here again: the vTPM stays with it.";
	if (v && !move_guest_rests(v))
		return -EOPNOTSUPP;
	return move_step(m, HANDOVER_COMMIT, NULL);
}

/* A guest that runs would go on with what has been exported. */
static int export_move(struct move *m, const char **why)
{
	const struct vtpm *v = move_vtpm(m);

	*why = "A guest that runs uses it: it is exported when `xl migrate` has suspended "
	       "that guest, or when it is shut down.";
	if (v && !move_guest_rests(v))
		return -EOPNOTSUPP;
	if (m->r.h.state != HANDOVER_PROVED || !crb_is_busy(m->r.uuid))
		return move_step(m, HANDOVER_EXPORT, NULL);
	m->looks = 0;
	m->calms = true;
	event_add(m->calm, &calm_every);
	return 0;
}

/* Nothing executes here what a guest that was started here asks: it would run without its TPM,
 * and once more where that goes. */
static int give_back(struct move *m, const char **why)
{
	const struct vtpm *v = move_vtpm(m);

	if (v && OVER >> m->r.h.state & 1) {
		snprintf(m->said, sizeof(m->said),
			 "%s is here, and in no move: `vtpmctl migrate %s %s` moves it "
			 "back.",
			 m->r.name, m->r.name, m->r.peer[0] ? m->r.peer : "HOST");
		*why = m->said;
		return -EOPNOTSUPP;
	}
	*why = "Its guest has been started here: the vTPM stays with it, and moves back by "
	       "`vtpmctl migrate`.";
	if (v && move_guest_runs(v))
		return -EOPNOTSUPP;
	/* its manager is not stopped again for the same answer */
	*why = move_stays(m);
	if (m->stays)
		return -EOPNOTSUPP;
	m->why[0] = '\0';
	return move_step(m, HANDOVER_GIVE_BACK, NULL);
}

/* Its source destroys what it has of the guest only when that was started here. */
static int see_started(struct move *m, const char **why)
{
	const struct vtpm *v = move_vtpm(m);

	*why = "Nothing shows that its guest was started here.";
	if (m->r.h.state != HANDOVER_OWNED || !v || !(m->touched || move_guest_runs(v)))
		return -EOPNOTSUPP;
	return move_step(m, HANDOVER_TICK, NULL);
}

/* An HVM guest may be suspended in the midst of a command, and no other follows: its
 * response is in the registers that move. */
void move_on_calm(evutil_socket_t fd, short what, void *ctx)
{
	struct move *m = ctx;

	if (m->r.h.state == HANDOVER_PROVED && crb_is_busy(m->r.uuid) &&
	    ++m->looks < CALM_LOOKS) {
		event_add(m->calm, &calm_every);
		return;
	}
	m->calms = false;
	/* it may have come to nothing meanwhile */
	if (move_step(m, HANDOVER_EXPORT, NULL))
		move_answer(m);
}

static int wish(struct control *c, struct move *m, const char *word, const char *host,
		const char **why)
{
	size_t i;

	if (word && !strcmp(word, "forget"))
		return move_drop(m, why);
	if (word && !strcmp(word, "started"))
		return see_started(m, why);
	if (word && !strcmp(word, "disown"))
		return move_disown(m, why);
	for (i = 0; word && i < ARRAY_SIZE(wishes); i++) {
		if (strcmp(word, wishes[i].word) != 0)
			continue;
		if (wishes[i].kind == HANDOVER_BEGIN)
			return begin_move(c, m, host, why);
		if (wishes[i].kind == HANDOVER_EXPORT)
			return export_move(m, why);
		if (wishes[i].kind == HANDOVER_COMMIT)
			return commit_move(m, why);
		if (wishes[i].kind == HANDOVER_GIVE_BACK)
			return give_back(m, why);
		if (wishes[i].kind == HANDOVER_TAKE)
			return move_take(m);
		return move_step(m, wishes[i].kind, NULL);
	}
	return -EINVAL;
}

/* All are of one vTPM. */
static int hear_all(struct vtpmd *d, const char *peer, const json_t *messages,
		    struct move **m, json_t *apart)
{
	struct move_message msg;
	const json_t *item;
	uint8_t *bytes;
	size_t i, len;
	int rc = 0;

	json_array_foreach(messages, i, item)
	{
		const char *hex = json_string_value(item);

		if (!hex || i == MESSAGES_MAX)
			return -EINVAL;
		len = strlen(hex) / 2;
		bytes = malloc(len + 1);
		rc = bytes ? hex_decode(hex, bytes, &len) : -ENOMEM;
		if (!rc)
			rc = move_message_decode(bytes, len, &msg);
		/* of the others nobody would take the answers */
		if (!rc && *m && memcmp((*m)->r.uuid, msg.uuid, sizeof(msg.uuid)) != 0)
			rc = -EINVAL;
		if (!rc) {
			rc = move_hear(d, peer, &msg, apart);
			*m = move_find(d, msg.uuid);
		}
		free(bytes);
		if (rc)
			return rc;
	}
	return *m ? 0 : -EINVAL;
}

static void refuse_replaced(struct control *c, const struct move *m)
{
	char text[sizeof(m->why)];

	move_tell_replaced(m, text, sizeof(text));
	control_answer_word(c, "busy", text);
}

/* Messages that came from another host.  What waits for the host with which the vTPM is in a
 * handover, and who carries that, is not for one with which it was before. */
static int answer_peer(struct control *c, const char *peer, const json_t *messages)
{
	json_t *apart = json_array();
	struct move *m = NULL;
	int rc = hear_all(c->d, peer, messages, &m, apart);

	if (rc && m && m->unread) {
		struct error e = {.cause = CAUSE_NONE};

		control_answer_refuse(c, move_refuse_unread(m, &e), &e);
		json_decref(apart);
		return 0;
	}
	if (rc == -EKEYREJECTED && m) {
		refuse_replaced(c, m);
		json_decref(apart);
		return 0;
	}
	if (!rc && move_is_with_other(m, peer)) {
		control_answer_with(c, json_pack("{s:b, s:s, s:s, s:s, s:s, s:o}", "ok",
						 1, "name", "", "state", "away", "peer",
						 peer, "why", "", "messages", apart));
		return 0;
	}
	if (!rc && move_is_beside(m, c))
		refuse_beside(c, m);
	else if (!rc)
		wait_for(c, m);
	json_decref(apart);
	return rc;
}

static void refuse_stopped(struct control *c)
{
	char text[256];

	snprintf(text, sizeof(text), "%s does not run: `vtpmctl start %s`, then move it.",
		 c->name, c->name);
	control_answer_word(c, "busy", text);
}

static void refuse_move(struct control *c, int rc, const char *why)
{
	if (rc == -ENOTCONN)
		refuse_stopped(c);
	else if (rc == -ENOENT)
		control_answer_no_such(c);
	else if (rc == -EOPNOTSUPP)
		control_answer_word(c, "busy", why);
	else if (rc == -ENOSPC)
		control_answer_word(
			c, "busy",
			"There is no room for the record of another handover: `vtpmctl "
			"migrate --moved` lists the vTPMs that moved away, and `vtpmctl "
			"migrate --forget` forgets one.");
	else if (rc == -EPERM)
		control_answer_word(
			c, "busy",
			"That does not fit the handover's state: see `vtpmctl "
			"migrate --continue`.");
	else
		control_answer_malformed(c);
}

void move_on_control(struct control *c, const json_t *request)
{
	const char *peer = json_string_value(json_object_get(request, "peer"));
	const char *event = json_string_value(json_object_get(request, "event"));
	const json_t *messages = json_object_get(request, "messages");
	struct error e = {.cause = CAUSE_NONE};
	const char *why = NULL;
	struct move *m = NULL;
	int rc = move_lacks_records(c->d, &e);

	if (rc) {
		control_answer_refuse(c, rc, &e);
		return;
	}
	if (messages && peer && peer[0] && strlen(peer) <= POOL_NAME_MAX) {
		move_note_role(c, true);
		rc = answer_peer(c, peer, messages);
		if (rc)
			refuse_move(c, rc, NULL);
		return;
	} else if (!peer && event &&
		   (!strcmp(event, "list") || !strcmp(event, "waiting"))) {
		move_list_on_control(c, !strcmp(event, "waiting"));
		return;
	} else if (event && !strcmp(event, "launch")) {
		move_launch_on_control(c,
				       c->name[0] ? move_of(c->d, c->name, peer) : NULL);
		return;
	} else {
		m = move_of(c->d, c->name, peer);
		if (!m && !peer && vtpms_find(c->d, c->name)) {
			refuse_move(c, -ENOSPC, NULL);
			return;
		}
		/* another host asks, of what it has nothing to do with */
		if (!m || (peer && strcmp(m->r.peer, peer) != 0)) {
			control_answer_no_such(c);
			return;
		}
		move_note_role(c, peer != NULL);
		if (peer && move_is_deaf(m)) {
			refuse_replaced(c, m);
			return;
		}
		if (!m->unread && move_is_beside(m, c)) {
			refuse_beside(c, m);
			return;
		}
		rc = m->unread ? m->unread
			       : wish(c, m, event,
				      json_string_value(json_object_get(request, "host")),
				      &why);
	}
	if (rc && m && m->unread) {
		control_answer_refuse(c, move_refuse_unread(m, &e), &e);
		return;
	}
	if (rc == -EBUSY)
		control_answer_refuse(c, move_refuse_in_handover(m, m->r.name, &e), &e);
	else if (rc)
		refuse_move(c, rc, why);
	else
		wait_for(c, m);
}
