/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/etcd/members.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct observer {
	struct member told;
	struct etcd *etcd;
	struct etcd_call *call; /* NULL: none is under way */
};

struct members {
	struct observer all[ETCD_ENDPOINTS_MAX];
	size_t count;
	struct event *tick;
};

static void on_status(void *ctx, int rc, const uint8_t *buf, size_t len)
{
	struct observer *o = ctx;
	struct member *m = &o->told;

	o->call = NULL;
	if (!rc)
		rc = proto_status_reply(buf, len, &m->status);
	m->known = !rc;
	if (rc)
		snprintf(m->trouble, sizeof(m->trouble), "%s",
			 rc == -EACCES	  ? "it does not tell this host its status"
			 : rc == -EBADMSG ? "its answer is no status"
					  : "it did not answer");
}

static void ask_status(struct observer *o)
{
	static const uint8_t none[1];

	if (o->call || !etcd_is_up(o->etcd))
		return;
	(void)!etcd_call(o->etcd, ETCD_STATUS, none, 0, on_status, o, &o->call);
}

static void on_member_link(void *ctx, bool is_up)
{
	struct observer *o = ctx;

	if (is_up) {
		ask_status(o);
		return;
	}
	o->call = NULL;
	o->told.known = false;
	snprintf(o->told.trouble, sizeof(o->told.trouble), "%s", etcd_trouble(o->etcd));
}

static void on_members_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct members *m = ctx;

	for (size_t i = 0; i < m->count; i++)
		ask_status(&m->all[i]);
}

static int add_member(struct event_base *base, struct members *m,
		      const struct etcd_options *o, size_t len, struct error *e)
{
	struct observer *one = &m->all[m->count];
	struct etcd_options to = *o;

	snprintf(one->told.name, sizeof(one->told.name), "%.*s", (int)len, o->endpoints);
	snprintf(one->told.trouble, sizeof(one->told.trouble), "it was not asked yet");
	to.endpoints = one->told.name;
	to.on_link = on_member_link;
	to.ctx = one;
	m->count++;
	return etcd_new(base, &to, &one->etcd, e);
}

int members_new(struct event_base *base, const struct etcd_options *o,
		struct members **out, struct error *e)
{
	static const struct timeval often = {.tv_sec = MEMBERS_S};
	struct members *m = calloc(1, sizeof(*m));
	struct etcd_options one = *o;
	int rc = 0;

	if (!m)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	while (!rc && m->count < ETCD_ENDPOINTS_MAX) {
		size_t len = strcspn(one.endpoints, ",/");

		rc = add_member(base, m, &one, len, e);
		if (one.endpoints[len] != ',')
			break;
		one.endpoints += len + 1;
	}
	m->tick = event_new(base, -1, EV_PERSIST, on_members_tick, m);
	if (!rc && (!m->tick || event_add(m->tick, &often)))
		rc = error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	if (rc)
		members_free(m);
	else
		*out = m;
	return rc;
}

void members_free(struct members *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->count; i++)
		etcd_free(m->all[i].etcd);
	if (m->tick)
		event_free(m->tick);
	free(m);
}

size_t members_count(const struct members *m)
{
	return m ? m->count : 0;
}

const struct member *members_at(const struct members *m, size_t i)
{
	return &m->all[i].told;
}
