/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator of etcd has to watch: each member is asked for its status, over a connection
 * of its own, every MEMBERS_S.  Nothing of the store depends on it.
 */
#ifndef VTPMD_ETCD_MEMBERS_H
#define VTPMD_ETCD_MEMBERS_H

#include "tools/vtpmd/etcd/etcd.h"
#include "tools/vtpmd/etcd/proto.h"

#define MEMBERS_S     15
#define MEMBERS_QUOTA (2ULL << 30) /* etcd's --quota-backend-bytes unless it is given */

struct member {
	char name[300]; /* HOST:PORT */
	bool known;	/* it has answered, and does so now */
	char trouble[400];
	struct proto_status status;
};

struct members;

/* endpoints and files as in struct etcd_options. */
int __must_check members_new(struct event_base *base, const struct etcd_options *o,
			     struct members **out, struct error *e);
void members_free(struct members *m);
size_t members_count(const struct members *m);
const struct member *members_at(const struct members *m, size_t i);

#endif
