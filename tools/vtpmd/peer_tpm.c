/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/peer_tpm.h"
#include "lib/channel.h"
#include "lib/stamp.h"
#include "tools/vtpmd/bucket.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/peer_answer.h"

#include <errno.h>

/* As long as a start may take (vtpm_start.h). */
#define PEER_TPM_S 180
/* A start takes some 40 commands, a copy's some 70. */
#define BURST	200
#define EACH_MS 500

static struct tpm_filter_host pinned(const struct config *c)
{
	struct cursor tlvs = cursor_reader(c->tlvs, c->len);
	struct tpm_filter_host host = {.srk = c->srk_handle};
	struct channel_tlv t;

	while (channel_tlv_next(&tlvs, &t))
		if (t.tag == CONFIG_POLICY_KEY) {
			host.policy_key_len = cursor_left(&t.value);
			host.policy_key = cursor_bytes(&t.value, host.policy_key_len);
		}
	return host;
}

static void on_tpm(void *ctx, int rc, const uint8_t *rsp, size_t len)
{
	struct peer *p = ctx;
	struct channel_frame f = {.type = CHANNEL_TPM, .id = p->tpm.id};

	if (rc) {
		peer_answer(p, &f, rc);
		return;
	}
	tpm_filter_answered(&p->tpm.filter, &p->tpm.asked, rsp, len);
	peer_reply(p, f.type, f.id, rsp, len);
}

static void refuse(struct peer *p, const struct channel_frame *f,
		   const struct tpm_filter_verdict *v)
{
	peer_log(p, LOG_WARNING, PEER_ABOUT(p, .id = LOG_ID_REFUSED),
		 "TPM command %s (0x%x) was refused: %s", v->name ? v->name : "unknown",
		 v->code, v->why);
	peer_refuse(p, f->type, f->id, EPERM, v->why);
}

void peer_tpm(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	const struct tpm_filter_host host = pinned(p->env.config);
	struct tpm_filter_verdict v;
	unsigned int wait;
	int rc;

	rc = tpm_filter_check(&p->tpm.filter, &host, f->payload, f->len, &v);
	if (!rc && !evtimer_pending(p->tpm.shut, NULL)) {
		rc = -EPERM;
		v.why = "its vTPM neither starts nor makes new key slots";
	}
	if (rc) {
		refuse(p, f, &v);
		return;
	}
	if (relay_busy(p->relay)) {
		peer_answer(p, f, -EBUSY);
		return;
	}
	wait = bucket_wait(&p->env.limits->tpm, BURST, EACH_MS, (uint64_t)stamp_ms());
	log_about(LOG_DEBUG, PEER_ABOUT(p), "%s%s", v.name, wait ? ", slowed down" : "");
	rc = relay_submit(p->relay, f->payload, f->len, wait, on_tpm, p);
	if (rc) {
		peer_answer(p, f, rc);
		return;
	}
	p->tpm.id = f->id;
	p->tpm.asked = v;
}

void peer_tpm_fill(struct peer_limits *limits)
{
	limits->tpm = (struct bucket){0};
}

void peer_tpm_open(struct peer *p)
{
	const struct timeval limit = {.tv_sec = PEER_TPM_S};

	event_add(p->tpm.shut, &limit);
}

void peer_tpm_close(struct peer *p)
{
	event_del(p->tpm.shut);
	relay_reset(p->relay);
	p->tpm.filter = (struct tpm_filter){0};
}

static void on_shut(evutil_socket_t fd, short what, void *ctx)
{
	peer_tpm_close(ctx);
}

int peer_tpm_init(struct peer *p)
{
	p->relay = relay_new(p->env.base, p->env.tpm);
	p->tpm.shut = evtimer_new(p->env.base, on_shut, p);
	return p->relay && p->tpm.shut ? 0 : -ENOMEM;
}

void peer_tpm_end(struct peer *p)
{
	relay_free(p->relay);
	if (p->tpm.shut)
		event_free(p->tpm.shut);
}
