/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/attest.h"
#include "lib/hex.h"
#include "tools/vtpmd/vtpm_peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PCRS 24

static void clear(struct vtpm_attest *a)
{
	free(a->evidence);
	memset(a, 0, sizeof(*a));
}

int attest_begin(struct vtpm *v, const char *nonce, const char *user, uint32_t pcrs)
{
	struct vtpm_attest fresh = {.pcrs = pcrs,
				    .nonce_len = sizeof(fresh.nonce),
				    .user_len = sizeof(fresh.user)};

	if (hex_decode(nonce, fresh.nonce, &fresh.nonce_len) ||
	    hex_decode(user, fresh.user, &fresh.user_len) ||
	    fresh.nonce_len < BINDING_NONCE_MIN || !pcrs || pcrs >> PCRS)
		return -EINVAL;
	if (v->attest.pending)
		return -EBUSY;
	if (!v->peer || v->greeting || v->state != VTPM_RUNNING)
		return -ENOTCONN;
	clear(&v->attest);
	v->attest = fresh;
	v->attest.pending = true;
	peer_event(v->peer, CHANNEL_EVENT_ATTEST);
	return 0;
}

void attest_drop(struct vtpm *v)
{
	bool pending = v->attest.pending;

	clear(&v->attest);
	if (pending)
		error_set(&v->attest.error, 0, CAUSE_CHANNEL,
			  "The vTPM's manager is gone: see `vtpmctl show %s`.",
			  v->meta.name);
}

int attest_on_peer(void *ctx, struct cursor *out, const char **why)
{
	struct vtpm *v = ctx;

	*why = "Nobody asked for evidence.";
	if (!v->attest.pending)
		return -ENOENT;
	cursor_put_u32(out, v->attest.pcrs);
	cursor_put_u16(out, (uint16_t)v->attest.nonce_len);
	cursor_put(out, v->attest.nonce, v->attest.nonce_len);
	cursor_put_u16(out, (uint16_t)v->attest.user_len);
	cursor_put(out, v->attest.user, v->attest.user_len);
	return cursor_ok(out) ? 0 : -EMSGSIZE;
}

void attest_on_result(void *ctx, uint32_t cause, const char *text)
{
	struct vtpm *v = ctx;
	struct vtpm_attest *a = &v->attest;

	if (!a->pending)
		return;
	a->pending = false;
	a->evidence = cause ? NULL : strdup(text);
	if (cause)
		error_set(&a->error, 0, (enum cause)cause, "%s", text);
	else if (!a->evidence)
		error_set(&a->error, 0, CAUSE_INTERNAL, "There is no memory.");
	vtpm_audit(v, cause ? "attest-failed" : "attest",
		   cause ? error_word(cause) : NULL);
	vtpm_told(v);
}
