/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl host witness: asks another host of a pool, for vtpmd, what it has seen of vTPMs.  What
 * is asked and answered is vtpmd's (lib/witness.h): here it is carried. */
#include "lib/text.h"
#include "lib/witness.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/peerlink.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct witness {
	const char *config, *tcti, *peer, *address, *ask;
	bool json;
};

#define TEXT(field, NAME, VALUE, HELP)                                                  \
	{                                                                               \
		.name = NAME, .kind = ARGS_TEXT,                                        \
		.offset = offsetof(struct witness, field), .value = VALUE, .help = HELP \
	}

static const struct args_option options[] = {
	TEXT(peer, "peer", "NAME", "the other host"),
	TEXT(address, "address", "HOST:PORT", "where it is"),
	TEXT(ask, "ask", "HEX", "what it is asked"),
	OPTION_FLAG("json", struct witness, json, "when it fails, say so in JSON"),
	TEXT(tcti, "tcti", "TCTI", "not used"),
	TEXT(config, "config", "FILE", HOSTCONF_PATH),
};

static const struct args_command command = {
	.usage = "host witness --peer NAME --address HOST:PORT --ask HEX [OPTIONS]",
	.about =
		"Asks another host of the pool what it has seen of vTPMs, for vtpmd, with this\n"
		"host's certificate for other hosts: peer-cert.pem beside host.json.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

/* The files beside host.json. */
struct beside {
	char ca[PATH_MAX], cert[PATH_MAX], key[PATH_MAX];
};

static int find_keys(const struct witness *w, struct beside *b, struct peerlink_keys *k,
		     struct error *e)
{
	if (file_beside(w->config, "peer-ca.pem", b->ca, sizeof(b->ca)) ||
	    file_beside(w->config, "peer-cert.pem", b->cert, sizeof(b->cert)) ||
	    file_beside(w->config, "peer-key.pem", b->key, sizeof(b->key)))
		return error_set(e, -ENAMETOOLONG, CAUSE_INTERNAL, "%s is too long",
				 w->config);
	*k = (struct peerlink_keys){b->ca, b->cert, b->key};
	return 0;
}

/* One question, which is one message, and one answer: *messages is a new array. */
static int exchange(const struct witness *w, const struct peerlink_keys *k,
		    json_t **messages, struct error *e)
{
	json_t *question = json_pack("[s]", w->ask);
	struct peerlink *link = NULL;
	int rc = question ? 0 : error_set(e, -EINVAL, CAUSE_INTERNAL, "--ask is no text");

	if (!rc)
		rc = peerlink_connect(k, w->address, w->peer, &link, e);
	if (!rc)
		rc = peerlink_send(link, question, e);
	if (!rc)
		rc = peerlink_recv(link, messages, e);
	peerlink_close(link);
	json_decref(question);
	return rc;
}

static void print_answer(const json_t *messages, const struct error *e)
{
	const json_t *answer = json_array_get(messages, 0);
	char text[sizeof(e->text) + 16];
	json_t *all;

	snprintf(text, sizeof(text), "no answer: %s", e->text);
	if (e->cause)
		all = json_pack("{s:b, s:i, s:s}", "ok", 0, "cause", (int)e->cause,
				"error", text);
	else
		all = json_pack("{s:O}", "answer", answer);
	json_dumpf(all, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(all);
}

int host_witness_main(int argc, char **argv)
{
	struct witness w = {.config = HOSTCONF_PATH};
	struct error e = {.cause = CAUSE_NONE};
	json_t *messages = NULL;
	struct peerlink_keys k;
	static struct beside b;
	int rc;

	args_parse_or_exit(&command, argc, argv, &w);
	if (!w.peer || !w.address || !w.ask) {
		fprintf(stderr, "vtpmctl: --peer, --address and --ask are needed\n");
		return VTPMCTL_USAGE;
	}
	rc = find_keys(&w, &b, &k, &e);
	if (!rc)
		rc = exchange(&w, &k, &messages, &e);
	if (!rc && json_array_size(messages) != 1)
		rc = error_set(&e, -EBADMSG, CAUSE_PEER,
			       "%s does not answer what it has seen: install one release "
			       "on all hosts",
			       w.peer);
	if (!rc || w.json)
		print_answer(messages, &e);
	json_decref(messages);
	if (!rc)
		return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
	return vtpmctl_fail(&e);
}
