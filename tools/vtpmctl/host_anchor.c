/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl host anchor: the TPM's part of what vtpmd does against rollback, and the
 * operator's word when the store is older than it is to be. */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/tpmanchor.h"
#include "lib/hex.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct anchor {
	const char *tcti, *config, *socket, *set, *from, *accept;
	bool get, init, yes, json;

	struct hostconf conf;
	struct tpm tpm;
	uint8_t value[TPMANCHOR_SIZE];
};

#define TEXT(field, NAME, VALUE, HELP)                                                 \
	{                                                                              \
		.name = NAME, .kind = ARGS_TEXT,                                       \
		.offset = offsetof(struct anchor, field), .value = VALUE, .help = HELP \
	}
#define FLAG(field, NAME, HELP)                                        \
	{                                                              \
		.name = NAME, .kind = ARGS_FLAG,                       \
		.offset = offsetof(struct anchor, field), .help = HELP \
	}

static const struct args_option options[] = {
	TEXT(accept, "accept", "NAME", "take this vTPM's state as it is in the store"),
	FLAG(init, "init", "make the anchor, of the whole store as it is"),
	FLAG(yes, "yes", "that an older state, or a strange one, is meant"),
	FLAG(get, "get", "print what is anchored: a SHA-256 (for vtpmd)"),
	TEXT(set, "set", "HEX", "anchor this (for vtpmd)"),
	TEXT(from, "from", "HEX", "unless something else is anchored (for vtpmd)"),
	FLAG(json, "json", "as a JSON object (for vtpmd)"),
	TEXT(tcti, "tcti", "TCTI", "the TPM, " TPM_TCTI),
	TEXT(config, "config", "FILE", HOSTCONF_PATH),
	CLIENT_SOCKET_OPTION(struct anchor),
};

static const struct args_command command = {
	.usage = "host anchor --accept NAME --yes | --init | --get | --set HEX",
	.about =
		"The TPM keeps a hash of all vTPMs' generations, so that an older state which\n"
		"was put back into the store is noticed.  --accept says that this one is meant.\n"
		"--init makes the anchor where there is none, or anew when it was lost.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static int usage(const char *what)
{
	fprintf(stderr, "vtpmctl: %s; `vtpmctl host anchor --help` says more\n", what);
	return VTPMCTL_USAGE;
}

static int open_tpm(struct anchor *a, struct error *e)
{
	int rc = tpm_open(&a->tpm, a->tcti, e);

	return rc ? rc : tpm_srk_pinned(&a->tpm, a->conf.srk_handle, a->conf.srk_name, e);
}

static int need_anchor(const struct anchor *a, struct error *e)
{
	if (a->conf.anchor_index)
		return 0;
	return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
			 "%s has no anchor: `vtpmctl host anchor --init` makes one",
			 a->config);
}

static bool is_zero(const uint8_t value[TPMANCHOR_SIZE])
{
	static const uint8_t zeroes[TPMANCHOR_SIZE];

	return !memcmp(value, zeroes, sizeof(zeroes));
}

static int take_hash(const char *hex, uint8_t out[TPMANCHOR_SIZE])
{
	size_t len = TPMANCHOR_SIZE;

	return hex_decode(hex, out, &len) || len != TPMANCHOR_SIZE ? -EINVAL : 0;
}

/* Replaces only what is known, so that a late writer undoes no newer one's work. */
static int set(struct anchor *a, struct error *e)
{
	uint8_t new[TPMANCHOR_SIZE], from[TPMANCHOR_SIZE];
	int rc;

	if (take_hash(a->set, new) || is_zero(new) ||
	    (a->from && take_hash(a->from, from)))
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "--set and --from take 64 digits of a hash");
	rc = tpmanchor_read(&a->tpm, &a->conf, a->value, e);
	if (!rc && a->from && memcmp(a->value, a->conf.anchor_adopt, sizeof(a->value)) &&
	    memcmp(a->value, from, sizeof(from)) && memcmp(a->value, new, sizeof(new)))
		rc = error_set(e, -ESTALE, CAUSE_ROLLED_BACK,
			       "something else was anchored in the host's TPM meanwhile: "
			       "does another vtpmd run here?");
	if (!rc)
		rc = tpmanchor_write(&a->tpm, &a->conf, new, e);
	return rc ? rc : tpmanchor_read(&a->tpm, &a->conf, a->value, e);
}

/* A one-time value: vtpmd takes the store as it finds it, and anchors that. */
static int init(struct anchor *a, struct error *e)
{
	bool made;
	int rc;

	if (a->conf.anchor_index && !a->yes)
		return error_set(
			e, -EEXIST, CAUSE_INTERNAL,
			"this host has an anchor; --init --yes makes it anew of what is in "
			"the store, be it older than what was anchored or not");
	rc = tpmanchor_make(&a->tpm, &a->conf, true, &made, e);
	a->conf.anchor_take_store = true;
	if (!rc)
		rc = hostconf_write(a->config, &a->conf, e);
	if (!rc)
		fprintf(stderr,
			"The NV index 0x%08x is ready: vtpmd anchors the store as it finds "
			"it, when it is\nrestarted, or when the next vTPM starts or stops\n",
			TPMANCHOR_INDEX);
	return rc;
}

static int with_tpm(struct anchor *a, struct error *e)
{
	int rc = hostconf_load(a->config, &a->conf, e);

	if (!rc && !a->init)
		rc = need_anchor(a, e);
	if (!rc)
		rc = open_tpm(a, e);
	if (!rc && a->init)
		rc = init(a, e);
	else if (!rc && a->set)
		rc = set(a, e);
	else if (!rc)
		rc = tpmanchor_read(&a->tpm, &a->conf, a->value, e);
	tpm_close(&a->tpm);
	hostconf_free(&a->conf);
	return rc;
}

static void print_json(const struct anchor *a, const struct error *e)
{
	char hex[2 * TPMANCHOR_SIZE + 1];
	json_t *all;

	hex_encode(a->value, sizeof(a->value), hex);
	if (e->cause)
		all = json_pack("{s:b, s:i, s:s}", "ok", 0, "cause", (int)e->cause,
				"error", e->text);
	else
		all = json_pack("{s:b, s:s}", "ok", 1, "value", hex);
	json_dumpf(all, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(all);
}

static void print_hex(const struct anchor *a)
{
	char hex[2 * TPMANCHOR_SIZE + 1];

	hex_encode(a->value, sizeof(a->value), hex);
	puts(hex);
}

static int accept_one(const struct anchor *a)
{
	json_t *reply;
	int status;

	if (!a->yes) {
		fprintf(stderr,
			"vtpmctl: nothing was changed: --accept NAME --yes puts the vTPM back to "
			"the state that is in the store: used passwords, NV counters, its "
			"lockout\n");
		return VTPMCTL_FAILED;
	}
	status = client_call(a->socket, client_request("accept", a->accept), &reply);
	json_decref(reply);
	return status;
}

int host_anchor_main(int argc, char **argv)
{
	struct anchor a = {
		.tcti = TPM_TCTI,
		.config = HOSTCONF_PATH,
		.socket = CLIENT_SOCKET,
	};
	enum args_result parsed = args_parse(&command, argc, argv, &a);
	struct error e = {0};
	int rc;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (!!a.accept + a.init + a.get + !!a.set != 1)
		return usage("one of --accept, --init, --get and --set is needed");
	if (a.accept)
		return accept_one(&a);
	rc = with_tpm(&a, &e);
	if (a.json)
		print_json(&a, &e);
	else if (!rc && !a.init)
		print_hex(&a);
	if (!rc)
		return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
	return vtpmctl_fail(&e);
}
