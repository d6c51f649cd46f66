/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/keys.h"
#include "lib/cursor.h"
#include "stubdom/manager/hostchan.h"
#include "stubdom/manager/rekey.h"
#include "stubdom/manager/stateblob.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static struct unlock unlock_of(struct vtpm_keys *k, const struct unlock_config *config,
			       struct error *e)
{
	return (struct unlock){
		.config = config,
		.tpm = {.ctx = k->chan, .exchange = hostchan_tpm},
		.kms = {.ctx = k->chan,
			.open = hostchan_kms_open,
			.send = hostchan_kms_send,
			.recv = hostchan_kms_recv,
			.close = hostchan_kms_close},
		.error = e,
	};
}

/* A header that is there and opens is not given up for want of one more slot. */
static void amend_header(struct vtpm_keys *k, const uint8_t *header, size_t len)
{
	size_t room = ENVELOPE_HEADER_MAX;
	uint8_t *out = malloc(room);
	struct error e = {.cause = CAUSE_NONE};
	struct unlock u = unlock_of(k, k->config, &e);
	uint64_t seq;
	int rc = -ENOMEM;

	if (out)
		rc = unlock_amend(&u, header, len, k->state->data_key, out, &room, &seq);
	if (rc > 0)
		rc = state_put_header(k->state, seq, out, room, &e);
	if (rc < 0)
		hostchan_log(k->chan, LOG_WARNING,
			     e.text[0] ? e.text : "the recovery slot was not added");
	free(out);
}

/* A header that is there and opens is not given up for want of another slot. */
static void renew_slot(struct vtpm_keys *k)
{
	struct error e = {.cause = CAUSE_NONE};
	struct unlock u = unlock_of(k, k->config, &e);
	const struct rekey_source source = {&u, unlock_random, unlock_seal};
	char line[sizeof(e.text) + 64];

	if (!rekey_slots(k->state, &source, &e)) {
		k->config->desc.policy = unlock_policy(k->config);
		return;
	}
	snprintf(line, sizeof(line), "its key slot stays as it was: %s",
		 e.text[0] ? e.text : "the new one could not be made");
	hostchan_log(k->chan, LOG_WARNING, line);
}

static int open_key(struct vtpm_keys *k)
{
	struct unlock u = unlock_of(k, k->config, k->state->error);
	uint8_t *header = NULL;
	size_t len = 0;
	int rc = state_get_header(k->state, &header, &len, k->state->error);

	if (rc)
		return rc;
	rc = unlock_open(&u, header, len, k->state->data_key, &k->config->desc);
	if (!rc)
		rc = rekey_find(k->state, header, len, k->state->error);
	if (!rc)
		amend_header(k, header, len);
	if (!rc && !k->config->trial && unlock_is_old(k->config, header, len))
		renew_slot(k);
	free(header);
	return rc;
}

/* No header may be there: it would be the key to a state. */
static int make_data_key(struct vtpm_keys *k)
{
	struct unlock u = unlock_of(k, k->config, k->state->error);
	size_t len = 0;
	uint8_t *header = NULL;
	const struct state_place *place = &k->state->place;
	int rc = place->get(place->ctx, CHANNEL_OBJECT_HEADER, &header, &len);

	free(header);
	if (!rc)
		return error_set(
			k->state->error, -EEXIST, CAUSE_STATE_EXISTS,
			"there is a header already: a new vTPM would destroy it");
	if (rc == -ENOENT) {
		header = malloc(ENVELOPE_HEADER_MAX);
		rc = header ? 0 : -ENOMEM;
	}
	if (rc == -ENOMEM)
		return error_set(k->state->error, rc, CAUSE_RESOURCES,
				 "there is no memory for the vTPM's header");
	if (rc)
		return error_set(k->state->error, rc, CAUSE_STORE,
				 "the store could not be read: %s", strerror(-rc));
	len = ENVELOPE_HEADER_MAX;
	k->config->desc.policy = unlock_policy(k->config);
	rc = unlock_create(&u, k->state->data_key, header, &len);
	if (!rc)
		rc = state_put_header(k->state, 1, header, len, k->state->error);
	free(header);
	return rc;
}

int vtpm_keys_unlock(struct vtpm_keys *k)
{
	return k->config->create ? make_data_key(k) : open_key(k);
}

/* The keys of another vTPM, whose header is at other->place, into other; what that says
 * becomes what the new one is. */
static int vtpm_keys_open_other(struct vtpm_keys *k, struct state *other)
{
	struct unlock_config c = *k->config;
	struct unlock u = unlock_of(k, &c, k->state->error);
	uint8_t *header = NULL;
	size_t len = 0;
	int rc = other->place.get(other->place.ctx, CHANNEL_OBJECT_HEADER, &header, &len);

	if (rc)
		return error_set(k->state->error, rc, CAUSE_STORE,
				 "what this vTPM is to be a copy of is not in the store "
				 "(%s): delete it, and clone again",
				 strerror(-rc));
	/* all that is sealed is bound to the uuid */
	memcpy(c.uuid, other->uuid, sizeof(c.uuid));
	rc = unlock_open(&u, header, len, other->data_key, &k->config->desc);
	if (!rc)
		rc = rekey_find(other, header, len, k->state->error);
	free(header);
	return rc;
}

int vtpm_keys_describe(struct vtpm_keys *k, const struct envelope_desc *desc)
{
	struct state *s = k->state;
	struct envelope_header *h = NULL;
	uint8_t *old = NULL, *new = malloc(ENVELOPE_HEADER_MAX);
	size_t len = 0;
	bool recovery;
	int rc = new ? state_get_header(s, &old, &len, s->error) : -ENOMEM;

	if (!rc)
		rc = envelope_header_open(old, len, s->data_key, &h, s->error);
	if (!rc) {
		recovery = h->desc.recovery; /* it follows the slots */
		h->desc = *desc;
		h->desc.recovery = recovery;
		h->epoch = k->config->epoch;
		h->seq++;
		len = ENVELOPE_HEADER_MAX;
		rc = envelope_header_seal(h, s->data_key, new, &len);
	}
	if (!rc)
		rc = state_put_header(s, h->seq, new, len, s->error);
	if (!rc)
		k->config->desc = h->desc;
	free(new);
	free(old);
	free(h);
	return rc ? error_set(s->error, rc, CAUSE_STORE,
			      "the header could not be stored: %s", strerror(-rc))
		  : 0;
}

static void tell(struct vtpm_keys *k, struct error *e, const char *done)
{
	if (e->cause == CAUSE_NONE)
		snprintf(e->text, sizeof(e->text), "%s", done);
	hostchan_rekeyed(k->chan, e);
}

void vtpm_keys_rekey(struct vtpm_keys *k, bool deep)
{
	struct error e = {.cause = CAUSE_NONE};
	struct unlock_config c = {0};
	struct unlock u = unlock_of(k, &c, &e);
	const struct rekey_source source = {&u, unlock_random, unlock_seal};
	uint8_t *tlvs = NULL;
	size_t len = 0;
	int rc = hostchan_config(k->chan, &tlvs, &len);

	if (rc)
		rc = error_set(&e, rc, CAUSE_CHANNEL,
			       "vtpmd did not give the host's configuration: %s",
			       strerror(-rc));
	else
		rc = unlock_config_parse(tlvs, len, &c, &e);
	if (!rc) {
		c.desc = k->config->desc;
		c.token = k->config->token;
		c.epoch = k->config->epoch;
		rc = deep ? rekey_run(k->state, &source, &e)
			  : rekey_slots(k->state, &source, &e);
		if (!rc)
			k->config->desc.policy = unlock_policy(&c);
		unlock_config_free(&c);
	}
	free(tlvs);
	if (rc)
		error_set(&e, rc, CAUSE_INTERNAL, "the key slots could not be made");
	tell(k, &e, deep ? "deep" : "");
}

void vtpm_keys_finish(struct vtpm_keys *k)
{
	struct error e = {.cause = CAUSE_NONE};

	if (!k->state->has_old)
		return;
	if (rekey_finish(k->state, &e))
		error_set(&e, 0, CAUSE_INTERNAL, "the deep rekey was not finished");
	tell(k, &e, "finished");
}

/* The other vTPM's objects, from where vtpmd gives them. */
static int get_source(void *ctx, enum channel_object object, uint8_t **buf, size_t *len)
{
	const struct state_place *place = ctx;

	return place->get(place->ctx,
			  object == CHANNEL_OBJECT_HEADER ? CHANNEL_OBJECT_SOURCE_HEADER
							  : CHANNEL_OBJECT_SOURCE_PERMALL,
			  buf, len);
}

static int open_source(struct vtpm_keys *k, uint8_t **plain, size_t *len)
{
	struct state source = {
		.place = {.ctx = &k->state->place, .get = get_source},
		.error = k->state->error,
	};
	struct engine_store from = state_store(&source);
	int rc;

	memcpy(source.uuid, k->config->copy_of, sizeof(source.uuid));
	rc = vtpm_keys_open_other(k, &source);
	if (!rc) {
		rc = from.load(from.ctx, plain, len);
		if (rc)
			error_set(k->state->error, rc, CAUSE_STORE,
				  "what this vTPM is to be a copy of is not in the store "
				  "(%s): delete it, and clone again",
				  strerror(-rc));
	}
	state_wipe(&source);
	return rc;
}

int vtpm_copy(struct vtpm_keys *k)
{
	struct engine_store to = state_store(k->state);
	uint8_t *plain = NULL;
	size_t len = 0;
	int rc = open_source(k, &plain, &len);

	if (!rc)
		rc = vtpm_keys_unlock(k);
	if (!rc) {
		rc = to.save(to.ctx, plain, len, false);
		if (rc)
			error_set(k->state->error, rc, CAUSE_STORE,
				  "the state could not be stored: %s", strerror(-rc));
	}
	if (plain)
		OPENSSL_cleanse(plain, len);
	free(plain);
	return rc;
}

static void take_source_key(struct cursor *c, struct stateblob_key *key)
{
	key->len = cursor_u8(c);
	if (key->len > sizeof(key->bytes))
		cursor_fail(c);
	else
		cursor_copy(c, key->bytes, key->len);
}

/* CHANNEL_OBJECT_SOURCE_SWTPM, opened. */
static int open_swtpm(const uint8_t *source, size_t len, uint8_t **plain,
		      size_t *plain_len, struct error *e)
{
	struct cursor c = cursor_reader(source, len);
	struct stateblob_keys keys = {0};
	const uint8_t *file;
	size_t n;
	int rc = 0;

	take_source_key(&c, &keys.file);
	take_source_key(&c, &keys.migration);
	n = cursor_left(&c);
	file = cursor_bytes(&c, n);
	if (!cursor_ok(&c) || !file)
		rc = error_set(e, -EBADMSG, CAUSE_CHANNEL,
			       "what vtpmd has of swtpm's state makes no sense: install "
			       "vtpmd and the vTPM manager of one release");
	else
		rc = stateblob_open_file(file, n, &keys, plain, plain_len, e);
	OPENSSL_cleanse(&keys, sizeof(keys));
	return rc;
}

int vtpm_take_source(struct vtpm_keys *k)
{
	const struct state_place *place = &k->state->place;
	struct error *e = k->state->error;
	uint8_t *source = NULL, *plain = NULL;
	size_t len = 0, plain_len = 0;
	int rc = place->get(place->ctx, CHANNEL_OBJECT_SOURCE_SWTPM, &source, &len);

	if (rc)
		rc = error_set(e, rc, CAUSE_STORE,
			       "vtpmd has not the state any more that this vTPM is to "
			       "have (%s): delete it, and import it again",
			       strerror(-rc));
	else
		rc = open_swtpm(source, len, &plain, &plain_len, e);
	stateblob_free(source, len);
	if (!rc)
		rc = stateblob_check(plain, plain_len, k->config->desc.tpm12, e);
	if (!rc)
		rc = vtpm_keys_unlock(k);
	if (!rc && engine_set_blob(ENGINE_BLOB_PERMANENT, plain, plain_len))
		rc = error_set(e, -ENOMEM, CAUSE_RESOURCES,
			       "there is no memory for the state: give the vTPM more, "
			       "with --memory");
	stateblob_free(plain, plain_len);
	return rc;
}
