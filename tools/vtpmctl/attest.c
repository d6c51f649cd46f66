/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl attest: evidence of a vTPM and its host, for vtpm-verify.  The guest has no
 * part in it, and vtpm-attest in the guest gets the same. */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/approval.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "lib/binding.h"
#include "lib/hex.h"

#include <stdio.h>
#include <string.h>

#define PCRS "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"

struct attest {
	const char *name, *nonce, *user, *pcrs, *output, *socket;
};

static const struct args_option options[] = {
	{.name = "nonce",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct attest, nonce),
	 .value = "HEX",
	 .help = "the verifier's random number, 16 to 64 bytes"},
	{.name = "user-data",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct attest, user),
	 .value = "HEX",
	 .help = "to be signed with it, 64 bytes at most"},
	{.name = "pcrs",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct attest, pcrs),
	 .value = "N,N,...",
	 .help = "that are quoted, in every bank; 0 to 15"},
	{.name = "output",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct attest, output),
	 .value = "FILE",
	 .help = "where to; else standard output",
	 .letter = 'o'},
	CLIENT_SOCKET_OPTION(struct attest),
};

static const struct args_command command = {
	.usage = "attest NAME --nonce HEX [OPTIONS]",
	.about =
		"Writes evidence: what the vTPM's PCRs are, that it is this vTPM, and that the\n"
		"stub domain that it runs in and the host are what they are, signed by both TPMs.\n"
		"`vtpm-verify`, somewhere else, tells whether it is to be believed.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct attest, name),
};

static int usage(const char *what)
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

int attest_main(int argc, char **argv)
{
	struct attest a = {.user = "", .pcrs = PCRS, .socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&command, argc, argv, &a);
	uint8_t nonce[BINDING_NONCE_MAX], user[BINDING_USER_MAX];
	size_t len = sizeof(nonce), user_len = sizeof(user);
	json_t *request, *reply;
	uint32_t pcrs;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (!a.nonce || hex_decode(a.nonce, nonce, &len) || len < BINDING_NONCE_MIN)
		return usage(
			"--nonce takes 32 to 128 hexadecimal digits, from the verifier");
	if (hex_decode(a.user, user, &user_len))
		return usage("--user-data takes at most 128 hexadecimal digits");
	if (approval_pcrs_parse(a.pcrs, &pcrs))
		return usage("--pcrs takes different numbers from 0 to 23");
	request = client_request("attest", a.name);
	if (request) {
		json_object_set_new(request, "nonce", json_string(a.nonce));
		json_object_set_new(request, "user", json_string(a.user));
		json_object_set_new(request, "pcrs", json_integer(pcrs));
	}
	status = client_call(a.socket, request, &reply);
	if (!status)
		status = write_out(&a,
				   json_string_value(json_object_get(reply, "evidence")));
	json_decref(reply);
	return status;
}
