/* SPDX-License-Identifier: Apache-2.0 */
/* The vTPM manager: one static program for a stub domain and for a process. */
#include "alone.h"
#include "stubdom/manager/vtpm.h"
#include "lib/crypt.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static const char usage[] =
	"usage: vtpm-manager --stubdom\n"
	"       vtpm-manager --process [--no-xen [--unix PATH]] --user UID:GID\n"
	"       vtpm-manager --state DIR {--tcp PORT | --unix PATH} [--daemon]\n"
	"                    [--pid FILE] [--tpm 2.0|1.2]\n"
	"vtpmd starts the first two; see vtpmctl for what an operator runs.\n"
	"  --stubdom    in a stub domain: the host channel is a vchan\n"
	"  --process    as a process: the host channel is file descriptor 3\n"
	"  --user UID:GID  whom the process becomes, as numbers, once all is open\n"
	"  --no-xen     serve no guest (for tests)\n"
	"  --state DIR  a TPM for tests, alone: state and key lie in DIR\n"
	"  --tpm WHICH  the version that it is: 2.0, unless told otherwise, or 1.2\n"
	"  --unix PATH  take TPM commands on this socket; with --state swtpm's control\n"
	"               channel is at PATH.ctrl\n"
	"  --tcp PORT   the same on 127.0.0.1:PORT, and PORT + 1\n"
	"  --daemon     go to the background once the sockets listen\n"
	"  --pid FILE   write the process id there\n";

enum place { NONE, STUBDOM, PROCESS, ALONE };

struct options {
	enum place place;
	bool several; /* places were named */
	struct vtpm_place vtpm;
	struct alone_place alone;
};

static void name_place(struct options *o, enum place place)
{
	if (o->place != NONE)
		o->several = true;
	o->place = place;
}

/* Only ports with a successor. */
static bool take_port(const char *text, uint16_t *port)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	*port = (uint16_t)v;
	return *text >= '0' && *text <= '9' && !*end && v > 0 && v < 65535;
}

static bool take_version_option(const char *text, enum engine_version *version)
{
	*version = strcmp(text, "1.2") ? ENGINE_TPM_20 : ENGINE_TPM_12;
	return !strcmp(text, "1.2") || !strcmp(text, "2.0");
}

static bool fits(const struct options *o)
{
	const struct alone_place *a = &o->alone;

	if (o->place == NONE || o->several)
		return false;
	if (o->place == ALONE)
		return !o->vtpm.no_xen && !o->vtpm.user.uid && !a->unix_path != !a->port;
	if (a->daemon || a->pid || a->port || a->version != ENGINE_TPM_20)
		return false;
	return o->place == PROCESS
		       ? o->vtpm.user.uid && (o->vtpm.no_xen || !a->unix_path)
		       : !o->vtpm.user.uid && !o->vtpm.no_xen && !a->unix_path;
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
		{"user", required_argument, NULL, 'U'},
		{"daemon", no_argument, NULL, 'd'},
		{"pid", required_argument, NULL, 'P'},
		{"tpm", required_argument, NULL, 'T'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			name_place(o, STUBDOM);
			break;
		case 'p':
			name_place(o, PROCESS);
			break;
		case 'S':
			name_place(o, ALONE);
			o->alone.state = optarg;
			break;
		case 'n':
			o->vtpm.no_xen = true;
			break;
		case 'u':
			o->alone.unix_path = optarg;
			break;
		case 'U':
			ok = depriv_parse(optarg, &o->vtpm.user);
			break;
		case 't':
			ok = take_port(optarg, &o->alone.port);
			break;
		case 'd':
			o->alone.daemon = true;
			break;
		case 'P':
			o->alone.pid = optarg;
			break;
		case 'T':
			ok = take_version_option(optarg, &o->alone.version);
			break;
		case 'h':
			return 1;
		default:
			ok = false;
		}
	}
	o->vtpm.stubdom = o->place == STUBDOM;
	o->vtpm.unix_path = o->alone.unix_path;
	return ok && optind == argc && fits(o) ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	const char *lacks = crypt_init();
	struct error e = {0};
	int rc;

	/* A core file would have the keys in it.  The stub domain writes none. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	rc = parse_options(argc, argv, &o);
	if (rc) {
		fputs(usage, rc > 0 ? stdout : stderr);
		return rc > 0 ? 0 : 2;
	}
	if (lacks) {
		/* vtpmd hears of it by the end of the channel, and has this line */
		fprintf(stderr, "vtpm-manager: " CRYPT_LACKS " (crypto)\n", lacks);
		return 1;
	}
	rc = o.place == ALONE ? alone_run(&o.alone, &e) : vtpm_run(&o.vtpm, &e);
	if (!rc)
		return 0;
	fprintf(stderr, "vtpm-manager: %s (%s)\n",
		e.text[0] ? e.text : "failed without a reason", error_word(e.cause));
	return 1;
}
