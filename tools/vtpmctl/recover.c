/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl recover: the recovery key opens a vTPM that its own host cannot open any
 * more, and this host's TPM and KMS get slots of their own.  The data key is in this
 * process for that time, and nowhere else.
 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/expectek.h"
#include "tools/vtpmctl/unlockconf.h"
#include "lib/hex.h"
#include "lib/oldkey.h"
#include "lib/recovery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>

struct recover {
	const char *name, *key, *tcti, *config, *socket, *expected;

	EVP_PKEY *private;
	struct hostconf conf;
	struct tpm tpm;
	struct unlockconf unlock;
	uint8_t data_key[ENVELOPE_KEY_SIZE];
	int has_old; /* 1: a deep rekey was under way, and states may be under ... */
	uint8_t old_key[ENVELOPE_KEY_SIZE];
	struct envelope_header header;
	uint8_t bytes[ENVELOPE_HEADER_MAX]; /* of the header: old, then new */
	size_t len;
};

#define TEXT(field, NAME, VALUE, HELP)                                                  \
	{                                                                               \
		.name = NAME, .kind = ARGS_TEXT,                                        \
		.offset = offsetof(struct recover, field), .value = VALUE, .help = HELP \
	}

static const struct args_option options[] = {
	TEXT(key, "key", "FILE", "PEM: the private recovery key"),
	TEXT(tcti, "tcti", "TCTI", "the TPM, " TPM_TCTI),
	TEXT(config, "config", "FILE", HOSTCONF_PATH),
	EXPECTEK_OPTION(struct recover, expected),
	CLIENT_SOCKET_OPTION(struct recover),
};

static const struct args_command command = {
	.usage = "recover NAME --key FILE [OPTIONS]",
	.about =
		"Opens a stopped vTPM with the recovery key of `vtpmctl host init\n"
		"--recovery-key`, and seals it to this host's TPM and KMS: after the loss of\n"
		"its host, when its backup was restored here.  The next start is as any other.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct recover, name),
};

static int load_key(struct recover *r, struct error *e)
{
	BIO *bio = BIO_new_file(r->key, "r");

	if (bio)
		r->private = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	return r->private ? 0
			  : error_set(e, -EINVAL, CAUSE_INTERNAL,
				      "%s cannot be read as a private key in PEM: check "
				      "its path and passphrase",
				      r->key);
}

/* The header as vtpmd has it. */
static int take_header(struct recover *r, const json_t *backup, struct error *e)
{
	const json_t *objects = json_object_get(backup, "objects");
	const char *hex = json_string_value(json_object_get(objects, "header"));

	r->len = sizeof(r->bytes);
	if (!hex || hex_decode(hex, r->bytes, &r->len))
		return error_set(e, -EBADMSG, CAUSE_INTERNAL,
				 "vtpmd's answer makes no sense: install vtpmd and "
				 "vtpmctl of one version");
	return envelope_header_parse(r->bytes, r->len, &r->header, e);
}

static int open_header(struct recover *r, struct error *e)
{
	int rc = -ENOENT;
	size_t i;

	for (i = 0; i < r->header.slot_count && rc; i++)
		if (r->header.slots[i].kind == ENVELOPE_SLOT_RECOVERY)
			rc = recovery_unwrap(r->private, r->header.uuid,
					     &r->header.slots[i], r->data_key);
	if (rc == -ENOENT)
		return error_set(
			e, rc, CAUSE_NOT_CONFIGURED,
			"the vTPM %s has no recovery slot: its host was set up "
			"without --recovery-key; it opens with that host's TPM, or "
			"the KMS, alone: bring that back, then `vtpmctl start %s`",
			r->name, r->name);
	if (rc == -ENOKEY)
		return error_set(e, rc, CAUSE_INTERNAL,
				 "%s is not the recovery key of the vTPM %s: give the "
				 "private key to what its host was set up with",
				 r->key, r->name);
	if (rc)
		return error_set(e, rc, CAUSE_HEADER_CORRUPT,
				 "the recovery slot of the vTPM %s is corrupt: use its "
				 "header from another backup",
				 r->name);
	r->has_old = oldkey_find(r->bytes, r->len, r->data_key, r->old_key, e);
	return r->has_old < 0 ? r->has_old : 0;
}

static int seal(struct recover *r, struct error *e)
{
	struct unlockconf *u = &r->unlock;
	int rc;

	if (unlockconf_fill(u, &r->conf, &r->tpm))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "%s makes no sense: run `vtpmctl host init` again",
				 r->config);
	u->config.desc = r->header.desc;
	memcpy(u->config.uuid, r->header.uuid, sizeof(u->config.uuid));
	r->len = sizeof(r->bytes);
	rc = unlock_seal(&u->config, &u->tpm, &u->kms, r->data_key, r->header.seq + 1,
			 r->bytes, &r->len, e);
	if (!rc && r->has_old)
		rc = oldkey_add(r->bytes, &r->len, r->data_key, r->old_key, e);
	return rc;
}

/* Puts the new header into the store; an exit status. */
static int store(const struct recover *r)
{
	char *hex = malloc(2 * r->len + 1);
	json_t *request = client_request("reseal", r->name), *reply;
	int status;

	if (hex) {
		hex_encode(r->bytes, r->len, hex);
		json_object_set_new(request, "header", json_string(hex));
	}
	free(hex);
	status = client_call(r->socket, request, &reply);
	json_decref(reply);
	return status;
}

static int recover(struct recover *r, const json_t *backup, struct error *e)
{
	int rc = take_header(r, backup, e);

	if (!rc)
		rc = expectek_check(&r->header.desc, r->expected, e);
	if (!rc)
		rc = load_key(r, e);
	if (!rc)
		rc = open_header(r, e);
	if (!rc)
		rc = hostconf_load(r->config, &r->conf, e);
	if (!rc)
		rc = tpm_open(&r->tpm, r->tcti, e);
	if (rc)
		return rc;
	rc = seal(r, e);
	tpm_close(&r->tpm);
	return rc;
}

int recover_main(int argc, char **argv)
{
	struct recover *r = calloc(1, sizeof(*r));
	enum args_result parsed;
	struct error e = {.cause = CAUSE_NONE};
	json_t *request, *reply;
	int status = VTPMCTL_FAILED;

	if (!r)
		return status;
	r->tcti = TPM_TCTI;
	r->config = HOSTCONF_PATH;
	r->socket = CLIENT_SOCKET;
	parsed = args_parse(&command, argc, argv, r);
	if (parsed != ARGS_RUN || !r->key) {
		if (parsed == ARGS_RUN)
			fprintf(stderr, "vtpmctl: --key is missing; usage: vtpmctl %s\n",
				command.usage);
		free(r);
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	}
	/* the state stays what it is, and is compared when the vTPM starts */
	request = client_request("backup", r->name);
	if (request)
		json_object_set_new(request, "unchecked", json_true());
	status = client_call(r->socket, request, &reply);
	if (!status) {
		if (recover(r, json_object_get(reply, "backup"), &e))
			status = vtpmctl_fail(&e);
		else
			status = store(r);
	}
	json_decref(reply);
	EVP_PKEY_free(r->private);
	hostconf_free(&r->conf);
	OPENSSL_cleanse(r, sizeof(*r));
	free(r);
	return status;
}
