/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl host renew: another certificate and key for the KMS, another CA, other
 * addresses.  What is sealed for vTPMs stays as it is, approvals too, and the policy
 * key is not needed: its public part in host.json is what the new key is sealed under.
 * Everything is tried before host.json is replaced; vtpmd is told last.
 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/kmsseal.h"
#include "tools/vtpmctl/kmstry.h"
#include "tools/vtpmctl/kmsurl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct renew {
	const char *kms, *kms_ca, *kms_cert, *kms_key;
	const char *tcti, *config, *socket;

	char addresses[ADDRESS_LIST];
	struct kmskey identity;
	struct hostconf conf;
	struct tpm tpm;
};

#define TEXT(field, NAME, VALUE, HELP)                                                \
	{                                                                             \
		.name = NAME, .kind = ARGS_TEXT,                                      \
		.offset = offsetof(struct renew, field), .value = VALUE, .help = HELP \
	}

static const struct args_option options[] = {
	TEXT(kms_cert, "kms-cert", "FILE", "PEM: this host's new certificate"),
	TEXT(kms_key, "kms-key", "FILE", "PEM: the new certificate's private key"),
	TEXT(kms_ca, "kms-ca", "FILE", "PEM: who signs the KMS's certificate"),
	TEXT(kms, "kms", "kmip://HOST:PORT", "the KMS; more after it: ,HOST:PORT"),
	TEXT(tcti, "tcti", "TCTI", "the TPM, " TPM_TCTI),
	TEXT(config, "config", "FILE", HOSTCONF_PATH),
	CLIENT_SOCKET_OPTION(struct renew),
};

static const struct args_command command = {
	.usage = "host renew [--kms-cert FILE --kms-key FILE] [OPTIONS]",
	.about =
		"Replaces this host's certificate and key for the KMS, its CA or its addresses,\n"
		"and leaves the rest as `host init` made it.  vTPMs run on; the next one that is\n"
		"opened or sealed anew uses what is new.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static int check_usage(struct renew *r)
{
	const char *wrong = NULL;

	if (!r->kms && !r->kms_ca && !r->kms_cert && !r->kms_key)
		wrong = "nothing is to be renewed: give --kms-cert and --kms-key, --kms-ca "
			"or --kms";
	else if (!r->kms_cert != !r->kms_key)
		wrong = "--kms-cert and --kms-key belong together";
	else if (r->kms && kmsurl_parse_list(r->kms, r->addresses))
		wrong = "--kms takes kmip://HOST:PORT, or kmip://HOST:PORT,HOST:PORT with at "
			"most 4 of them";
	if (!wrong)
		return 0;
	fprintf(stderr, "vtpmctl: %s; `vtpmctl host renew --help` lists the options\n",
		wrong);
	return -EINVAL;
}

static int replace(char **old, const char *new)
{
	if (!new)
		return 0;
	free(*old);
	*old = strdup(new);
	return *old ? 0 : -ENOMEM;
}

static int seal_key(struct renew *r, struct error *e)
{
	struct hostconf *h = &r->conf;
	uint8_t *sealed;
	size_t len;
	int rc;

	if (!r->kms_key)
		return 0;
	fprintf(stderr, "Sealing this host's new KMS key to the TPM\n");
	rc = kmsseal(&r->tpm, h, NULL, &r->identity, &sealed, &len, e);
	if (rc)
		return rc;
	free(h->kms_key_sealed);
	h->kms_key_sealed = sealed;
	h->kms_key_sealed_len = len;
	return 0;
}

static int find_tpm(struct renew *r, struct error *e)
{
	int rc = tpm_open(&r->tpm, r->tcti, e);

	return rc ? rc : tpm_srk_pinned(&r->tpm, r->conf.srk_handle, r->conf.srk_name, e);
}

static int load(struct renew *r, struct error *e)
{
	int rc = hostconf_load(r->config, &r->conf, e);

	if (!rc && !r->conf.has_kms)
		rc = error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
			       "this host was set up without a KMS: `vtpmctl host init "
			       "--force --kms kmip://HOST:PORT ...`");
	if (!rc)
		rc = kmskey_load(&r->identity, r->kms_ca, r->kms_cert, r->kms_key, e);
	if (!rc && (replace(&r->conf.kms_ca, r->identity.ca_pem) ||
		    replace(&r->conf.kms_cert, r->identity.cert_pem) ||
		    replace(&r->conf.kms_address, r->kms ? r->addresses : NULL)))
		rc = error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	return rc;
}

static int renew(struct renew *r, struct error *e)
{
	int rc = load(r, e);

	if (!rc)
		rc = find_tpm(r, e);
	if (!rc)
		rc = seal_key(r, e);
	if (rc)
		return rc;
	fprintf(stderr, "Trying the KMS at %s as a vTPM will\n", r->conf.kms_address);
	rc = kmstry_sealed(&r->conf, &r->tpm, NULL, e);
	if (rc)
		return rc;
	hostconf_keep(r->config);
	return hostconf_write(r->config, &r->conf, e);
}

/* vtpmd reads host.json for each start anyway; told, it also tries again at once what
 * failed with what was configured before. */
static int tell_vtpmd(const struct renew *r)
{
	json_t *reply;
	int status = client_call(r->socket, client_request("reload", NULL), &reply);

	json_decref(reply);
	if (!status) {
		fprintf(stderr, "vtpmd has taken it over; vTPMs that run go on.\n");
	} else if (status == VTPMCTL_NO_VTPMD) {
		fprintf(stderr, "%s is written; vtpmd will read it when it runs.\n",
			r->config);
		status = VTPMCTL_OK;
	}
	if (!status && r->kms_key)
		fprintf(stderr,
			"Keep a copy of %s offline and remove it here (`shred -u %s`).\n",
			r->kms_key, r->kms_key);
	return status;
}

int host_renew_main(int argc, char **argv)
{
	struct renew r = {
		.tcti = TPM_TCTI,
		.config = HOSTCONF_PATH,
		.socket = CLIENT_SOCKET,
	};
	enum args_result parsed = args_parse(&command, argc, argv, &r);
	struct error e = {0};
	int rc;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (check_usage(&r))
		return VTPMCTL_USAGE;
	rc = renew(&r, &e);
	tpm_close(&r.tpm);
	kmskey_free(&r.identity);
	hostconf_free(&r.conf);
	return rc ? vtpmctl_fail(&e) : tell_vtpmd(&r);
}
