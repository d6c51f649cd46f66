/* SPDX-License-Identifier: Apache-2.0 */
#include "vtpm_keys.h"
#include "hostchan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static int get_header(struct vtpm_keys *k, uint8_t **header, size_t *len)
{
	int rc = k->place->get(k->place->ctx, CHANNEL_OBJECT_HEADER, header, len);

	if (rc == -ENOENT)
		return error_set(k->error, rc, CAUSE_NO_STATE,
				 "the vTPM has no header in the store: restore it from a "
				 "backup; no new one is made");
	if (rc)
		return error_set(k->error, rc, CAUSE_STORE,
				 "the header could not be read from the store: %s",
				 strerror(-rc));
	return 0;
}

/* A header that is there and opens is not given up for want of one more slot. */
static void amend_header(struct vtpm_keys *k, const uint8_t *header, size_t len)
{
	size_t room = ENVELOPE_HEADER_MAX;
	uint8_t *out = malloc(room);
	struct error e = {.cause = CAUSE_NONE};
	uint64_t seq;
	int rc = -ENOMEM;

	if (out)
		rc = unlock_amend(k->config, header, len, k->data_key, out, &room, &seq,
				  &e);
	if (rc > 0)
		rc = k->place->put(k->place->ctx, CHANNEL_OBJECT_HEADER, seq, out, room);
	if (rc < 0)
		hostchan_log(k->chan, LOG_WARNING,
			     e.text[0] ? e.text : "the recovery slot was not added");
	free(out);
}

static int open_key(struct vtpm_keys *k, const struct hosttpm_transport *tpm,
		    const struct kms_stream *kms)
{
	uint8_t *header = NULL;
	size_t len = 0;
	int rc = get_header(k, &header, &len);

	if (rc)
		return rc;
	rc = unlock_open(k->config, tpm, kms, header, len, k->data_key, k->error);
	if (!rc)
		amend_header(k, header, len);
	free(header);
	return rc;
}

/* No header may be there: it would be the key to a state. */
static int make_key(struct vtpm_keys *k, const struct hosttpm_transport *tpm,
		    const struct kms_stream *kms)
{
	size_t len = 0;
	uint8_t *header = NULL;
	int rc = k->place->get(k->place->ctx, CHANNEL_OBJECT_HEADER, &header, &len);

	free(header);
	if (!rc)
		return error_set(
			k->error, -EEXIST, CAUSE_STATE_EXISTS,
			"there is a header already: a new vTPM would destroy it");
	header = rc == -ENOENT ? malloc(ENVELOPE_HEADER_MAX) : NULL;
	if (!header)
		return error_set(k->error, rc, CAUSE_STORE,
				 "the store could not be read: %s", strerror(-rc));
	len = ENVELOPE_HEADER_MAX;
	rc = unlock_create(k->config, tpm, kms, k->data_key, header, &len, k->error);
	if (!rc) {
		rc = k->place->put(k->place->ctx, CHANNEL_OBJECT_HEADER, 1, header, len);
		if (rc)
			error_set(k->error, rc, CAUSE_STORE,
				  "the header could not be stored: %s", strerror(-rc));
	}
	free(header);
	return rc;
}

static struct hosttpm_transport tpm_of(struct vtpm_keys *k)
{
	return (struct hosttpm_transport){.ctx = k->chan, .tpm = hostchan_tpm};
}

static struct kms_stream kms_of(struct vtpm_keys *k)
{
	return (struct kms_stream){
		.ctx = k->chan,
		.open = hostchan_kms_open,
		.send = hostchan_kms_send,
		.recv = hostchan_kms_recv,
		.close = hostchan_kms_close,
	};
}

int vtpm_keys_unlock(struct vtpm_keys *k)
{
	struct hosttpm_transport tpm = tpm_of(k);
	struct kms_stream kms = kms_of(k);

	return k->config->create ? make_key(k, &tpm, &kms) : open_key(k, &tpm, &kms);
}

/* New slots for the data key, in a header that follows the stored one. */
static int put_new_header(struct vtpm_keys *k, const struct unlock_config *c,
			  struct error *e)
{
	struct hosttpm_transport tpm = tpm_of(k);
	struct kms_stream kms = kms_of(k);
	struct envelope_header *h = malloc(sizeof(*h));
	uint8_t *old = NULL, *new = malloc(ENVELOPE_HEADER_MAX);
	size_t len = 0, room = ENVELOPE_HEADER_MAX;
	int rc = h && new ? 0 : -ENOMEM;

	if (!rc)
		rc = k->place->get(k->place->ctx, CHANNEL_OBJECT_HEADER, &old, &len);
	if (rc)
		rc = error_set(e, rc, CAUSE_STORE,
			       "the header could not be read from the store: %s",
			       strerror(-rc));
	else
		rc = envelope_header_parse(old, len, h, e);
	if (!rc)
		rc = unlock_seal(c, &tpm, &kms, k->data_key, h->seq + 1, new, &room, e);
	if (!rc) {
		rc = k->place->put(k->place->ctx, CHANNEL_OBJECT_HEADER, h->seq + 1, new,
				   room);
		if (rc)
			error_set(e, rc, CAUSE_STORE,
				  "the header could not be stored: %s", strerror(-rc));
	}
	free(new);
	free(old);
	free(h);
	return rc;
}

/* What was there stays, and opens as before, until the new header is stored. */
void vtpm_keys_rekey(struct vtpm_keys *k)
{
	struct error e = {.cause = CAUSE_NONE};
	struct unlock_config c;
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
		rc = put_new_header(k, &c, &e);
		unlock_config_free(&c);
	}
	free(tlvs);
	hostchan_rekeyed(k->chan, &e);
}
