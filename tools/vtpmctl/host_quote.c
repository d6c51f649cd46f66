/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl host quote: the host's attestation key, and, for vtpmd, the host's half of a
 * deep quote. */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/tpmquote.h"
#include "lib/base64url.h"
#include "lib/ecdsa.h"
#include "lib/hex.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

struct quote {
	const char *tcti, *config, *qualify;
	bool init, json;

	struct hostconf conf;
	struct tpm tpm;
	struct tpmquote quote;
};

#define TEXT(field, NAME, VALUE, HELP)                                                \
	{                                                                             \
		.name = NAME, .kind = ARGS_TEXT,                                      \
		.offset = offsetof(struct quote, field), .value = VALUE, .help = HELP \
	}
#define FLAG(field, NAME, HELP)                                       \
	{                                                             \
		.name = NAME, .kind = ARGS_FLAG,                      \
		.offset = offsetof(struct quote, field), .help = HELP \
	}

static const struct args_option options[] = {
	FLAG(init, "init", "make the host's attestation key"),
	TEXT(qualify, "qualify", "HEX", "quote the PCRs, with this in it (for vtpmd)"),
	FLAG(json, "json", "when it fails, say so in JSON (for vtpmd)"),
	TEXT(tcti, "tcti", "TCTI", "the TPM, " TPM_TCTI),
	TEXT(config, "config", "FILE", HOSTCONF_PATH),
};

static const struct args_command command = {
	.usage = "host quote --init | --qualify HEX [OPTIONS]",
	.about =
		"--init makes the key that this host's TPM attests with, on hosts that were set\n"
		"up without; `vtpmctl host show` tells its Name, for the verifiers' policy.\n"
		"--qualify prints a quote of the host's boot state, as `vtpmctl attest` has it.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static int init(struct quote *q, struct error *e)
{
	bool made;
	int rc = tpmquote_make_key(&q->tpm, &q->conf, &made, e);

	if (!rc)
		rc = hostconf_write(q->config, &q->conf, e);
	if (!rc)
		fprintf(stderr, "The attestation key at 0x%08x %s\n", TPMQUOTE_HANDLE,
			made ? "was made" : "is in place");
	return rc;
}

static int with_tpm(struct quote *q, struct error *e)
{
	uint8_t extra[TPMQUOTE_EXTRA_MAX];
	size_t len = sizeof(extra);
	int rc = hostconf_load(q->config, &q->conf, e);

	if (!rc && q->qualify && hex_decode(q->qualify, extra, &len))
		rc = error_set(e, -EINVAL, CAUSE_INTERNAL,
			       "--qualify takes at most 128 hexadecimal digits");
	if (!rc)
		rc = tpm_open(&q->tpm, q->tcti, e);
	if (!rc)
		rc = tpm_srk_pinned(&q->tpm, q->conf.srk_handle, q->conf.srk_name, e);
	if (!rc)
		rc = q->init ? init(q, e)
			     : tpmquote(&q->tpm, &q->conf, extra, len, &q->quote, e);
	tpm_close(&q->tpm);
	return rc;
}

static json_t *encode(const uint8_t *bytes, size_t len)
{
	char text[BASE64URL_SIZE(sizeof(TPM2B_PUBLIC) + sizeof(TPM2B_ATTEST)) + 1];

	base64url_encode(bytes, len, text);
	return json_string(text);
}

static json_t *pcrs_json(const struct tpmquote *q)
{
	json_t *values = json_object();
	char key[4];
	int n;

	for (n = 0; n < APPROVAL_PCRS; n++) {
		snprintf(key, sizeof(key), "%d", n);
		if (q->pcrs & 1u << n)
			json_object_set_new(values, key,
					    encode(q->value[n], APPROVAL_HASH_SIZE));
	}
	return json_pack("{s:o}", "sha256", values);
}

static json_t *to_json(const struct tpmquote *q)
{
	uint8_t public[sizeof(TPM2B_PUBLIC)], signature[sizeof(TPMT_SIGNATURE)];
	uint8_t one_form[ECDSA_P256];
	size_t public_len = 0, signature_len = 0;

	if (Tss2_MU_TPMT_PUBLIC_Marshal(&q->public.publicArea, public, sizeof(public),
					&public_len) ||
	    Tss2_MU_TPMT_SIGNATURE_Marshal(&q->signature, signature, sizeof(signature),
					   &signature_len) ||
	    ecdsa_p256(signature, signature_len, one_form))
		return NULL;
	return json_pack("{s:o, s:o, s:o, s:o}", "ak", encode(public, public_len),
			 "quote", encode(q->quote.attestationData, q->quote.size),
			 "signature", encode(one_form, sizeof(one_form)), "pcrs",
			 pcrs_json(q));
}

static void print(const struct quote *q, const struct error *e)
{
	json_t *all;

	if (e->cause)
		all = json_pack("{s:b, s:i, s:s}", "ok", 0, "cause", (int)e->cause,
				"error", e->text);
	else
		all = to_json(&q->quote);
	json_dumpf(all, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(all);
}

int host_quote_main(int argc, char **argv)
{
	struct quote q = {.tcti = TPM_TCTI, .config = HOSTCONF_PATH};
	enum args_result parsed = args_parse(&command, argc, argv, &q);
	struct error e = {0};
	int rc;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (q.init + !!q.qualify != 1) {
		fprintf(stderr,
			"vtpmctl: one of --init and --qualify is needed; `vtpmctl "
			"host quote --help` says more\n");
		return VTPMCTL_USAGE;
	}
	rc = with_tpm(&q, &e);
	if (rc ? q.json : !q.init)
		print(&q, &e);
	hostconf_free(&q.conf);
	if (!rc)
		return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
	return vtpmctl_fail(&e);
}
