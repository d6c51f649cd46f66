/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups are JSON: what vtpmd gave (tools/vtpmd/backup.h), and around it
 *   "format": "xen-vtpm backup", "version": 2, "taken": time,
 *   "sha256": of the same object without this field, compact, keys in order
 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/expectek.h"
#include "tools/vtpmctl/file.h"
#include "lib/crypt.h"
#include "lib/hex.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FORMAT	"xen-vtpm backup"
#define VERSION 2

struct backup {
	const char *words[2]; /* NAME FILE; FILE */
	const char *socket;
	const char *name;
	const char *expected;
	bool replace, unchecked;
};

static const struct args_option backup_options[] = {
	{.name = "replace",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct backup, replace),
	 .help = "write over FILE when it is there"},
	{.name = "unchecked",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct backup, unchecked),
	 .help = "also of what would not start here"},
	CLIENT_SOCKET_OPTION(struct backup),
};

static const struct args_command backup_command = {
	.usage = "backup NAME FILE [OPTIONS]",
	.about =
		"Writes a vTPM's sealed state and its description into a file.  May be done\n"
		"while a guest uses it.  The file holds no secret in clear: it opens only\n"
		"where the vTPM opens (its TPM, its KMS key).  A vTPM that does not run is\n"
		"compared with what is anchored in the host's TPM before.\n",
	.options = backup_options,
	.option_count = ARRAY_SIZE(backup_options),
	.word = "NAME",
	.word_offset = offsetof(struct backup, words[0]),
	.second = "FILE",
	.second_offset = offsetof(struct backup, words[1]),
};

static const struct args_option restore_options[] = {
	{.name = "name",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct backup, name),
	 .value = "NAME",
	 .help = "another one than it had"},
	EXPECTEK_OPTION(struct backup, expected),
	CLIENT_SOCKET_OPTION(struct backup),
};

static const struct args_command restore_command = {
	.usage = "restore FILE [OPTIONS]",
	.about =
		"Makes a stopped vTPM of a backup, with the uuid that it had.  Refused while\n"
		"this vTPM is here; make sure that it runs on no other host either.  What\n"
		"the guest wrote after the backup is not in it.\n",
	.options = restore_options,
	.option_count = ARRAY_SIZE(restore_options),
	.word = "FILE",
	.word_offset = offsetof(struct backup, words[0]),
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

static int write_backup(const struct backup *b, json_t *backup)
{
	char taken[32], hex[2 * CRYPT_HASH_SIZE + 1], *text = NULL;
	struct error e = {.cause = CAUSE_NONE};
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
		rc = file_save(b->words[1], 0600, b->replace, text, strlen(text), &e);
	free(text);
	if (!rc)
		return VTPMCTL_OK;
	if (e.cause == CAUSE_NONE)
		error_set(&e, rc, CAUSE_INTERNAL, "there is no memory for the backup");
	return vtpmctl_fail(&e);
}

int backup_main(int argc, char **argv)
{
	struct backup b = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&backup_command, argc, argv, &b);
	json_t *request, *reply;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	request = client_request("backup", b.words[0]);
	if (request && b.unchecked)
		json_object_set_new(request, "unchecked", json_true());
	status = client_call(b.socket, request, &reply);
	if (!status)
		status = write_backup(&b, json_object_get(reply, "backup"));
	json_decref(reply);
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

/* Whether the file's vTPM has the endorsement key that is expected. */
static int check_keys(const struct backup *b, const json_t *backup, struct error *e)
{
	const json_t *objects = json_object_get(backup, "objects");
	const char *hex = json_string_value(json_object_get(objects, "header"));
	size_t len = hex ? strlen(hex) / 2 : 0;
	struct envelope_header *h = malloc(sizeof(*h));
	uint8_t *bytes = malloc(len + 1);
	int rc = h && bytes ? 0 : error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");

	if (!rc && (!hex || hex_decode(hex, bytes, &len)))
		rc = error_set(e, -EBADMSG, CAUSE_HEADER_CORRUPT,
			       "%s has no header: use another backup", b->words[0]);
	if (!rc)
		rc = envelope_header_parse(bytes, len, h, e);
	if (!rc)
		rc = expectek_check(&h->desc, b->expected, e);
	free(bytes);
	free(h);
	return rc;
}

int restore_main(int argc, char **argv)
{
	struct backup b = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&restore_command, argc, argv, &b);
	json_t *backup, *request, *reply;
	struct error e = {.cause = CAUSE_NONE};
	json_error_t why;
	int status = VTPMCTL_FAILED;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	backup = json_load_file(b.words[0], JSON_REJECT_DUPLICATES, &why);
	if (!is_backup(b.words[0], backup, why.text)) {
		status = VTPMCTL_FAILED;
	} else if (check_keys(&b, backup, &e)) {
		status = vtpmctl_fail(&e);
	} else {
		request = json_pack("{s:s, s:O, s:s*}", "op", "restore", "backup", backup,
				    "name", b.name);
		status = client_call(b.socket, request, &reply);
		if (!status)
			printf("%s\n", json_string_value(json_object_get(reply, "uuid")));
		json_decref(reply);
	}
	json_decref(backup);
	return status ? status : fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}
