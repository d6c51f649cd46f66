/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much another host may have done here: a vTPM that is to come costs memory, commands of
 * the host's TPM and writes of its NV memory, whether it comes or not.
 */
#include "tools/vtpmd/move_private.h"

#include <string.h>

#define COMING_MAX 16	/* at a time, as many as `migrate --evacuate` moves ... */
#define COMING_ALL 48	/* ... and of all hosts */
#define VTPMS_MAX  4000 /* that this host has, of whomever; an operator may make more */
#define IN_VAIN	   64	/* offers of one host that may come to nothing, or go back ... */
#define PARDON_S   300	/* ... and one more each time that this has passed */

#define COMING                                                                          \
	(1u << HANDOVER_INCOMING | 1u << HANDOVER_ACCEPTED | 1u << HANDOVER_IMPORTING | \
	 1u << HANDOVER_PREPARED)

/* An empty name: nobody. */
static struct offerer {
	char peer[POOL_NAME_MAX + 1];
	unsigned int in_vain;
	int64_t since_ms; /* of the last pardon */
} offerers[POOL_HOSTS_MAX];

static void pardon(struct offerer *o)
{
	int64_t now = stamp_ms(), n = (now - o->since_ms) / (PARDON_S * 1000);

	if (n <= 0)
		return;
	o->in_vain -= n < o->in_vain ? (unsigned int)n : o->in_vain;
	o->since_ms += n * PARDON_S * 1000;
}

/* What is known of the host; else the place of the one that failed least. */
static struct offerer *find_offerer(const char *peer)
{
	struct offerer *least = offerers, *o;

	for (o = offerers; o < offerers + POOL_HOSTS_MAX; o++) {
		if (!strcmp(o->peer, peer))
			return o;
		if (o->in_vain < least->in_vain)
			least = o;
	}
	memset(least, 0, sizeof(*least));
	strncpy(least->peer, peer, POOL_NAME_MAX);
	least->since_ms = stamp_ms();
	return least;
}

const char *move_limit_take(struct vtpmd *d, const char *peer)
{
	struct offerer *o = find_offerer(peer);
	unsigned int n = 0, all = 0, vtpms = 0;
	const struct move *m;
	const struct vtpm *v;

	for (m = d->moves; m; m = m->next) {
		all += COMING >> m->r.h.state & 1;
		n += COMING >> m->r.h.state & 1 && !strcmp(m->r.peer, peer);
	}
	if (n >= COMING_MAX)
		return "It takes 16 vTPMs of one host at a time: try again when they are "
		       "here.";
	if (all >= COMING_ALL)
		return "It takes 48 vTPMs of all hosts at a time: try again when they are "
		       "here.";
	for (v = d->vtpms; v; v = v->next)
		vtpms++;
	if (vtpms >= VTPMS_MAX)
		return "It has 4000 vTPMs, and takes no more of other hosts: move it to "
		       "another one, or move or delete some there.";
	pardon(o);
	if (o->in_vain >= IN_VAIN)
		return "Too many moves of that host's came to nothing here: see why, and "
		       "try again in some minutes.";
	o->in_vain++;
	return NULL;
}

void move_limit_return(const char *peer)
{
	struct offerer *o = find_offerer(peer);

	o->in_vain -= o->in_vain > 0;
}
