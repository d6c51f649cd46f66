/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host in a pool: its connection to etcd, its lease, and its mirror of the pool.
 *
 *   link up -> check -> lease (granted, and shown at alive/HOST) -> snapshot -> watch -> ready
 *
 * The check is a read that a majority stands for: its revision is not below any that this host has
 * seen, unless etcd's data were put back, or it is another cluster.  Then the pool is read at
 * most, and nothing is claimed or stored, until session_accept().
 *
 * A link that breaks ends "ready"; the lease and the mirror stay, and the watch goes on
 * behind what was seen.  The lease is this host's word that it runs: session_valid() until a
 * whole TTL after the last renewal was sent, by this host's own clock, so that etcd never
 * thinks it gone before.
 */
#ifndef VTPMD_ETCD_SESSION_H
#define VTPMD_ETCD_SESSION_H

#include "tools/vtpmd/etcd/etcd.h"
#include "tools/vtpmd/etcd/mirror.h"

#include <event2/event.h>

#define SESSION_TTL_S	  30
#define SESSION_TTL_MIN_S 3
#define SESSION_TTL_MAX_S 300

/* How far etcd's data were, and of which cluster, when this host last heard of them. */
struct session_seen {
	uint64_t cluster_id; /* 0: it never did */
	int64_t revision;
};

struct session_options {
	struct event_base *base;
	const char *url; /* etcd://HOST:PORT,.../POOL */
	const char *ca, *cert,
		*key;		  /* PEM files; the host's name is the certificate's CN */
	unsigned int ttl;	  /* s; 0: SESSION_TTL_S */
	struct session_seen seen; /* by an earlier vtpmd */
	/* Something in the mirror has changed, or the session is ready (again). */
	void (*on_change)(void *ctx);
	/* etcd has ended the lease: what was claimed with it is nobody's. */
	void (*on_lease_lost)(void *ctx);
	void *ctx;
};

struct session {
	struct etcd *etcd;
	struct mirror mirror;
	struct session_options o;
	int64_t granted; /* a lease that is not shown yet; 0: none */
	int64_t lease;	 /* 0: none */
	int64_t renewed_ms, renew_sent_ms;
	int64_t promised_ms; /* until when a manager may answer by what it was told of a lease */
	bool renewing;
	/* The stretch in which the lease has been told to managers all the time, from 1: between
	 * two of them other hosts may have had what this one claims. */
	unsigned int stretch;
	struct session_seen seen;
	int64_t found; /* put_back: the revision that etcd had instead */
	int64_t rev;   /* up to which the mirror is complete */
	struct proto_mark after;
	int64_t page; /* keys that are asked for at once */
	int64_t snapshot_rev;
	bool synced, checked, ready, asking;
	unsigned int readied; /* how often it has become ready */
	/* etcd's data are older than they were, or another cluster's: nothing is done */
	bool put_back;
	struct etcd_call *watch;
	struct event *renew, *again;
	bool denied;	   /* etcd has not let this host's user do what makes it ready */
	int64_t denied_ms; /* when the journal was told so */
	/* what the journal has: whether it is connected, and when each was told last */
	bool told_ready;
	int64_t told_ms[2];
};

int __must_check session_new(const struct session_options *o, struct session **out,
			     struct error *e);
void session_free(struct session *s);
/* Whether this host's claims hold for certain. */
bool session_valid(const struct session *s);
/* For how many ms nobody else can have what this host claims, without another renewal: two
 * thirds of a TTL after the last one was sent, at most SESSION_TTL_MAX_S.  The last third is for
 * clocks of hosts that differ, and for a leader of etcd that was cut off, and answered for some
 * more moments than it led. */
uint32_t session_left_ms(const struct session *s);
/* Whether managers may answer still by what they were told, also of a lease that etcd has ended since,
 * or before its data were put back. */
bool session_is_promised(const struct session *s);
/* Why it is not ready, for people. */
const char *session_trouble(const struct session *s);
/* Has a look at an answer's header: false, and nothing of it counts, when it is of a
 * cluster or of data that were put back. */
bool session_accepts(struct session *s, const struct proto_header *h);
/* A person says that etcd's data as they are count: they are read anew as a whole, and nothing is
 * this host's then. */
void session_accept(struct session *s);
/* Renews the lease now, so that a connection in which nothing comes any more is given up within
 * ETCD_CALL_MS; at most once a second. */
void session_probe(struct session *s);
/* The mirror is read again as a whole. */
void session_resync(struct session *s);
int64_t session_now_ms(void);

#endif
