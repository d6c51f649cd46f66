/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "lib/binding.h"
#include "lib/firmwarelog.h"
#include "lib/text.h"
#include "lib/uuidtext.h"
#include "lib/tpm2/marshal.h"
#include "tools/vtpm-verify/eventlog.h"
#include "tools/vtpmctl/policykey.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/forfile.h"
#include "tools/vtpmctl/import.h"
#include "tools/vtpmctl/cert.h"
#include "tools/vtpmctl/tpm.h"
#include "tools/vtpmctl/vtpmline.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int start_main(int argc, char **argv)
{
	static const struct verb verb = {
		.op = "start",
		.usage = "start NAME [OPTIONS]",
		.about =
			"Opens a vTPM's state, starts its stub domain, and waits until guests may come,\n"
			"or says in one sentence why the state does not open.  One that runs goes on,\n"
			"also when its stub domain was asked to end (`xl shutdown`).\n",
	};

	return verb_main(&verb, argc, argv);
}

int stop_main(int argc, char **argv)
{
	static const struct verb verb = {
		.op = "stop",
		.usage = "stop NAME [OPTIONS]",
		.about =
			"Stops a vTPM and waits until its stub domain is gone.  Everything that it\n"
			"acknowledged is in the store already.  Refuses while a guest uses it.\n",
		.flag = "force",
		.flag_help = "even while a guest uses it",
	};

	return verb_main(&verb, argc, argv);
}

int resume_main(int argc, char **argv)
{
	static const struct verb verb = {
		.op = "resume",
		.usage = "resume NAME [OPTIONS]",
		.about =
			"Between `xl save` and `xl restore` of a guest: its TPM goes on with the PCRs,\n"
			"sessions and objects that the guest left, instead of being restarted.  Holds\n"
			"for the guest with the saved one's uuid, if it is the next one of the vTPM and\n"
			"comes within 10 minutes.\n"
			"  xl save web1 FILE; vtpmctl resume web1 && xl restore FILE ||\n"
			"    vtpmctl resume --revoke web1\n"
			"Give it for a guest that boots, and that guest has another boot's PCRs.\n",
		.flag = "revoke",
		.flag_help = "xl restore failed: the next guest gets fresh PCRs",
	};

	return verb_main(&verb, argc, argv);
}

struct delete
{
	const char *name;
	const char *socket;
	bool yes;
	bool force;
};

static const struct args_option delete_options[] = {
	OPTION_FLAG("force", struct delete, force, "even while a guest uses it"),
	OPTION_FLAG("yes", struct delete, yes, "do not ask for the name again"),
	CLIENT_SOCKET_OPTION(struct delete),
};

static const struct args_command delete_command = {
	.usage = "delete NAME [OPTIONS]",
	.about =
		"Removes a vTPM with all that the guest keeps in it: keys, sealed secrets, NV\n"
		"indexes.  A guest whose disk is sealed to it needs its recovery key.  Asks\n"
		"for the name once more, unless --yes is given.\n",
	.options = delete_options,
	.option_count = ARRAY_SIZE(delete_options),
	.word = "NAME",
	.word_offset = offsetof(struct delete, name),
};

static bool typed_again(const char *name)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	bool same;

	fprintf(stderr,
		"This destroys all that guests keep in vTPM %s. Its name again: ", name);
	n = getline(&line, &room, stdin);
	if (n <= 0)
		fputc('\n', stderr);
	if (n > 0 && line[n - 1] == '\n')
		line[n - 1] = 0;
	same = n > 0 && !strcmp(line, name);
	free(line);
	return same;
}

int delete_main(int argc, char **argv)
{
	struct delete d = {.socket = CLIENT_SOCKET};
	json_t *request, *reply;
	int status;

	args_parse_or_exit(&delete_command, argc, argv, &d);
	if (!d.yes) { /* nobody is asked for the name of one that is not there */
		status = client_call(d.socket, client_request("show", d.name), &reply);
		json_decref(reply);
		if (status)
			return status;
	}
	if (!d.yes && !typed_again(d.name)) {
		fprintf(stderr,
			"vtpmctl: nothing was deleted: type %s again when asked, or "
			"give --yes\n",
			d.name);
		return VTPMCTL_FAILED;
	}
	request = client_request("delete", d.name);
	if (request && d.force)
		json_object_set_new(request, "force", json_true());
	status = client_call(d.socket, request, &reply);
	json_decref(reply);
	return status;
}

struct clone {
	const char *name, *to, *identity, *socket;
};

static const char *const identities[] = {"new", "copy", NULL};

static const struct args_option clone_options[] = {
	OPTION_CHOICE("identity", struct clone, identity, "new|copy", identities,
		      "whose TPM it is; has to be said"),
	CLIENT_SOCKET_OPTION(struct clone),
};

static const struct args_command clone_command = {
	.usage = "clone NAME NEW --identity new|copy [OPTIONS]",
	.about =
		"Makes a vTPM NEW as NAME is: policy, memory, placement, localities.  Starts it\n"
		"and prints its uuid, alone, on standard output.  NAME may be in use.\n"
		"--identity new: a TPM of its own, with new seeds and endorsement key, empty NV.\n"
		"--identity copy: a second TPM with the seeds, endorsement key, keys and NV of\n"
		"NAME, as stored last.  What is sealed to the one opens in the other, and nobody\n"
		"can tell the two apart.\n",
	.options = clone_options,
	.option_count = ARRAY_SIZE(clone_options),
	.word = "NAME",
	.word_offset = offsetof(struct clone, name),
	.second = "NEW",
	.second_offset = offsetof(struct clone, to),
};

int clone_main(int argc, char **argv)
{
	struct clone c = {.socket = CLIENT_SOCKET};
	json_t *request, *reply;
	int status;

	args_parse_or_exit(&clone_command, argc, argv, &c);
	if (!c.identity) {
		fprintf(stderr,
			"vtpmctl: --identity is missing: \"new\" makes a TPM of its own, "
			"\"copy\" a second one with %s's identity, keys and secrets\n",
			c.name);
		return VTPMCTL_USAGE;
	}
	if (!strcmp(c.identity, "copy"))
		fprintf(stderr,
			"%s becomes a second TPM with the identity of %s: what is sealed "
			"to the one opens in the other\n",
			c.to, c.name);
	request = json_pack("{s:s, s:s, s:s, s:s}", "op", "clone", "name", c.name, "to",
			    c.to, "identity", c.identity);
	status = client_call(c.socket, request, &reply);
	if (status)
		return status;
	printf("%s\n", json_string_value(json_object_get(reply, "uuid")));
	json_decref(reply);
	vtpmline_print(c.socket, c.to);
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}

struct rename {
	const char *name, *to, *socket;
};

static const struct args_option rename_options[] = {
	CLIENT_SOCKET_OPTION(struct rename),
};

static const struct args_command rename_command = {
	.usage = "rename NAME NEW [OPTIONS]",
	.about =
		"Gives a vTPM that is stopped another name; uuid, keys and state stay.  Prints\n"
		"on standard error what the vtpm line in its guest's file has to become, since\n"
		"backend= is the name's: vtpm=[\"backend=vtpm-NEW,uuid=UUID\"]\n",
	.options = rename_options,
	.option_count = ARRAY_SIZE(rename_options),
	.word = "NAME",
	.word_offset = offsetof(struct rename, name),
	.second = "NEW",
	.second_offset = offsetof(struct rename, to),
};

int rename_main(int argc, char **argv)
{
	struct rename r = {.socket = CLIENT_SOCKET};
	json_t *request, *reply;
	int status;

	args_parse_or_exit(&rename_command, argc, argv, &r);
	request = client_request("rename", r.name);
	if (request)
		json_object_set_new(request, "to", json_string(r.to));
	status = client_call(r.socket, request, &reply);
	json_decref(reply);
	if (!status)
		vtpmline_print(r.socket, r.to);
	return status;
}

/* vtpmctl attest: evidence of a vTPM and its host, for vtpm-verify.  The guest has no
 * part in it, but for the log of its firmware, which is in its memory; vtpm-attest in the
 * guest gets the same. */

#define PCRS "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"

struct attest {
	const char *name, *nonce, *user, *pcrs, *output, *log, *socket;
};

static const struct args_option attest_options[] = {
	OPTION_TEXT("nonce", struct attest, nonce, "HEX",
		    "the verifier's random number, 16 to 64 bytes"),
	OPTION_TEXT("user-data", struct attest, user, "HEX",
		    "to be signed with it, 64 bytes at most"),
	OPTION_TEXT("pcrs", struct attest, pcrs, "N,N,...",
		    "that are quoted, in every bank; 0 to 15"),
	OPTION_TEXT("event-log", struct attest, log, "FILE",
		    "of an HVM guest's firmware, from the guest"),
	{.name = "output",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct attest, output),
	 .value = "FILE",
	 .help = "where to; else standard output",
	 .letter = 'o'},
	CLIENT_SOCKET_OPTION(struct attest),
};

static const struct args_command attest_command = {
	.usage = "attest NAME --nonce HEX [OPTIONS]",
	.about =
		"Writes evidence: what the vTPM's PCRs are, that it is this vTPM, and that the\n"
		"stub domain that it runs in and the host are what they are, signed by both TPMs.\n"
		"`vtpm-verify`, somewhere else, tells whether it is to be believed.\n",
	.options = attest_options,
	.option_count = ARRAY_SIZE(attest_options),
	.word = "NAME",
	.word_offset = offsetof(struct attest, name),
};

static int vtpm_usage(const char *what)
{
	fprintf(stderr, "vtpmctl: %s; `vtpmctl attest --help` says more\n", what);
	return VTPMCTL_USAGE;
}

static int write_out(const struct attest *a, const char *text)
{
	struct error e = {0};

	if (!a->output)
		return puts(text) < 0 || fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
	return file_write(a->output, 0644, true, text, strlen(text), &e)
		       ? vtpmctl_fail(&e)
		       : VTPMCTL_OK;
}

/* Whether a verifier could read the log; what it says is for the verifier to judge. */
static int check_log(const struct attest *a, const uint8_t *bytes, size_t n)
{
	struct eventlog log;

	if (!eventlog_replay(bytes, n, &log))
		return 0;
	fprintf(stderr,
		"vtpmctl: %s is no event log of a firmware that a verifier could read: %s; "
		"take /sys/kernel/security/tpm0/binary_bios_measurements of the guest\n",
		a->log, log.why ? log.why : "it does not parse");
	return -EBADMSG;
}

/* Hands the evidence out, with the log that the guest did. */
static int put_evidence(const struct attest *a, const char *evidence)
{
	char *text = strdup(evidence ? evidence : "");
	size_t len = text ? strlen(text) : 0, n;
	uint8_t *log = NULL;
	int status, rc = text ? 0 : -ENOMEM;

	if (!rc && a->log)
		rc = firmwarelog_read(a->log, &log, &n);
	if (!rc && log)
		rc = check_log(a, log, n);
	if (!rc && log)
		rc = firmwarelog_add(&text, &len, log, n);
	if (rc && rc != -EBADMSG)
		fprintf(stderr, "vtpmctl: the event log %s cannot be added: %s\n",
			a->log ? a->log : "",
			rc == -EEXIST ? "the host measured this guest's launch, and its "
					"log is in the evidence: leave --event-log out"
				      : strerror(-rc));
	status = rc ? VTPMCTL_FAILED : write_out(a, text);
	free(log);
	free(text);
	return status;
}

int attest_main(int argc, char **argv)
{
	struct attest a = {.user = "", .pcrs = PCRS, .socket = CLIENT_SOCKET};
	uint8_t nonce[BINDING_NONCE_MAX], user[BINDING_USER_MAX];
	size_t len = sizeof(nonce), user_len = sizeof(user);
	json_t *request, *reply;
	uint32_t pcrs;
	int status;

	args_parse_or_exit(&attest_command, argc, argv, &a);
	if (!a.nonce || hex_decode(a.nonce, nonce, &len) || len < BINDING_NONCE_MIN)
		return vtpm_usage(
			"--nonce takes 32 to 128 hexadecimal digits, from the verifier");
	if (hex_decode(a.user, user, &user_len))
		return vtpm_usage("--user-data takes at most 128 hexadecimal digits");
	if (approval_pcrs_parse(a.pcrs, &pcrs))
		return vtpm_usage("--pcrs takes different numbers from 0 to 23");
	request = client_request("attest", a.name);
	if (request) {
		json_object_set_new(request, "nonce", json_string(a.nonce));
		json_object_set_new(request, "user", json_string(a.user));
		json_object_set_new(request, "pcrs", json_integer(pcrs));
	}
	status = client_call(a.socket, request, &reply);
	if (!status)
		status = put_evidence(
			&a, json_string_value(json_object_get(reply, "evidence")));
	json_decref(reply);
	return status;
}

/* MiB; with less it does not start, as `make bench` finds by trying */
#define MEMORY_MIN 8
#define MEMORY_MAX 4096

struct create {
	const char *name;
	const char *socket;
	const char *policy;	 /* NULL: vtpmd's default */
	const char *placement;	 /* NULL: vtpmd's default */
	unsigned int memory;	 /* MiB, 0: vtpmd's default */
	const char *tpm;	 /* NULL: vtpmd's default */
	const char *localities;	 /* NULL: vtpmd's default */
	const char *banks;	 /* NULL: vtpmd's default */
	const char *ppi;	 /* NULL: vtpmd's default */
	const char *uuid, *bind; /* NULL: vtpmd's choice */
	const char *file;	 /* that gets the line; NULL: none */
	unsigned int locality_mask, bank_mask;
	bool measured;
	const char *folder, *tcti;
	struct import import; /* of `vtpmctl import` */
};

static const char *const policies[] = {"host", "tpm", "kms", "host-get", "kms-get", NULL};
static const char *const placements[] = {"stubdom", "process", NULL};

static const char *const presences[] = {"allow", "deny", NULL};

static const char *const binds[] = {"name", "uuid", NULL};

static const char *const versions[] = {"2.0", "1.2", NULL};

static const struct args_option create_options[] = {
	OPTION_CHOICE("policy", struct create, policy, "host|tpm|kms|host-get|kms-get",
		      policies, "what opens it: TPM and KMS, or one"),
	OPTION_NUMBER("memory", struct create, memory, "MIB", MEMORY_MIN, MEMORY_MAX,
		      "of the stub domain, 8 unless said otherwise"),
	OPTION_CHOICE("placement", struct create, placement, "stubdom|process",
		      placements, "its own stub domain, or a process of dom0"),
	OPTION_TEXT("ca", struct create, folder, "DIR|none",
		    "the CA's folder, " CA_FOLDER),
	OPTION_TEXT("tcti", struct create, tcti, "TCTI",
		    "of a CA key in the TPM, " TPM_TCTI),
	OPTION_CHOICE("tpm", struct create, tpm, "2.0|1.2", versions,
		      "1.2: for guests that know no other"),
	OPTION_TEXT("localities", struct create, localities, "LIST",
		    "for the guest: 0, or 0,2-3, or 0-4"),
	OPTION_TEXT("pcr-banks", struct create, banks, "LIST",
		    "some of sha1,sha256,sha384,sha512"),
	OPTION_CHOICE("ppi", struct create, ppi, "allow|deny", presences,
		      "whether an HVM guest may have its TPM cleared"),
	OPTION_CHOICE("bind", struct create, bind, "name|uuid", binds,
		      "what a guest's line has to have of it"),
	OPTION_TEXT("uuid", struct create, uuid, "UUID",
		    "of the vTPM, and --bind uuid; else it gets one"),
	OPTION_TEXT("for", struct create, file, "FILE",
		    "a guest's, which gets the vtpm line"),
	OPTION_FLAG("measured", struct create, measured,
		    "only for guests that `vtpmctl launch` started"),
	CLIENT_SOCKET_OPTION(struct create),
};

static const struct args_command create_command = {
	.usage = "create NAME [OPTIONS]",
	.about =
		"Makes a new vTPM, seals it, starts it, and waits until guests may come.\n"
		"Prints its uuid, alone, on standard output, and for the guest's file, on\n"
		"standard error:  vtpm=[\"backend=vtpm-NAME,uuid=UUID\"]\n"
		"One that is there, and is as asked for, is left as it is: status 0.\n"
		"With a CA (`vtpmctl ca init`) it gets certificates.\n",
	.options = create_options,
	.option_count = ARRAY_SIZE(create_options),
	.word = "NAME",
	.word_offset = offsetof(struct create, name),
};

static const struct args_option import_options[] = {
	OPTION_TEXT("swtpm", struct create, import.file, "FILE",
		    "swtpm's tpm2-00.permall, or tpm-00.permall"),
	OPTION_TEXT("key", struct create, import.key, "KEY",
		    "that swtpm had as its --key"),
	OPTION_TEXT("migration-key", struct create, import.migration_key, "KEY",
		    "of a blob of `swtpm_ioctl --save`"),
	OPTION_CHOICE("policy", struct create, policy, "host|tpm|kms|host-get|kms-get",
		      policies, "what opens it: TPM and KMS, or one"),
	OPTION_NUMBER("memory", struct create, memory, "MIB", MEMORY_MIN, MEMORY_MAX,
		      "of the stub domain, 8 unless said otherwise"),
	OPTION_CHOICE("placement", struct create, placement, "stubdom|process",
		      placements, "its own stub domain, or a process of dom0"),
	OPTION_CHOICE("tpm", struct create, tpm, "2.0|1.2", versions,
		      "1.2: the file is a TPM 1.2's"),
	OPTION_TEXT("localities", struct create, localities, "LIST",
		    "for the guest: 0, or 0,2-3, or 0-4"),
	OPTION_CHOICE("ppi", struct create, ppi, "allow|deny", presences,
		      "whether an HVM guest may have its TPM cleared"),
	OPTION_CHOICE("bind", struct create, bind, "name|uuid", binds,
		      "what a guest's line has to have of it"),
	OPTION_TEXT("uuid", struct create, uuid, "UUID",
		    "of the vTPM, and --bind uuid; else it gets one"),
	OPTION_TEXT("for", struct create, file, "FILE",
		    "a guest's, which gets the vtpm line"),
	OPTION_FLAG("measured", struct create, measured,
		    "only for guests that `vtpmctl launch` started"),
	CLIENT_SOCKET_OPTION(struct create),
};

static const struct args_command import_command = {
	.usage = "import NAME --swtpm FILE [OPTIONS]",
	.about =
		"Makes a vTPM of the state that swtpm kept for a guest of KVM or XCP-ng: its EK,\n"
		"certificates, keys, NV and secrets stay.  The rest is as `vtpmctl create` does\n"
		"it.  Shut the guest down first; afterwards destroy FILE and its copies.\n"
		"KEY: file=F[,format=hex|binary] or pwdfile=F[,kdf=pbkdf2|sha512], [,mode=\n"
		"aes-cbc|aes-256-cbc]\n",
	.options = import_options,
	.option_count = ARRAY_SIZE(import_options),
	.word = "NAME",
	.word_offset = offsetof(struct create, name),
};

/* "0", "0,2", "0-4": a mask that has locality 0; 0: it is none. */
static unsigned int localities_of(const char *text)
{
	unsigned int mask = 0, first, last;
	int n = 0, end = 0;

	for (;; text += end + 1) {
		end = n = 0;
		if (sscanf(text, "%1u%n-%1u%n", &first, &n, &last, &end) < 2) {
			last = first;
			end = n;
		}
		if (!n || *text < '0' || *text > '4' || last > 4 || last < first)
			return 0;
		for (; first <= last; first++)
			mask |= 1u << first;
		if (text[end] != ',')
			break;
	}
	return text[end] || !(mask & 1) ? 0 : mask;
}

/* "sha256,sha384": a mask; 0: it is none. */
static unsigned int banks_of(const char *text)
{
	unsigned int mask = 0;

	for (;; text++) {
		size_t i = 0, len = strcspn(text, ",");

		while (i < TPM2_BANKS && (strlen(tpm2_hashes[i].name) != len ||
					  strncmp(text, tpm2_hashes[i].name, len)))
			i++;
		if (i == TPM2_BANKS)
			return 0;
		mask |= 1u << i;
		text += len;
		if (!*text)
			return mask;
	}
}

/* Parses --localities and --pcr-banks into masks; false if either is invalid. */
static bool take_lists(struct create *c, const struct args_command *command)
{
	if (c->localities)
		c->locality_mask = localities_of(c->localities);
	if (c->banks)
		c->bank_mask = banks_of(c->banks);
	if (c->localities && !c->locality_mask)
		fprintf(stderr,
			"vtpmctl: --localities is a list of 0 to 4 that has 0, as 0,2 or "
			"0-4, not %s; usage: vtpmctl %s (--help says more)\n",
			c->localities, command->usage);
	else if (c->banks && !c->bank_mask)
		fprintf(stderr,
			"vtpmctl: --pcr-banks is a list of sha1, sha256, sha384 and "
			"sha512, as sha256,sha384, not %s; usage: vtpmctl %s (--help says "
			"more)\n",
			c->banks, command->usage);
	else
		return true;
	return false;
}

/* NULL: out of memory, which client_call() tells. */
static json_t *request_of(const struct create *c)
{
	const struct {
		const char *key;
		json_t *value;
	} members[] = {
		{"policy", c->policy ? json_string(c->policy) : NULL},
		{"placement", c->placement ? json_string(c->placement) : NULL},
		{"memory", c->memory ? json_integer(c->memory) : NULL},
		{"tpm", c->tpm ? json_string(c->tpm) : NULL},
		{"localities", c->locality_mask ? json_integer(c->locality_mask) : NULL},
		{"pcr_banks", c->bank_mask ? json_integer(c->bank_mask) : NULL},
		{"ppi", c->ppi ? json_string(c->ppi) : NULL},
		{"bind", c->bind ? json_string(c->bind) : NULL},
		{"uuid", c->uuid ? json_string(c->uuid) : NULL},
		{"measured", c->measured ? json_true() : NULL},
	};
	json_t *request = client_request("create", c->name);

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (members[i].value)
			json_object_set_new(request, members[i].key, members[i].value);
	return request;
}

static int add_line_for(const struct create *c)
{
	json_t *reply;
	int status = client_call(c->socket, client_request("show", c->name), &reply);

	if (!status)
		status = forfile_add(c->file, json_object_get(reply, "vtpm"));
	json_decref(reply);
	return status;
}

/* *made: it was not there. */
static int make_vtpm(const struct create *c, bool *made)
{
	struct error e = {.cause = CAUSE_NONE};
	json_t *reply, *request = request_of(c);
	const char *uuid;
	int status;

	if (c->import.file && import_add(request, &c->import, &e)) {
		json_decref(request);
		return vtpmctl_fail(&e);
	}
	status = client_call(c->socket, request, &reply);
	if (status)
		return status;
	*made = !json_is_false(json_object_get(reply, "changed"));
	if (!*made)
		fprintf(stderr,
			"%s is there already, as asked for, and is %s: nothing was changed\n",
			c->name, client_text(reply, "state"));
	uuid = json_string_value(json_object_get(reply, "uuid"));
	if (uuid)
		printf("%s\n", uuid);
	json_decref(reply);
	if (!uuid || fflush(stdout)) {
		fprintf(stderr,
			"vtpmctl: %s was made but its uuid could not be printed; "
			"`vtpmctl show` has it\n",
			c->name);
		return VTPMCTL_FAILED;
	}
	if (c->file)
		return add_line_for(c);
	vtpmline_print(c->socket, c->name);
	return VTPMCTL_OK;
}

/* A CA that cannot issue is noticed before there is a vTPM without certificates. */
static int make_with(const struct create *c)
{
	struct error e = {.cause = CAUSE_NONE};
	bool made = false;
	struct ca ca;
	int status;

	if (ca_open(&ca, c->folder, c->tcti, true, &e))
		return vtpmctl_fail(&e);
	status = make_vtpm(c, &made);
	if (made) {
		int issued = issue(&ca, c->socket, c->name);

		status = status ? status : issued;
		if (issued)
			fprintf(stderr,
				"%s is there, but without certificates: `vtpmctl cert "
				"issue %s`\n",
				c->name, c->name);
	}
	ca_close(&ca);
	return status;
}

static bool is_uuid(const char *text)
{
	static const uint8_t nil[UUIDTEXT_SIZE];
	uint8_t uuid[UUIDTEXT_SIZE];

	return !uuidtext_parse(text, uuid) && memcmp(uuid, nil, sizeof(nil));
}

static bool is_12(const struct create *c)
{
	return c->tpm && !strcmp(c->tpm, "1.2");
}

static int check_create(struct create *c, const struct args_command *command)
{
	if (!take_lists(c, command))
		return VTPMCTL_USAGE;
	if (c->uuid && !is_uuid(c->uuid)) {
		fprintf(stderr,
			"vtpmctl: --uuid takes 8-4-4-4-12 hexadecimal digits, as `uuidgen` "
			"prints, not all of them 0; usage: vtpmctl %s (--help says more)\n",
			command->usage);
		return VTPMCTL_USAGE;
	}
	if (c->measured && is_12(c)) {
		fprintf(stderr, "vtpmctl: nothing is measured into a TPM 1.2: leave out "
				"--measured or --tpm 1.2\n");
		return VTPMCTL_USAGE;
	}
	return c->file ? forfile_check(c->file, c->name) : VTPMCTL_OK;
}

/* Certificates that came with the state stay; `vtpmctl cert issue` replaces them. */
int import_main(int argc, char **argv)
{
	struct create c = {.socket = CLIENT_SOCKET};
	bool made;
	int status;

	args_parse_or_exit(&import_command, argc, argv, &c);
	if (!c.import.file) {
		fprintf(stderr,
			"vtpmctl: --swtpm FILE is missing: the state of swtpm that %s is "
			"to have; usage: vtpmctl %s (--help says more)\n",
			c.name, import_command.usage);
		return VTPMCTL_USAGE;
	}
	status = check_create(&c, &import_command);
	return status ? status : make_vtpm(&c, &made);
}

int create_main(int argc, char **argv)
{
	struct create c = {.socket = CLIENT_SOCKET, .tcti = TPM_TCTI};
	bool made, named;
	int status;

	args_parse_or_exit(&create_command, argc, argv, &c);
	status = check_create(&c, &create_command);
	if (status)
		return status;
	/* a CA that was named has to be there; the certificates are a TPM 2.0's */
	named = c.folder != NULL;
	c.folder = named ? c.folder : CA_FOLDER;
	if (is_12(&c) || !strcmp(c.folder, "none") || (!named && !ca_is_there(c.folder)))
		return make_vtpm(&c, &made);
	return make_with(&c);
}

struct set {
	const char *name, *ppi, *bind, *socket;
};

static const struct args_option set_options[] = {
	OPTION_CHOICE("bind", struct set, bind, "name|uuid", binds,
		      "what a guest's line has to have of it"),
	OPTION_CHOICE("ppi", struct set, ppi, "allow|deny", presences,
		      "whether an HVM guest may have its TPM cleared"),
	CLIENT_SOCKET_OPTION(struct set),
};

static const struct args_command set_command = {
	.usage = "set NAME {--ppi allow|deny | --bind name|uuid} [OPTIONS]",
	.about =
		"Changes a vTPM, also while a guest uses it.  --ppi: the guest of a type=\"hvm\"\n"
		"may request by physical presence (Windows: Clear-Tpm) that its TPM be cleared\n"
		"before its next start; with deny it may not, and what is pending is refused.\n"
		"--bind uuid: a guest whose vtpm line has no uuid is refused; name: it is served.\n",
	.options = set_options,
	.option_count = ARRAY_SIZE(set_options),
	.word = "NAME",
	.word_offset = offsetof(struct set, name),
};

int set_main(int argc, char **argv)
{
	struct set s = {.socket = CLIENT_SOCKET};
	json_t *request, *reply;
	int status;

	args_parse_or_exit(&set_command, argc, argv, &s);
	if (!s.ppi && !s.bind) {
		fprintf(stderr, "vtpmctl: say what is to be set: usage: vtpmctl %s\n",
			set_command.usage);
		return VTPMCTL_USAGE;
	}
	request = client_request("set", s.name);
	if (request && s.ppi)
		json_object_set_new(request, "ppi", json_string(s.ppi));
	if (request && s.bind)
		json_object_set_new(request, "bind", json_string(s.bind));
	status = client_call(s.socket, request, &reply);
	json_decref(reply);
	return status;
}
