/* SPDX-License-Identifier: Apache-2.0 */
/* The vTPM manager: one static program for a stub domain and for a process. */
#include "vtpm.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
	"usage: vtpm-manager --stubdom\n"
	"       vtpm-manager --process [--no-xen [--unix PATH]]\n"
	"vtpmd starts it; see vtpmctl for what an operator runs.\n"
	"  --stubdom    in a stub domain: the host channel is a vchan\n"
	"  --process    as a process: the host channel is file descriptor 3\n"
	"  --no-xen     serve no guest (for tests)\n"
	"  --unix PATH  with --no-xen: take raw TPM commands on this socket\n";

static int parse(int argc, char **argv, struct vtpm_place *place)
{
	static const struct option options[] = {
		{"stubdom", no_argument, NULL, 's'},
		{"process", no_argument, NULL, 'p'},
		{"no-xen", no_argument, NULL, 'n'},
		{"unix", required_argument, NULL, 'u'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	bool process = false;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 's')
			place->stubdom = true;
		else if (c == 'p')
			process = true;
		else if (c == 'n')
			place->no_xen = true;
		else if (c == 'u')
			place->unix_path = optarg;
		else
			return c == 'h' ? 1 : -EINVAL;
	}
	if (optind != argc || place->stubdom == process ||
	    (place->stubdom && place->no_xen) || (place->unix_path && !place->no_xen))
		return -EINVAL;
	return 0;
}

int main(int argc, char **argv)
{
	struct vtpm_place place = {0};
	struct error e = {0};
	int rc = parse(argc, argv, &place);

	if (rc) {
		fputs(usage, rc > 0 ? stdout : stderr);
		return rc > 0 ? 0 : 2;
	}
	rc = vtpm_run(&place, &e);
	if (!rc)
		return 0;
	fprintf(stderr, "vtpm-manager: %s (%s)\n",
		e.text[0] ? e.text : "failed without a reason", error_word(e.cause));
	return 1;
}
