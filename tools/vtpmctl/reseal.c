/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/reseal.h"
#include "lib/slot/previous_key.h"
#include "lib/slot/slot.h"
#include "lib/text.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/kmskey.h"
#include "tools/vtpmctl/pool_newkey.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int reseal_get(struct reseal_header *h, const json_t *backup, const char *from,
	       struct error *e)
{
	const json_t *objects = json_object_get(backup, "objects");
	const char *hex = json_string_value(json_object_get(objects, "header"));

	h->len = sizeof(h->bytes);
	if (!hex || hex_decode(hex, h->bytes, &h->len))
		return from ? error_set(e, -EBADMSG, CAUSE_HEADER_CORRUPT,
					"%s has no header: use another backup", from)
			    : error_set(e, -EBADMSG, CAUSE_INTERNAL,
					"vtpmd's answer has no header: install vtpmd and "
					"vtpmctl of one version");
	return envelope_header_parse(h->bytes, h->len, &h->parsed, e);
}

/* The recovery slot is the data key's own, and good in any header of this vTPM: its KEK is of
 * the uuid and the slot's id, which stays. */
static int keep_recovery(struct reseal_header *h, const struct envelope_slot *slot,
			 const uint8_t data_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct envelope_header *next = NULL;
	int rc = envelope_header_open(h->bytes, h->len, data_key, &next, e);

	if (rc)
		return rc;
	if (next->slot_count == ENVELOPE_SLOTS_MAX)
		rc = -ENOSPC;
	for (size_t i = 0; i < next->slot_count && !rc; i++)
		if (next->slots[i].id == slot->id)
			rc = -EEXIST;
	if (!rc) {
		next->slots[next->slot_count++] = *slot;
		next->desc.recovery = true;
		h->len = sizeof(h->bytes);
		rc = envelope_header_seal(next, data_key, h->bytes, &h->len);
	}
	free(next);
	return rc ? error_set(e, rc, CAUSE_INTERNAL,
			      "the recovery slot could not be kept")
		  : 0;
}

static const struct envelope_slot *recovery_slot(const struct envelope_header *h)
{
	uint16_t i = slot_find(h, ENVELOPE_SLOT_RECOVERY);

	return i < h->slot_count ? &h->slots[i] : NULL;
}

int reseal_seal(struct reseal_header *h, const struct hostconf *conf,
		const struct pool *list, struct tpm *tpm,
		const uint8_t data_key[ENVELOPE_KEY_SIZE], const uint8_t *old_key,
		bool fetch, struct error *e)
{
	const struct envelope_slot *recovery = recovery_slot(&h->parsed);
	struct unlockconf *u = unlockconf_new_with(conf, list, list && conf->store.url,
						   tpm, h->parsed.uuid, e);
	int rc;

	if (!u)
		return -EINVAL;
	u->config.desc = h->parsed.desc;
	u->unlock.keeps_key_away = !fetch;
	h->len = sizeof(h->bytes);
	rc = unlock_seal(&u->unlock, data_key, h->parsed.seq + 1, h->bytes, &h->len);
	if (!rc && recovery && !conf->recovery_key_len) {
		rc = keep_recovery(h, recovery, data_key, e);
		fprintf(stderr,
			"This host has no recovery key: the vTPM keeps the recovery slot "
			"that it had, until its next `vtpmctl rekey`. `vtpmctl host renew "
			"--recovery-key FILE` gives the host one\n");
	}
	if (!rc && old_key)
		rc = previous_key_add(h->bytes, &h->len, data_key, old_key, e);
	unlockconf_free(u);
	return rc;
}

int reseal_put(const char *socket, const char *name, const struct reseal_header *h,
	       char text[CLIENT_TEXT])
{
	char *hex = malloc(2 * h->len + 1);
	json_t *request = client_request("reseal", name), *reply;
	int status;

	if (hex && request) {
		hex_encode(h->bytes, h->len, hex);
		json_object_set_new(request, "header", json_string(hex));
	}
	free(hex);
	status = client_insist(socket, request, &reply, text);
	json_decref(reply);
	return status;
}

int reseal_open(struct reseal *r, const char *tcti, const char *config, const char *old,
		struct error *e)
{
	int rc = hostfile_load(config, &r->now, e);

	if (!rc)
		rc = hostfile_load(old, &r->old, e);
	if (!rc)
		rc = tpm_open(&r->tpm, tcti, e);
	if (!rc)
		rc = tpm_srk_pinned(&r->tpm, r->now.srk_handle, r->now.srk_name, e);
	if (rc)
		return rc;
	pool_newkey_present(&r->now_list, config, &r->now);
	pool_newkey_before(&r->old_list, old, &r->old);
	return 0;
}

void reseal_close(struct reseal *r)
{
	tpm_close(&r->tpm);
	hostconf_free(&r->now);
	hostconf_free(&r->old);
	poolfile_free(&r->now_list);
	poolfile_free(&r->old_list);
}

static const struct pool *list_of(const struct poolfile *f)
{
	return f->bytes ? &f->pool : NULL;
}

static int open_with(struct reseal *r, const struct hostconf *conf,
		     const struct poolfile *list, const struct reseal_header *h,
		     uint8_t data_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct unlockconf *u = unlockconf_new_with(conf, list_of(list), false, &r->tpm,
						   h->parsed.uuid, e);
	struct envelope_desc desc;
	int rc;

	if (!u)
		return -EINVAL;
	rc = unlock_open(&u->unlock, h->bytes, h->len, data_key, &desc);
	unlockconf_free(u);
	return rc;
}

/* What the header opens with: what is configured now, or was before. */
static int open_either(struct reseal *r, const struct reseal_header *h,
		       uint8_t data_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct error now = {.cause = CAUSE_NONE};
	int rc = open_with(r, &r->now, &r->now_list, h, data_key, &now);

	return rc ? open_with(r, &r->old, &r->old_list, h, data_key, e) : 0;
}

static int seal_anew(struct reseal *r, struct reseal_header *h, const json_t *backup,
		     struct error *e)
{
	uint8_t data_key[ENVELOPE_KEY_SIZE], old_key[ENVELOPE_KEY_SIZE];
	int has_old = 0, rc = reseal_get(h, backup, NULL, e);

	if (!rc)
		rc = open_either(r, h, data_key, e);
	if (!rc)
		has_old = previous_key_find(h->bytes, h->len, data_key, old_key, e);
	if (!rc)
		rc = has_old < 0
			     ? has_old
			     : reseal_seal(h, &r->now, list_of(&r->now_list), &r->tpm,
					   data_key, has_old ? old_key : NULL, false, e);
	OPENSSL_cleanse(data_key, sizeof(data_key));
	OPENSSL_cleanse(old_key, sizeof(old_key));
	return rc;
}

int reseal_one(struct reseal *r, const char *name, char text[CLIENT_TEXT])
{
	struct reseal_header *h = malloc(sizeof(*h));
	struct error e = {.cause = CAUSE_NONE};
	json_t *request = client_request("backup", name), *reply = NULL;
	int status;

	/* it is compared with what is anchored: no other header is sealed to this host */
	if (request) /* no file is made of it */
		json_object_set_new(request, "recover", json_true());
	status = client_insist(r->socket, request, &reply, text);
	if (!status && !h)
		status = VTPMCTL_FAILED;
	if (!status && seal_anew(r, h, json_object_get(reply, "backup"), &e)) {
		snprintf(text, CLIENT_TEXT, "%s", e.text);
		status = vtpmctl_status(error_word(e.cause));
	} else if (!status) {
		status = reseal_put(r->socket, name, h, text);
	}
	json_decref(reply);
	free(h);
	return status;
}
