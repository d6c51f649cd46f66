/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/vtpm_move.h"
#include "lib/cursor.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/movejudge.h"
#include "stubdom/manager/moveseal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* An EVENT_MOVE. */
struct step {
	enum channel_move what;
	struct cursor in;
	uint8_t *payload;
	size_t len;
};

static void take_step(struct hostchan *chan, struct step *s)
{
	s->payload = hostchan_move_payload(chan, &s->len);
	s->in = cursor_reader(s->payload, s->len);
	s->what = (enum channel_move)cursor_u8(&s->in);
}

static void drop_step(struct step *s)
{
	free(s->payload);
}

static struct binding_part take_long(struct cursor *c)
{
	size_t n = cursor_u32(c);

	return (struct binding_part){cursor_bytes(c, n), n};
}

static void forget_said(struct vtpm_move *m)
{
	free(m->offer);
	free(m->accept);
	m->offer = m->accept = NULL;
	m->offer_len = m->accept_len = 0;
}

static int keep_part(struct binding_part part, uint8_t **out, size_t *len)
{
	*out = malloc(part.n ? part.n : 1);
	if (!*out)
		return -ENOMEM;
	memcpy(*out, part.p, part.n);
	*len = part.n;
	return 0;
}

static int keep_said(struct vtpm_move *m, struct binding_part offer,
		     struct binding_part accept, struct error *e)
{
	int rc;

	forget_said(m);
	rc = keep_part(offer, &m->offer, &m->offer_len);
	if (!rc)
		rc = keep_part(accept, &m->accept, &m->accept_len);
	if (!rc)
		return 0;
	forget_said(m);
	return error_set(e, rc, CAUSE_RESOURCES, "There is no memory for the handover.");
}

/* Nothing is frozen yet, and the guest goes on. */
static void judge_destination(struct vtpm_move *m, const struct vtpm_move_parts *p,
			      struct step *s, struct error *e)
{
	const struct unlock_config *config = p->keys.config;
	struct movejudge j = {
		.policy_key = {config->tpm.policy_key, config->tpm.policy_key_len},
		.uuid = p->keys.state->uuid};

	forget_said(m);
	j.pool = take_long(&s->in);
	j.offer = take_long(&s->in);
	j.accept = take_long(&s->in);
	if (!cursor_done(&s->in))
		error_set(e, -EPROTO, CAUSE_CHANNEL, "vtpmd sent nonsense.");
	else if (config->desc.tpm12)
		error_set(e, -EOPNOTSUPP, CAUSE_PEER,
			  "A TPM 1.2 cannot be moved while it runs: stop it, and take a "
			  "backup to its new host.");
	else if (!movejudge_check(&j, e))
		(void)!keep_said(m, j.offer, j.accept, e);
}

/* The last permanent state and the volatile one of the same moment.  What the TPM has had stored is
 * durable; it is not stored once more, while the guest stands still: what the permanent state has
 * besides is the clock of now, of which no response tells. */
static int collect_states(uint8_t **permanent, size_t *permanent_len,
			  uint8_t **volatile_state, size_t *volatile_len)
{
	int rc = engine_settle();

	if (!rc)
		rc = engine_get_blob(ENGINE_BLOB_PERMANENT, permanent, permanent_len);
	return rc ? rc
		  : engine_get_blob(ENGINE_BLOB_VOLATILE, volatile_state, volatile_len);
}

static void wipe_state(uint8_t *state, size_t len)
{
	if (state)
		OPENSSL_cleanse(state, len);
	free(state);
}

static int export_vtpm(struct vtpm_move *m, const struct vtpm_move_parts *p,
		       uint8_t **out, size_t *len, struct error *e)
{
	uint8_t *permanent = NULL, *volatile_state = NULL;
	size_t permanent_len = 0, volatile_len = 0;
	const struct state *state = p->keys.state;
	struct moveseal s = {.epoch = state->epoch,
			     .desc = p->keys.config->desc,
			     .log = {p->log->bytes, p->log->len},
			     .on = *p->on,
			     .crb = *p->crb};
	int rc = collect_states(&permanent, &permanent_len, &volatile_state,
				&volatile_len);

	memcpy(s.uuid, state->uuid, sizeof(s.uuid));
	s.seq = state->seq;
	s.permanent = (struct binding_part){permanent, permanent_len};
	s.volatile_state = (struct binding_part){volatile_state, volatile_len};
	if (p->firmware->platform_auth_len)
		s.platform_auth = (struct binding_part){p->firmware->platform_auth,
							p->firmware->platform_auth_len};
	if (!rc)
		rc = moveseal_seal(&s, (struct binding_part){m->offer, m->offer_len},
				   (struct binding_part){m->accept, m->accept_len}, out,
				   len, e);
	wipe_state(permanent, permanent_len);
	wipe_state(volatile_state, volatile_len);
	return rc ? error_set(e, rc, CAUSE_STORE,
			      "The vTPM's state could not be taken: %s.", strerror(-rc))
		  : 0;
}

static void freeze_vtpm(struct vtpm_move *m, const struct vtpm_move_parts *p,
			uint8_t **out, size_t *len, struct error *e)
{
	if (!m->accept) {
		error_set(e, -EPERM, CAUSE_PEER,
			  "The destination has not proved itself to the vTPM.");
		return;
	}
	m->frozen = !export_vtpm(m, p, out, len, e);
	/* one export for one answer */
	forget_said(m);
}

static size_t tell_touched(const struct vtpm_move *m, uint8_t out[MOVE_TOUCH_MAX])
{
	struct cursor w = cursor_writer(out, MOVE_TOUCH_MAX);

	if (m->touched || !m->found) {
		cursor_put_u8(&w, m->touched ? MOVE_TOUCHED : MOVE_UNTOUCHED);
	} else {
		cursor_put_u8(&w, MOVE_ANEW);
		cursor_put_u64(&w, m->found);
	}
	return w.pos;
}

void vtpm_move_hear(struct vtpm_move *m, const struct vtpm_move_parts *p)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t *out = NULL, touched[MOVE_TOUCH_MAX];
	size_t len = 0;
	struct step s;
	int rc = 0;

	take_step(p->chan, &s);
	switch (s.what) {
	case CHANNEL_MOVE_JUDGE:
		judge_destination(m, p, &s, &e);
		rc = hostchan_moved(p->chan, s.what, &e, NULL, 0);
		break;
	case CHANNEL_MOVE_FREEZE:
		freeze_vtpm(m, p, &out, &len, &e);
		rc = hostchan_moved(p->chan, s.what, &e, out, len);
		free(out);
		break;
	case CHANNEL_MOVE_DEACTIVATE:
		m->frozen = true;
		len = tell_touched(m, touched);
		rc = hostchan_moved(p->chan, s.what, &e, touched, len);
		break;
	case CHANNEL_MOVE_THAW:
	case CHANNEL_MOVE_ACTIVATE:
		m->frozen = false;
		break;
	default:
		break;
	}
	/* a vtpmd that is away has forgotten that it asked; what is frozen stays so until
	 * it says otherwise */
	(void)rc;
	drop_step(&s);
}

/* Waits for the next step, while its guest may come: 0; 1: vtpmd stops it. */
static int await_step(const struct vtpm_move_parts *p, struct step *s, struct error *e)
{
	struct pollfd fd = {.events = POLLIN};
	int event, rc;

	for (;;) {
		event = hostchan_event(p->chan);
		if (event < 0)
			return error_set(e, event, CAUSE_CHANNEL,
					 "vtpmd is gone for good");
		if (event == CHANNEL_EVENT_STOP)
			return 1;
		if (event == CHANNEL_EVENT_MOVE) {
			take_step(p->chan, s);
			return 0;
		}
		if (event)
			continue;
		fd.fd = hostchan_fd(p->chan);
		rc = fronts_serve(p->fronts, &fd, -1);
		if (rc < 0)
			return error_set(e, rc, CAUSE_INTERNAL,
					 "xenstore or the event channels were lost: %s",
					 strerror(-rc));
	}
}

/* The key of the import, and the host's proof of it. */
static int prove(struct vtpm_move *m, const struct vtpm_move_parts *p,
		 uint8_t public[MOVE_KEY_MAX], size_t *public_len, uint8_t **proof,
		 size_t *proof_len)
{
	uint8_t request[2 + CRYPT_HASH_SIZE], hash[CRYPT_HASH_SIZE];
	struct cursor w = cursor_writer(request, sizeof(request));
	int rc = moveseal_key(&m->key, public, public_len);

	if (!rc)
		rc = crypt_sha256(&(struct crypt_part){public, *public_len}, 1, hash);
	if (rc)
		return rc;
	cursor_put_u16(&w, sizeof(hash));
	cursor_put(&w, hash, sizeof(hash));
	return hostchan_quote(p->chan, request, w.pos, proof, proof_len);
}

static int accept_offer(struct vtpm_move *m, const struct vtpm_move_parts *p,
			struct step *s, struct error *e)
{
	uint8_t public[MOVE_KEY_MAX], *proof = NULL, *out = NULL;
	size_t public_len = 0, proof_len = 0, len = 0;
	struct binding_part offer = {.n = cursor_left(&s->in)};
	struct move_accept a;
	int rc;

	offer.p = cursor_bytes(&s->in, offer.n);
	rc = prove(m, p, public, &public_len, &proof, &proof_len);
	if (!rc) {
		a = (struct move_accept){{public, public_len}, {proof, proof_len}};
		len = 128 + public_len + proof_len;
		out = malloc(len);
		rc = out ? move_accept_encode(&a, out, &len) : -ENOMEM;
	}
	if (!rc)
		rc = keep_said(m, offer, (struct binding_part){out, len}, e);
	if (!rc)
		rc = hostchan_moved(p->chan, CHANNEL_MOVE_OFFER, e, out, len);
	free(proof);
	free(out);
	return rc ? error_set(
			    e, rc, CAUSE_TPM_REFUSED,
			    "This host could not prove its boot state (%s): `journalctl "
			    "-u vtpmd` tells why.",
			    strerror(-rc))
		  : 0;
}

/* What the source's manager knew besides the TPM. */
static int take_over(const struct vtpm_move_parts *p, const struct moveseal *s)
{
	eventlog_clear(p->log);
	if (s->log.n) {
		if (keep_part(s->log, &p->log->bytes, &p->log->len))
			return -ENOMEM;
		p->log->banks = 0;
	}
	if (s->platform_auth.n > sizeof(p->firmware->platform_auth))
		return -EBADMSG;
	if (s->platform_auth.n)
		memcpy(p->firmware->platform_auth, s->platform_auth.p,
		       s->platform_auth.n);
	p->firmware->platform_auth_len = s->platform_auth.n;
	/* Numbers of power-ons are vtpmd's: a guest that comes along was given this manager's
	 * own, and has it as long as it runs.  One that was saved is known by that of the
	 * host where it ran.  A TPM whose start failed is no guest's. */
	if (!s->on || p->keys.config->alone)
		*p->on = s->on;
	*p->crb = s->crb;
	/* its generations go on from here */
	p->keys.state->seq = s->seq;
	return 0;
}

/* But for the recovery slot, which follows the host that sealed. */
static bool is_described(const struct envelope_desc *a, const struct envelope_desc *b)
{
	size_t i;

	for (i = 0; i < ENVELOPE_EKS; i++)
		if (a->ek[i].len != b->ek[i].len ||
		    memcmp(a->ek[i].bytes, b->ek[i].bytes, a->ek[i].len) != 0)
			return false;
	return a->policy == b->policy && a->measured == b->measured &&
	       a->tpm12 == b->tpm12 && a->localities == b->localities &&
	       a->pcr_banks == b->pcr_banks;
}

static int import_vtpm(const struct vtpm_move_parts *p, const struct moveseal *s,
		       struct error *e)
{
	const struct engine_options options = {.version = ENGINE_TPM_20};
	struct engine_store store = state_store(p->keys.state);
	struct vtpm_keys keys = p->keys;
	int rc = s->desc.tpm12 ? -EOPNOTSUPP : 0;

	/* its guest was offered what the OFFER says */
	if (!rc && s->desc.localities != p->keys.config->desc.localities)
		rc = -EBADMSG;
	if (!rc)
		rc = take_over(p, s);

	/* a new header is one that the host's TPM has to have, while the guest waits: the
	 * first one says all that the OFFER said */
	if (!rc && !is_described(&s->desc, &keys.config->desc))
		rc = vtpm_keys_describe(&keys, &s->desc);
	if (!rc)
		rc = engine_set_blob(ENGINE_BLOB_PERMANENT, s->permanent.p,
				     s->permanent.n);
	if (!rc)
		rc = engine_set_blob(ENGINE_BLOB_VOLATILE, s->volatile_state.p,
				     s->volatile_state.n);
	if (!rc)
		rc = engine_open(&store, &options, e);
	return rc ? error_set(e, rc, CAUSE_ENGINE,
			      "The vTPM does not open on this host: %s.", strerror(-rc))
		  : 0;
}

static int take_import(struct vtpm_move *m, const struct vtpm_move_parts *p,
		       struct step *s, struct error *e)
{
	size_t n = cursor_left(&s->in);
	struct moveseal got = {.raw = NULL};
	int rc;

	memcpy(got.uuid, p->keys.state->uuid, sizeof(got.uuid));
	rc = moveseal_open(&got, m->key, (struct binding_part){m->offer, m->offer_len},
			   (struct binding_part){m->accept, m->accept_len},
			   cursor_bytes(&s->in, n), n, e);
	/* for one import, whether it came to something or not */
	EVP_PKEY_free(m->key);
	m->key = NULL;
	forget_said(m);
	if (!rc)
		rc = import_vtpm(p, &got, e);
	moveseal_wipe(&got);
	if (rc)
		return rc;
	rc = hostchan_moved(p->chan, CHANNEL_MOVE_IMPORT, e, NULL, 0);
	/* all is stored: from here on it outlives a vtpmd */
	if (!rc)
		hostchan_running(p->chan, p->keys.state->uuid, &p->keys.state->seq);
	return rc;
}

int vtpm_move_arrive(struct vtpm_move *m, const struct vtpm_move_parts *p,
		     struct error *e)
{
	struct vtpm_keys keys = p->keys;
	bool imported = false, active = false;
	const uint8_t untouched = 0;
	struct step s;
	/* what takes the TPM and the KMS is done before anything moves */
	int rc = vtpm_keys_unlock(&keys);

	while (!rc && !active) {
		rc = await_step(p, &s, e);
		if (rc)
			break;
		if (s.what == CHANNEL_MOVE_OFFER && !m->offer && !imported) {
			rc = accept_offer(m, p, &s, e);
		} else if (s.what == CHANNEL_MOVE_IMPORT && m->key) {
			rc = take_import(m, p, &s, e);
			imported = !rc;
		} else if (s.what == CHANNEL_MOVE_ACTIVATE && imported) {
			active = true;
		} else if (s.what == CHANNEL_MOVE_DEACTIVATE && imported) {
			/* it is given back, and has executed nothing */
			rc = hostchan_moved(p->chan, CHANNEL_MOVE_DEACTIVATE, e,
					    &untouched, 1);
		} else {
			rc = error_set(e, -EPROTO, CAUSE_CHANNEL,
				       "vtpmd asked for a step out of its order.");
		}
		drop_step(&s);
	}
	return rc;
}

void vtpm_move_wipe(struct vtpm_move *m)
{
	EVP_PKEY_free(m->key);
	m->key = NULL;
	forget_said(m);
}
