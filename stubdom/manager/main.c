/* SPDX-License-Identifier: Apache-2.0 */
/* The vTPM manager: one static program for a stub domain and for a process. */
#include "alone.h"
#include "stubdom/manager/vtpm.h"
#include "lib/crypt.h"
#include "stubdom/manager/swtpmkey.h"

#include <errno.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static const char usage[] =
	"usage: vtpm-manager --stubdom\n"
	"       vtpm-manager --process [--no-xen [--unix PATH]] --user UID:GID\n"
	"       vtpm-manager --state DIR {--tcp PORT | --unix PATH} [OPTIONS]\n"
	"       vtpm-manager --state DIR --ctrl SOCKET [--server SOCKET] [OPTIONS]\n"
	"       vtpm-manager import --swtpm FILE [--key KEY] --state DIR [--tpm 1.2]\n"
	"vtpmd starts the first two; see vtpmctl for what an operator runs.\n"
	"  --stubdom, --process  the host channel is a vchan, or file descriptor 3\n"
	"  --user UID:GID  whom the process becomes, as numbers, once all is open\n"
	"  --no-xen     serve no guest (for tests)\n"
	"  --state DIR  a TPM for tests, alone: state and key lie in DIR\n"
	"  --tpm WHICH  the version that it is: 2.0, unless told otherwise, or 1.2\n"
	"  --unix PATH  take TPM commands on this socket; with --state swtpm's control\n"
	"               channel is at PATH.ctrl\n"
	"  --tcp PORT   the same on 127.0.0.1:PORT, and PORT + 1\n"
	"  --ctrl, --server SOCKET  control channel and TPM commands, as swtpm has them:\n"
	"               type=unixio,path=PATH, type=tcp,port=N, fd=N, clientfd=N\n"
	"  --flags LIST  not-need-init, startup-clear, startup-state\n"
	"  --terminate  end when a client of TPM commands has gone\n"
	"  --daemon     go to the background once the sockets listen\n"
	"  --log FILE   what a daemon says; in the system's log otherwise\n"
	"  --pid FILE   write the process id there\n"
	"  --swtpm FILE, --key KEY, --migration-key KEY  swtpm's state, and what opens it\n";

enum place { NONE, STUBDOM, PROCESS, ALONE };

struct options {
	enum place place;
	bool several; /* places were named */
	bool import;
	bool flags;			 /* --flags were given */
	const char *swtpm;		 /* what to import */
	const char *key, *migration_key; /* --key, --migration-key */
	const char *unix_path;		 /* --unix */
	unsigned long port;		 /* --tcp; 0: none */
	struct stateblob_keys keys;
	struct vtpm_place vtpm;
	struct alone_place alone;
	struct error why; /* an option was refused, and why */
};

static void name_place(struct options *o, enum place place)
{
	if (o->place != NONE)
		o->several = true;
	o->place = place;
}

/* Only ports with a successor, where the control channel is. */
static bool take_port(const char *text, struct options *o)
{
	if (!sockspec_number("--tcp", text, 1, 65534, &o->port, NULL))
		return true;
	error_set(
		&o->why, -EINVAL, CAUSE_NOT_CONFIGURED,
		"--tcp %.40s: name a port from 1 to 65534: the control channel is at the "
		"next one; --server and --ctrl name each",
		text);
	return false;
}

static bool take_version_option(const char *text, enum engine_version *version)
{
	*version = strcmp(text, "1.2") ? ENGINE_TPM_20 : ENGINE_TPM_12;
	return !strcmp(text, "1.2") || !strcmp(text, "2.0");
}

static bool take_flags(const char *text, struct options *o)
{
	static const char *const words[] = {"not-need-init", "startup-clear",
					    "startup-state", "startup-none"};
	size_t n, i;

	o->flags = true;
	for (; *text; text += n + (text[n] == ',')) {
		n = strcspn(text, ",");
		for (i = 0; i < ARRAY_SIZE(words); i++)
			if (strlen(words[i]) == n && !strncmp(text, words[i], n))
				break;
		if (i == ARRAY_SIZE(words)) {
			error_set(&o->why, -EINVAL, CAUSE_NOT_CONFIGURED,
				  "--flags %.60s is not known: not-need-init, "
				  "startup-clear, startup-state",
				  text);
			return false;
		}
		if (i == 1 || i == 2)
			o->alone.startup =
				i == 1 ? ALONE_STARTUP_CLEAR : ALONE_STARTUP_STATE;
	}
	return true;
}

/* --unix and --tcp name both sockets. */
static bool name_sockets(struct options *o)
{
	struct sockspec *server = &o->alone.server, *control = &o->alone.control;

	if (o->unix_path && strlen(o->unix_path) + 5 >= sizeof(server->path)) {
		error_set(&o->why, -EINVAL, CAUSE_NOT_CONFIGURED,
			  "--unix: with .ctrl it is longer than a socket's path can be, "
			  "%zu bytes: name a shorter one",
			  sizeof(server->path) - 1);
		return false;
	}
	if (!o->unix_path && !o->port)
		return control->kind != SOCKSPEC_NONE || server->kind != SOCKSPEC_NONE;
	if (!o->unix_path == !o->port || control->kind != SOCKSPEC_NONE ||
	    server->kind != SOCKSPEC_NONE)
		return false;
	server->kind = control->kind = o->port ? SOCKSPEC_TCP : SOCKSPEC_UNIX;
	server->port = (uint16_t)o->port;
	control->port = (uint16_t)(o->port + 1);
	if (o->unix_path) {
		strcpy(server->path, o->unix_path);
		strcat(strcpy(control->path, o->unix_path), ".ctrl");
	}
	return true;
}

static bool fits_alone(struct options *o)
{
	struct alone_place *a = &o->alone;

	if (o->vtpm.no_xen || o->vtpm.user.uid || !a->state)
		return false;
	if (o->import)
		return o->swtpm && !o->unix_path && !o->port && !a->daemon && !a->pid &&
		       a->control.kind == SOCKSPEC_NONE &&
		       a->server.kind == SOCKSPEC_NONE;
	a->need_init = a->control.kind != SOCKSPEC_NONE && !o->flags;
	return !o->swtpm && !o->key && !o->migration_key && name_sockets(o);
}

static bool fits(struct options *o)
{
	const struct alone_place *a = &o->alone;

	if (o->place == NONE || o->several)
		return false;
	if (o->place == ALONE)
		return fits_alone(o);
	if (o->import || a->daemon || a->pid || a->log || o->port || o->flags ||
	    a->terminate || a->control.kind != SOCKSPEC_NONE ||
	    a->server.kind != SOCKSPEC_NONE || a->version != ENGINE_TPM_20)
		return false;
	return o->place == PROCESS
		       ? o->vtpm.user.uid && (o->vtpm.no_xen || !o->unix_path)
		       : !o->vtpm.user.uid && !o->vtpm.no_xen && !o->unix_path;
}

/* false: it does not fit. */
static bool take_option(int c, struct options *o)
{
	switch (c) {
	case 's':
		name_place(o, STUBDOM);
		return true;
	case 'p':
		name_place(o, PROCESS);
		return true;
	case 'S':
		name_place(o, ALONE);
		o->alone.state = optarg;
		return true;
	case 'n':
		return o->vtpm.no_xen = true;
	case 'u':
		o->unix_path = optarg;
		return true;
	case 'U':
		return depriv_parse(optarg, &o->vtpm.user);
	case 't':
		return take_port(optarg, o);
	case 'c':
		return !sockspec_parse("--ctrl", optarg, &o->alone.control, &o->why);
	case 'v':
		return !sockspec_parse("--server", optarg, &o->alone.server, &o->why);
	case 'f':
		return take_flags(optarg, o);
	case 'e':
		return o->alone.terminate = true;
	case 'd':
		return o->alone.daemon = true;
	case 'l':
		o->alone.log = optarg;
		return true;
	case 'P':
		o->alone.pid = optarg;
		return true;
	case 'T':
		return take_version_option(optarg, &o->alone.version);
	case 'w':
		o->swtpm = optarg;
		return true;
	case 'k':
		o->key = optarg;
		return true;
	case 'm':
		o->migration_key = optarg;
		return true;
	default:
		return false;
	}
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{"stubdom", no_argument, NULL, 's'},
		{"process", no_argument, NULL, 'p'},
		{"no-xen", no_argument, NULL, 'n'},
		{"state", required_argument, NULL, 'S'},
		{"unix", required_argument, NULL, 'u'},
		{"tcp", required_argument, NULL, 't'},
		{"ctrl", required_argument, NULL, 'c'},
		{"server", required_argument, NULL, 'v'},
		{"flags", required_argument, NULL, 'f'},
		{"terminate", no_argument, NULL, 'e'},
		{"user", required_argument, NULL, 'U'},
		{"daemon", no_argument, NULL, 'd'},
		{"log", required_argument, NULL, 'l'},
		{"pid", required_argument, NULL, 'P'},
		{"tpm", required_argument, NULL, 'T'},
		{"swtpm", required_argument, NULL, 'w'},
		{"key", required_argument, NULL, 'k'},
		{"migration-key", required_argument, NULL, 'm'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	bool ok = true;
	int c;

	if (argc > 1 && !strcmp(argv[1], "import")) {
		o->import = true;
		optind = 2;
	}
	while (ok && (c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			return 1;
		ok = take_option(c, o);
	}
	o->vtpm.stubdom = o->place == STUBDOM;
	o->vtpm.unix_path = o->unix_path;
	return ok && optind == argc && fits(o) ? 0 : -EINVAL;
}

/* What a key file says may have to be hashed. */
static int parse_keys(struct options *o)
{
	int rc = 0;

	if (o->key)
		rc = swtpmkey_parse("--key", o->key, &o->keys.file, &o->why);
	if (!rc && o->migration_key)
		rc = swtpmkey_parse("--migration-key", o->migration_key,
				    &o->keys.migration, &o->why);
	return rc;
}

static int run_place(const struct options *o, struct error *e)
{
	if (o->import)
		return alone_import(&o->alone, o->swtpm, &o->keys, e);
	return o->place == ALONE ? alone_run(&o->alone, e) : vtpm_run(&o->vtpm, e);
}

/* As crypt_init().  OpenSSL has a table of names from before it had providers, of all ciphers and
 * digests, which it fills at its first use and takes over into that of its providers' names, which
 * has them already: a third of its start.  What still looks there is what verifies a signature of a
 * certificate, for the digest. */
static const char *begin_crypt(void)
{
	const EVP_MD *const digests[] = {EVP_sha1(),	 EVP_sha224(),	EVP_sha256(),
					 EVP_sha384(),	 EVP_sha512(),	EVP_sha3_256(),
					 EVP_sha3_384(), EVP_sha3_512()};

	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG |
					OPENSSL_INIT_NO_ADD_ALL_CIPHERS |
					OPENSSL_INIT_NO_ADD_ALL_DIGESTS,
				NULL) != 1)
		return "everything";
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++)
		if (!EVP_add_digest(digests[i]))
			return "the names of digests";
	return crypt_init();
}

int main(int argc, char **argv)
{
	struct options o = {0};
	struct error e = {0};
	const char *lacks;
	int rc, offered = 0;

	/* A core file would have the keys in it.  The stub domain writes none. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	rc = parse_options(argc, argv, &o);
	if (!rc && o.place == STUBDOM)
		offered = vtpm_offer(&o.vtpm, &e);
	/* which takes longer than vtpmd needs to come and to answer */
	lacks = begin_crypt();
	if (!rc && !lacks)
		rc = parse_keys(&o);
	if (rc < 0 && o.why.text[0]) {
		fprintf(stderr, "vtpm-manager: %s\n", o.why.text);
		return 2;
	}
	if (rc) {
		fputs(usage, rc > 0 ? stdout : stderr);
		return rc > 0 ? 0 : 2;
	}
	if (lacks) {
		/* vtpmd hears of it by the end of the channel, and has this line */
		fprintf(stderr, "vtpm-manager: " CRYPT_LACKS " (crypto)\n", lacks);
		return 1;
	}
	rc = offered ? offered : run_place(&o, &e);
	OPENSSL_cleanse(&o.keys, sizeof(o.keys));
	if (!rc)
		return 0;
	fprintf(stderr, "vtpm-manager: %s (%s)\n",
		e.text[0] ? e.text : "failed without a reason", error_word(e.cause));
	return 1;
}
