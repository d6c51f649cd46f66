/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which machine the other host of a move is.  Messages say its name, which another machine may get
 * later, with a certificate and a place in the list of hosts.  Its attestation key, that the list
 * had when the move began, is in the record: a machine of which the list has another one knows
 * nothing of the move, and what it says would have the vTPM run here while the first one runs it.
 */
#include "tools/vtpmd/config.h"
#include "tools/vtpmd/move_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define IN(state) (1u << HANDOVER_##state)
/* In which this host waits for a word of the other one, for as long as that takes.  A transfer that
 * has not come so far is minutes old, and ends with this vtpmd. */
#define WAITS                                                                  \
	(IN(RELEASED) | IN(CONFIRMED) | IN(DOUBT) | IN(PREPARED) | IN(OWNED) | \
	 IN(GIVING) | IN(YIELDING) | IN(BACK) | IN(UNSURE) | IN(TAKEN))

/* 0: the list does not have it, or ak is its key; -EBADMSG: there is no list. */
static int find_ak(const struct hostconf *conf, const struct move_bytes *list,
		   const char *name, struct move_ak *ak)
{
	struct pool_host h;
	struct pool pool;

	if (pool_open(list->p, list->n, conf->policy_key, sizeof(conf->policy_key),
		      &pool))
		return -EBADMSG;
	while (pool_next_host(&pool.host, &h)) {
		if (h.name.n != strlen(name) || memcmp(h.name.p, name, h.name.n) ||
		    h.ak.n > sizeof(ak->bytes))
			continue;
		ak->n = (uint16_t)h.ak.n;
		memcpy(ak->bytes, h.ak.p, h.ak.n);
		return 0;
	}
	return 0;
}

/* Of the host of that name in the newest list; ak->n is 0: it is not in that.  -errno: nobody knows. */
static int look_up_ak(struct vtpmd *d, const char *name, struct move_ak *ak)
{
	struct error e = {.cause = CAUSE_NONE};
	struct move_bytes list = {NULL, 0};
	struct config *c;
	int rc;

	memset(ak, 0, sizeof(*ak));
	rc = config_get(&d->host, d->config, &c, &e);
	if (rc)
		return rc;
	rc = move_read_pool(d, &list);
	if (!rc)
		rc = find_ak(&c->host, &list, name, ak);
	move_drop_bytes(&list);
	config_put(c);
	return rc;
}

void move_note_other(struct move *m)
{
	/* without one it is not known */
	(void)!look_up_ak(m->d, m->r.peer, &m->r.ak);
}

/* 0; -EKEYREJECTED: it is another machine; another -errno: nobody knows which one it is. */
static int compare_other(const struct move *m)
{
	struct move_ak now;
	int rc;

	if (!m->r.ak.n || !(WAITS >> m->r.h.state & 1))
		return 0;
	rc = look_up_ak(m->d, m->r.peer, &now);
	if (rc || !now.n)
		return rc == -EKEYREJECTED ? -EACCES : rc;
	return now.n != m->r.ak.n || memcmp(now.bytes, m->r.ak.bytes, now.n) != 0
		       ? -EKEYREJECTED
		       : 0;
}

bool move_is_replaced(const struct move *m)
{
	return compare_other(m) == -EKEYREJECTED;
}

bool move_is_deaf(const struct move *m)
{
	return compare_other(m) != 0;
}

void move_tell_replaced(const struct move *m, char *text, size_t size)
{
	int rc = compare_other(m);

	if (rc && rc != -EKEYREJECTED) {
		snprintf(
			text, size,
			"Whether %s is the machine with which %s is in a move is not known, and "
			"it is not heard: host.json, or the list of hosts beside it, cannot be "
			"used (%s; `vtpmctl doctor`).",
			m->r.peer, m->r.name, strerror(-rc));
		return;
	}
	snprintf(text, size,
		 "%s is another machine than that with which %s is in a move, by the "
		 "attestation key in the list of hosts, and is not heard: when the first "
		 "one is lost for good, `vtpmctl migrate --continue %s --take --yes`; "
		 "else put it back into the list (`vtpmctl peer add`).",
		 m->r.peer, m->r.name, m->r.name);
}
