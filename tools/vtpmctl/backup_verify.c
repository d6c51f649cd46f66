/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl backup --verify FILE: what a backup is of, what could open it, and whether that does.
 * vtpmd has a manager of its own open it (tools/vtpmd/trial.h); or, with --key, this process
 * does, by the recovery key, without vtpmd: then the data key and the state are in its memory
 * for a moment, and nowhere else.
 */
#include "tools/vtpmctl/backup.h"
#include "lib/slot/envelope.h"
#include "lib/slot/previous_key.h"
#include "lib/slot/recovery.h"
#include "lib/slot/slot.h"
#include "lib/text.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 64

struct verify {
	const struct backup_options *options;
	const json_t *backup;
	struct object {
		uint8_t *bytes;
		size_t len;
	} header, state;
	struct envelope_header parsed;
	struct envelope_head head; /* of the state */
};

static int take_part(const struct verify *v, uint16_t object, const char *name,
		     struct object *o, struct error *e)
{
	const json_t *all = json_object_get(v->backup, "objects");
	const char *hex = json_string_value(json_object_get(all, name));

	o->len = hex ? strlen(hex) / 2 : 0;
	o->bytes = malloc(o->len + 1);
	if (!hex || !o->bytes || hex_decode(hex, o->bytes, &o->len))
		return error_set(e, -EBADMSG, CAUSE_HEADER_CORRUPT,
				 "%s has no %s: use another backup", v->options->verify,
				 object == CHANNEL_OBJECT_HEADER ? "header" : "state");
	return 0;
}

/* Reads what is in it, without a key. */
static int take_parts(struct verify *v, struct error *e)
{
	int rc = take_part(v, CHANNEL_OBJECT_HEADER, "header", &v->header, e);

	if (!rc)
		rc = take_part(v, CHANNEL_OBJECT_PERMALL, "permall", &v->state, e);
	if (!rc)
		rc = envelope_header_parse(v->header.bytes, v->header.len, &v->parsed, e);
	if (!rc && (envelope_head_parse(CHANNEL_OBJECT_PERMALL, v->state.bytes,
					v->state.len, &v->head) ||
		    memcmp(v->head.uuid, v->parsed.uuid, sizeof(v->parsed.uuid))))
		rc = error_set(e, -EBADMSG, CAUSE_BLOB_CORRUPT,
			       "the state in %s is not its header's: use another backup",
			       v->options->verify);
	return rc;
}

/* What a slot of a kind is opened with. */
static const char *needs(uint16_t kind)
{
	switch (kind) {
	case ENVELOPE_SLOT_HOST:
	case ENVELOPE_SLOT_HOST_GET:
		return "the TPM of the host that sealed it, and the KMS";
	case ENVELOPE_SLOT_POOL:
	case ENVELOPE_SLOT_POOL_GET:
		return "the TPM of a host of its pool, and the KMS";
	case ENVELOPE_SLOT_KMS:
	case ENVELOPE_SLOT_KMS_GET:
		return "the KMS";
	case ENVELOPE_SLOT_TPM:
		return "the TPM of the host that sealed it";
	case ENVELOPE_SLOT_OLD_KEY:
		return "another slot: a deep rekey was under way";
	default:
		return "nothing that vtpmctl knows";
	}
}

static void print_slot(const struct envelope_slot *s)
{
	uint8_t id[CRYPT_HASH_SIZE];
	char hex[2 * CRYPT_HASH_SIZE + 1];

	printf("slot %-15s ", slot_kind_name(s->kind));
	if (recovery_slot_key(s, id)) {
		printf("opens with %s\n", needs(s->kind));
		return;
	}
	hex_encode(id, sizeof(id), hex);
	printf("opens with the recovery key sha256:%s\n", hex);
}

/* A text of the file's, for a terminal: anybody may have written it. */
static const char *shown(const struct verify *v, const char *key, char out[SHOWN_MAX])
{
	const char *text = client_text(v->backup, key);

	text_clean(out, SHOWN_MAX, text, strlen(text));
	return out;
}

static void print_parts(const struct verify *v)
{
	char name[SHOWN_MAX], text[SHOWN_MAX];
	size_t i;

	printf("%-20s %s, taken %s\n", "backup", v->options->verify,
	       shown(v, "taken", text));
	printf("%-20s %s, uuid %s, TPM %s, generation %llu\n", "vTPM",
	       shown(v, "name", name), shown(v, "uuid", text),
	       v->parsed.desc.tpm12 ? "1.2" : "2.0", (unsigned long long)v->head.seq);
	printf("%-20s %s\n", "policy", slot_kind_name(v->parsed.desc.policy));
	for (i = 0; i < v->parsed.slot_count; i++)
		print_slot(&v->parsed.slots[i]);
}

static void print_result(const char *what, bool opens)
{
	printf("%-20s %s\n", what, opens ? "opens" : "DOES NOT OPEN");
}

/* The vTPM that is here, beside its backup. */
static void print_here(const struct verify *v, const json_t *here)
{
	long long seq = (long long)json_integer_value(json_object_get(here, "seq"));
	long long behind = seq - (long long)v->head.seq;

	if (!json_is_object(here))
		printf("%-20s no\n", "is here");
	else if (behind > 0)
		printf("%-20s as %s, %s, at generation %lld: the backup is older by %lld\n",
		       "is here", client_text(here, "name"), client_text(here, "state"),
		       seq, behind);
	else
		printf("%-20s as %s, %s, at generation %lld\n", "is here",
		       client_text(here, "name"), client_text(here, "state"), seq);
}

static int by_vtpmd(const struct verify *v)
{
	json_t *request, *reply;
	char text[CLIENT_TEXT];
	int status;

	request = json_pack("{s:s, s:O}", "op", "verify", "backup", v->backup);
	status = client_try(v->options->socket, request, &reply, text);
	if (!status)
		print_here(v, json_object_get(reply, "here"));
	json_decref(reply);
	if (status != VTPMCTL_NO_VTPMD)
		print_result("on this host, it", !status);
	fflush(stdout);
	if (status)
		fprintf(stderr, "vtpmctl: %s\n", text);
	return status;
}

/* The state under one of the header's two keys. */
static int open_state(const struct verify *v, const uint8_t key[ENVELOPE_KEY_SIZE],
		      struct error *e)
{
	struct envelope_blob blob = {.uuid = v->parsed.uuid,
				     .kind = CHANNEL_OBJECT_PERMALL};
	size_t len = v->state.len;
	uint8_t *plain = malloc(len + 1);
	int rc = plain ? envelope_blob_open(key, &blob, v->state.bytes, v->state.len,
					    plain, &len, e)
		       : error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");

	if (plain)
		OPENSSL_cleanse(plain, v->state.len + 1);
	free(plain);
	return rc;
}

static int open_all_of_it(const struct verify *v, const uint8_t key[ENVELOPE_KEY_SIZE],
			  struct error *e)
{
	struct error first = {.cause = CAUSE_NONE};
	uint8_t old[ENVELOPE_KEY_SIZE];
	int rc = envelope_header_verify(v->header.bytes, v->header.len, key, e), has_old;

	if (rc)
		return rc;
	rc = open_state(v, key, &first);
	if (!rc)
		return 0;
	has_old = previous_key_find(v->header.bytes, v->header.len, key, old, e);
	if (has_old > 0)
		rc = open_state(v, old, e);
	OPENSSL_cleanse(old, sizeof(old));
	return rc ? error_set(e, rc, first.cause, "%s", first.text) : 0;
}

/* Finds the slot that the key is for.  -ENOKEY: there is none. */
static int open_by_key(const struct verify *v, EVP_PKEY *private, struct error *e)
{
	const struct slot_context x = {.uuid = v->parsed.uuid,
				       .recovery_private = private};
	uint8_t key[ENVELOPE_KEY_SIZE];
	int rc = -ENOKEY;
	size_t i;

	for (i = 0; i < v->parsed.slot_count && rc == -ENOKEY; i++)
		if (v->parsed.slots[i].kind == ENVELOPE_SLOT_RECOVERY)
			rc = slot_open(&x, &v->parsed.slots[i], key);
	if (rc == -ENOKEY)
		return error_set(e, rc, CAUSE_NOT_CONFIGURED,
				 "%s has no slot for the recovery key %s: its slots are "
				 "listed above",
				 v->options->verify, v->options->key);
	if (!rc)
		rc = open_all_of_it(v, key, e);
	else
		error_set(e, rc, CAUSE_HEADER_CORRUPT,
			  "the recovery slot in %s is corrupt: use another backup",
			  v->options->verify);
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

static int by_key(const struct verify *v)
{
	struct error e = {.cause = CAUSE_NONE};
	EVP_PKEY *private;
	int rc =
		pemfile_key(v->options->key, &private,
			    "cannot be read as a private key in PEM: check its path", &e);

	if (!rc) {
		rc = open_by_key(v, private, &e);
		print_result("with this key, it", !rc);
		fflush(stdout);
	}
	EVP_PKEY_free(private);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}

int backup_verify(const struct backup_options *o)
{
	struct verify *v = calloc(1, sizeof(*v));
	json_t *backup = v ? backup_read(o->verify) : NULL;
	struct error e = {.cause = CAUSE_NONE};
	int status = VTPMCTL_FAILED;

	if (backup) {
		v->options = o;
		v->backup = backup;
		if (take_parts(v, &e)) {
			status = vtpmctl_fail(&e);
		} else {
			print_parts(v);
			status = o->key ? by_key(v) : by_vtpmd(v);
		}
		free(v->header.bytes);
		free(v->state.bytes);
	}
	json_decref(backup);
	free(v);
	return fflush(stdout) ? VTPMCTL_FAILED : status;
}
