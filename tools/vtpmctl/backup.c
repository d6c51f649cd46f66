/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups are JSON: what vtpmd gave (tools/vtpmd/backup.h), and around it
 *   "format": "xen-vtpm backup", "version": 2, "taken": time,
 *   "sha256": of the same object without this field, compact, keys in order
 */
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/vtpmctl.h"
#include "lib/crypt.h"
#include "lib/slot/envelope.h"
#include "lib/text.h"
#include "lib/slot/previous_key.h"
#include "lib/slot/recovery.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/backup.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/reseal.h"
#include "tools/vtpmctl/vtpmline.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPECTEK_OPTION(type, field)                                                     \
	{                                                                                \
		.name = "expect-ek", .kind = ARGS_TEXT, .offset = offsetof(type, field), \
		.value = "NAME", .help = "refuse other vTPMs than the one with this EK", \
	}

static const char *const algs[ENVELOPE_EKS] = {
	[ENVELOPE_EK_P256] = "ecc-p256",
	[ENVELOPE_EK_RSA2048] = "rsa2048",
	[ENVELOPE_EK_P384] = "ecc-p384",
};

static void print_backup_name(size_t i, const struct envelope_name *name)
{
	char hex[2 * ENVELOPE_NAME_MAX + 1];

	hex_encode(name->bytes, name->len, hex);
	fprintf(stderr, "EK %-8s  Name %s\n", algs[i], name->len ? hex : "is not known");
}

/* Prints on stderr the Names of the endorsement keys that the header names.  expected: a
 * TPM Name in hex, which one of them has to be, or NULL.  -EINVAL: it is no Name; -EKEYREJECTED
 * (CAUSE_WRONG_VTPM): they are others. */
static int expectek_check(const struct envelope_desc *desc, const char *expected,
			  struct error *e)
{
	struct envelope_name want = {0};
	size_t i, len = sizeof(want.bytes);
	bool found = false;

	if (expected && (hex_decode(expected, want.bytes, &len) || !len))
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "--expect-ek takes the Name of an endorsement key in "
				 "hexadecimal, as `vtpmctl show NAME --json` prints it");
	want.len = (uint16_t)len;
	for (i = 0; i < ENVELOPE_EKS; i++) {
		print_backup_name(i, &desc->ek[i]);
		found |= expected && desc->ek[i].len == want.len &&
			 !memcmp(desc->ek[i].bytes, want.bytes, want.len);
	}
	if (!expected || found)
		return 0;
	return error_set(e, -EKEYREJECTED, CAUSE_WRONG_VTPM,
			 "this is not the vTPM that is meant: it has other endorsement "
			 "keys than the one with the Name %s; nothing was changed",
			 expected);
}

#define FORMAT	"xen-vtpm backup"
#define VERSION 2

static const struct args_option backup_options[] = {
	OPTION_FLAG("replace", struct backup_options, replace,
		    "write over FILE when it is there"),
	OPTION_FLAG("unchecked", struct backup_options, unchecked,
		    "also of what would not start here"),
	OPTION_TEXT("all", struct backup_options, all, "DIR",
		    "all vTPMs, each to DIR/NAME-DATE.backup"),
	OPTION_NUMBER("keep", struct backup_options, keep, "N", 1, 100000,
		      "with --all: of each vTPM the newest N only"),
	OPTION_TEXT("verify", struct backup_options, verify, "FILE",
		    "see whether a backup opens here"),
	OPTION_TEXT("key", struct backup_options, key, "PEM",
		    "with --verify: by the private recovery key"),
	CLIENT_SOCKET_OPTION(struct backup_options),
};

static const struct args_command backup_command = {
	.usage = "backup NAME FILE | --all DIR | --verify FILE [OPTIONS]",
	.about =
		"Writes a vTPM's sealed state and its description into a file.  May be done\n"
		"while a guest uses it.  The file holds no secret in clear: it opens only\n"
		"where the vTPM opens (its TPM, its KMS key).  A vTPM that does not run is\n"
		"compared with what is anchored in the host's TPM before.  --verify has a\n"
		"manager of its own open a backup, beside the store and what runs.\n",
	.options = backup_options,
	.option_count = ARRAY_SIZE(backup_options),
	.word = "NAME",
	.word_offset = offsetof(struct backup_options, words[0]),
	.second = "FILE",
	.second_offset = offsetof(struct backup_options, words[1]),
	.words_optional = true,
};

static const struct args_option restore_options[] = {
	OPTION_FLAG("replace", struct backup_options, replace,
		    "the vTPM that is here, once FILE opened"),
	OPTION_FLAG("yes", struct backup_options, yes,
		    "with it: the host it moved to is lost for good"),
	OPTION_TEXT("name", struct backup_options, name, "NAME",
		    "another one than it had"),
	EXPECTEK_OPTION(struct backup_options, expected),
	CLIENT_SOCKET_OPTION(struct backup_options),
};

static const struct args_command restore_command = {
	.usage = "restore FILE [OPTIONS]",
	.about =
		"Makes a stopped vTPM of a backup, with the uuid that it had.  Refused while\n"
		"this vTPM is here, but with --replace; make sure that it runs on no other\n"
		"host either.  What the guest wrote after the backup is not in it.\n",
	.options = restore_options,
	.option_count = ARRAY_SIZE(restore_options),
	.word = "FILE",
	.word_offset = offsetof(struct backup_options, words[0]),
};

/* The checksum of an object without its "sha256". */
static int checksum(const json_t *backup, char hex[2 * CRYPT_HASH_SIZE + 1])
{
	json_t *copy = json_copy((json_t *)backup);
	uint8_t hash[CRYPT_HASH_SIZE];
	struct crypt_part part;
	char *text = NULL;
	int rc = -1;

	if (copy) {
		(void)json_object_del(copy, "sha256");
		text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
	}
	if (text) {
		part = (struct crypt_part){text, strlen(text)};
		rc = crypt_sha256(&part, 1, hash);
		if (!rc)
			hex_encode(hash, sizeof(hash), hex);
	}
	free(text);
	json_decref(copy);
	return rc;
}

/* backup: vtpmd's, to which the rest is added. */
static int save_backup(const char *file, bool replace, json_t *backup, struct error *e)
{
	char taken[32], hex[2 * CRYPT_HASH_SIZE + 1], *text = NULL;
	time_t now = time(NULL);
	struct tm tm;
	int rc = -1;

	gmtime_r(&now, &tm);
	strftime(taken, sizeof(taken), "%FT%TZ", &tm);
	if (!json_object_set_new(backup, "format", json_string(FORMAT)) &&
	    !json_object_set_new(backup, "version", json_integer(VERSION)) &&
	    !json_object_set_new(backup, "taken", json_string(taken)) &&
	    !checksum(backup, hex) &&
	    !json_object_set_new(backup, "sha256", json_string(hex)))
		text = json_dumps(backup, JSON_INDENT(1));
	if (text)
		rc = file_save(file, 0600, replace, text, strlen(text), e);
	free(text);
	if (rc && e->cause == CAUSE_NONE)
		error_set(e, rc, CAUSE_INTERNAL, "there is no memory for the backup");
	return rc;
}

int backup_write(struct client *c, const struct backup_options *o, const char *name,
		 const char *file, struct error *e)
{
	json_t *request = client_request("backup", name), *reply, *told;
	char text[CLIENT_TEXT];
	int rc, status;

	if (request && o->unchecked)
		json_object_set_new(request, "unchecked", json_true());
	status = client_ask(c, o->socket, request, &reply, text);
	if (status) {
		error_set(e, -EIO, CAUSE_INTERNAL, "%s", text);
		return status;
	}
	rc = save_backup(file, o->replace, json_object_get(reply, "backup"), e);
	json_decref(reply);
	request = client_request("backed-up", NULL);
	if (request && rc)
		json_object_set_new(request, "error", json_string(e->text));
	status = client_ask(c, o->socket, request, &told, text);
	json_decref(told);
	if (status && !rc)
		error_set(e, -EIO, CAUSE_INTERNAL,
			  "%s is written, but vtpmd's audit log does not have it: %s",
			  file, text);
	return rc ? VTPMCTL_FAILED : status;
}

static int backup_bad(const char *why)
{
	fprintf(stderr, "vtpmctl: %s; usage: vtpmctl %s (--help says more)\n", why,
		backup_command.usage);
	return VTPMCTL_USAGE;
}

int backup_main(int argc, char **argv)
{
	struct backup_options o = {.socket = CLIENT_SOCKET};
	struct error e = {.cause = CAUSE_NONE};
	struct client c = {.stream = NULL};
	int status;

	args_parse_or_exit(&backup_command, argc, argv, &o);
	if (!o.words[0] + !o.all + !o.verify != 2)
		return backup_bad("give one of NAME FILE, --all DIR and --verify FILE");
	if ((o.keep && !o.all) || (o.key && !o.verify) || (o.replace && !o.words[0]) ||
	    (o.unchecked && (o.verify || o.keep)))
		return backup_bad(
			"--keep goes with --all, --key with --verify, --replace with NAME "
			"FILE, --unchecked with neither --verify nor --keep");
	if (o.all)
		return backup_all(&o);
	if (o.verify)
		return backup_verify(&o);
	status = backup_write(&c, &o, o.words[0], o.words[1], &e);
	client_close(&c);
	if (status)
		fprintf(stderr, "vtpmctl: %s\n", e.text);
	return status;
}

/* Whether the file is what backup wrote; a sentence was printed if not. */
static bool is_backup(const char *file, const json_t *backup, const char *why)
{
	const char *format = json_string_value(json_object_get(backup, "format"));
	const char *sum = json_string_value(json_object_get(backup, "sha256"));
	json_int_t version = json_integer_value(json_object_get(backup, "version"));
	char hex[2 * CRYPT_HASH_SIZE + 1];

	if (!backup)
		fprintf(stderr,
			"vtpmctl: %s cannot be read: %s; give a file that `vtpmctl backup` "
			"wrote, whole\n",
			file, why);
	else if (!format || strcmp(format, FORMAT))
		fprintf(stderr, "vtpmctl: %s is no backup of a vTPM\n", file);
	else if (version != VERSION)
		fprintf(stderr,
			"vtpmctl: %s is a backup of version %lld: use the vtpmctl that "
			"wrote it, or a newer one\n",
			file, (long long)version);
	else if (!sum || checksum(backup, hex) || strcmp(sum, hex))
		fprintf(stderr,
			"vtpmctl: %s is damaged (its checksum does not fit): use another "
			"copy\n",
			file);
	else
		return true;
	return false;
}

/* Reads the header, and checks that it has the endorsement key that is expected.  from: the
 * backup's file; NULL: vtpmd's answer. */
static int get_header(struct reseal_header *h, const json_t *backup, const char *from,
		      const char *expected, struct error *e)
{
	int rc = reseal_get(h, backup, from, e);

	return rc ? rc : expectek_check(&h->parsed.desc, expected, e);
}

static int check_keys(const struct backup_options *o, const json_t *backup,
		      struct error *e)
{
	struct reseal_header *h = malloc(sizeof(*h));
	int rc = h ? get_header(h, backup, o->words[0], o->expected, e)
		   : error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");

	free(h);
	return rc;
}

json_t *backup_read(const char *file)
{
	struct error e = {.cause = CAUSE_NONE};
	json_error_t why = {.text = ""};
	json_t *backup = NULL;
	size_t len;
	char *text;

	if (file_read_most(file, BACKUP_FILE_MAX, &text, &len, &e)) {
		(void)vtpmctl_fail(&e);
		return NULL;
	}
	backup = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	free(text);
	if (is_backup(file, backup, why.text))
		return backup;
	json_decref(backup);
	return NULL;
}

int restore_main(int argc, char **argv)
{
	struct backup_options o = {.socket = CLIENT_SOCKET};
	json_t *backup, *request, *reply;
	struct error e = {.cause = CAUSE_NONE};
	int status = VTPMCTL_FAILED;

	args_parse_or_exit(&restore_command, argc, argv, &o);
	if (o.yes && !o.replace) {
		fprintf(stderr, "vtpmctl: restore takes --yes with --replace\n");
		return VTPMCTL_USAGE;
	}
	backup = backup_read(o.words[0]);
	if (backup && check_keys(&o, backup, &e)) {
		status = vtpmctl_fail(&e);
	} else if (backup) {
		request = json_pack("{s:s, s:O, s:b, s:b, s:s*}", "op", "restore",
				    "backup", backup, "replace", o.replace, "yes", o.yes,
				    "name", o.name);
		status = client_call(o.socket, request, &reply);
		if (!status) {
			printf("%s\n", client_text(reply, "uuid"));
			vtpmline_print(o.socket, client_text(reply, "name"));
		}
		json_decref(reply);
	}
	json_decref(backup);
	return status ? status : fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}

/*
 * vtpmctl recover: the recovery key opens a vTPM that its own host cannot open any
 * more, and this host's TPM and KMS get slots of their own.  The data key is in this
 * process for that time, and nowhere else.
 */

struct recover {
	const char *name, *key, *tcti, *config, *socket, *expected;
	bool fetch;

	EVP_PKEY *private;
	struct hostconf conf;
	struct tpm tpm;
	uint8_t data_key[ENVELOPE_KEY_SIZE];
	int has_old; /* 1: a deep rekey was under way, and states may be under ... */
	uint8_t old_key[ENVELOPE_KEY_SIZE];
	struct reseal_header header; /* the old one, then the bytes of the new one */
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
	{.name = "fetch-kms-key",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct recover, fetch),
	 .help = "of policy *-get: the KMS's key comes into dom0"},
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

static int load_backup_key(struct recover *r, struct error *e)
{
	char *text;
	size_t len;
	int rc = file_read(r->key, &text, &len, e);
	BIO *bio = rc ? NULL : BIO_new_mem_buf(text, (int)len);

	if (rc)
		return rc;
	if (bio)
		r->private = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	OPENSSL_cleanse(text, len);
	free(text);
	return r->private ? 0
			  : error_set(e, -EINVAL, CAUSE_INTERNAL,
				      "%s cannot be read as a private key in PEM: check "
				      "its path and passphrase",
				      r->key);
}

static int open_header(struct recover *r, struct error *e)
{
	const struct slot_context x = {.uuid = r->header.parsed.uuid,
				       .recovery_private = r->private};
	int rc = -ENOENT;
	size_t i;

	for (i = 0; i < r->header.parsed.slot_count && rc; i++)
		if (r->header.parsed.slots[i].kind == ENVELOPE_SLOT_RECOVERY)
			rc = slot_open(&x, &r->header.parsed.slots[i], r->data_key);
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
	r->has_old = previous_key_find(r->header.bytes, r->header.len, r->data_key,
				       r->old_key, e);
	return r->has_old < 0 ? r->has_old : 0;
}

static int recover(struct recover *r, const json_t *backup, struct error *e)
{
	int rc = get_header(&r->header, backup, NULL, r->expected, e);

	if (!rc)
		rc = load_backup_key(r, e);
	if (!rc)
		rc = open_header(r, e);
	if (!rc)
		rc = hostfile_load(r->config, &r->conf, e);
	if (!rc)
		rc = tpm_open(&r->tpm, r->tcti, e);
	if (rc)
		return rc;
	rc = reseal_seal(&r->header, &r->conf, NULL, &r->tpm, r->data_key,
			 r->has_old ? r->old_key : NULL, r->fetch, e);
	tpm_close(&r->tpm);
	return rc;
}

int recover_main(int argc, char **argv)
{
	struct recover *r = calloc(1, sizeof(*r));
	enum args_result parsed;
	struct error e = {.cause = CAUSE_NONE};
	char text[CLIENT_TEXT] = "";
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
		json_object_update_new(
			request, json_pack("{s:b, s:b}", "unchecked", 1, "recover", 1));
	status = client_call(r->socket, request, &reply);
	if (!status) {
		if (recover(r, json_object_get(reply, "backup"), &e))
			status = vtpmctl_fail(&e);
		else
			status = reseal_put(r->socket, r->name, &r->header, text);
		if (text[0])
			fprintf(stderr, "vtpmctl: %s\n", text);
		if (!status)
			fprintf(stderr,
				"%s opens with what this host is set up with: `vtpmctl "
				"start %s`\n",
				r->name, r->name);
	}
	json_decref(reply);
	EVP_PKEY_free(r->private);
	hostconf_free(&r->conf);
	OPENSSL_cleanse(r, sizeof(*r));
	free(r);
	return status;
}
