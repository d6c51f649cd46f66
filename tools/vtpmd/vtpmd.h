/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all parts of the daemon share: the options, the event loop, the handle to
 * Xen, and the vTPMs of this host.
 *
 * Layers, calls go downward only (callbacks come back up):
 *   main -> control -> registry -> vtpm -> process | domain -> xen, child
 *                                       -> anchor, quote -> helper -> child; trail
 *                                       -> peer -> store, relay, tunnel -> wire
 */
#ifndef VTPMD_VTPMD_H
#define VTPMD_VTPMD_H

#include <stdbool.h>
#include <time.h>
#include <event2/event.h>
#include "lib/audit.h"
#include "lib/kms.h"
#include "tools/vtpmd/config.h"
#include "tools/vtpmd/queue.h"
#include "tools/vtpmd/tree.h"

struct ask;
struct waiter;
struct xen;
struct vtpm;
struct anchor;
struct quote;
struct move;
struct witness;

struct vtpmd {
	struct event_base *base;
	const char *socket;
	const char *store;  /* root of the store; NULL: as host.json has it */
	const char *folder; /* of this host's own: the store, unless that is etcd's */
	struct {
		const char *ca, *cert, *key; /* PEM files, for etcd */
		unsigned int ttl;	     /* s, of the host's lease; 0: as usual */
		bool watchdog;		     /* Xen's guards it in each stub domain */
		struct config *named_by; /* who has the texts above; NULL: the options */
		bool majority; /* of the hosts has to tell what it has seen: witness.h */
		struct waiter *waiters; /* for accepted data of etcd */
		struct event *tick;	/* what was seen of etcd is noted */
		struct event *ending;	/* until no vTPM runs */
	} pool;
	const char *config;	   /* host.json ... */
	struct config_file host;   /* ... as it was read last */
	const char *tpm;	   /* target of the relay */
	const char *manager;	   /* the manager's ELF */
	const char *stubdom;	   /* the stub domain's kernel */
	const char *crb;	   /* vtpm-crb, the TPM of HVM guests */
	const char *domain_config; /* lines added to each stub domain's xl file */
	const char *audit;	   /* the audit log */
	struct audit_head audited; /* its last entry: trail.h */
	uint64_t audit_found;	   /* the last one that was there at the start */
	const char *metrics;	   /* where Prometheus asks; NULL: nowhere */
	const char *anchor_dir;	   /* the anchor's table; NULL: the store */
	const char *vtpmctl;	   /* who speaks with the TPM about it */
	unsigned int anchor_every; /* s */
	const char *host_log;	   /* the host's event log, which may be absent */
	const char *unix_dir;	   /* tests: processes serve DIR/NAME, without Xen */
	bool processes;		   /* default placement */
	const char *user;	   /* whom managers that are processes become */
	char run[256];		   /* folder of the socket, for run state */
	int run_dir;		   /* the same, open */
	struct xen *xen;	   /* NULL: not on Xen */
	struct anchor *anchor;
	struct quote *quote; /* the host's TPM, for deep quotes */
	struct witness
		*witness;   /* the other hosts of a pool; NULL: the store is none's */
	struct vtpm *vtpms; /* in the order of their names: vtpms.h */
	struct tree_node *by_name, *by_uuid;
	uint64_t vtpms_changes;		 /* how often one was added or removed */
	struct queue queue;		 /* of starts */
	struct move *moves;		 /* handovers */
	struct tree_node *moves_by_uuid; /* the same */
	size_t move_count,
		moves_kept; /* how many; that were not idle when that was looked at */
	bool marks_known;   /* they were compared with what the host's TPM has of them */
	int records_rc;	    /* not all of their records could be read, and why */
	uint64_t pool_number; /* of the newest list of hosts that was used: lib/pool.h */
	struct ask *asks;     /* who wait for managers' answers */
	/* The host's TPM has what starts wait for. */
	void (*on_anchored)(struct vtpmd *d);
	/* The anchor's table is about to be written: what other hosts did belongs in it. */
	void (*on_anchoring)(struct vtpmd *d);
	unsigned int autostart, autostarted, autostart_failed; /* of this start */
	struct event *not_ready; /* until they have settled: ready.h */
	bool ready;
	time_t started;
	time_t reloaded;    /* host.json was last found good; 0: not asked */
	bool reload_failed; /* the last time */
	/* of Vault, as whoever used it last told */
	struct kms_token token;
};

#endif
