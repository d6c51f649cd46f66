/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl host renew: another certificate and key for the KMS, another CA, other
 * addresses, another key in the KMS, or another KMS; another recovery key, which needs
 * neither TPM nor KMS.  What is sealed for vTPMs stays as it is, approvals too, and the policy
 * key is not needed: its public part in host.json is what the new key is sealed under.
 * Everything is tried before host.json is replaced; vtpmd reloads last.
 */
#include "tools/vtpmctl/vtpmctl.h"
#include "include/compiler.h"
#include "lib/vault.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/kmskey.h"
#include "tools/vtpmctl/kmsurl.h"
#include "tools/vtpmctl/tpm.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct renew {
	const char *kms, *kms_ca, *kms_cert, *kms_key, *kms_key_id, *kms_token;
	const char *recovery_key, *tcti, *config, *socket;

	char addresses[ADDRESS_LIST];
	char vault_key[128]; /* as kms_key_id, of vault:// */
	struct kmskey identity;
	struct kms_token token;
	struct hostconf conf;
	struct tpm tpm;
};

#define HOST_RENEW_TEXT(field, NAME, VALUE, HELP)                                     \
	{                                                                             \
		.name = NAME, .kind = ARGS_TEXT,                                      \
		.offset = offsetof(struct renew, field), .value = VALUE, .help = HELP \
	}

static const struct args_option host_renew_options[] = {
	HOST_RENEW_TEXT(kms_cert, "kms-cert", "FILE", "PEM: this host's new certificate"),
	HOST_RENEW_TEXT(kms_key, "kms-key", "FILE",
			"PEM: the new certificate's private key"),
	HOST_RENEW_TEXT(kms_ca, "kms-ca", "FILE", "PEM: who signs the KMS's certificate"),
	HOST_RENEW_TEXT(kms, "kms", "kmip://HOST:PORT",
			"the KMS; or vault://..., as for `host init`"),
	HOST_RENEW_TEXT(kms_token, "kms-token", "FILE",
			"Vault: a token, in place of these two"),
	HOST_RENEW_TEXT(kms_key_id, "kms-key-id", "ID", "of the AES-256 key in the KMS"),
	HOST_RENEW_TEXT(recovery_key, "recovery-key", "FILE",
			"PEM: a public key, for `vtpmctl recover`"),
	HOST_RENEW_TEXT(tcti, "tcti", "TCTI", "the TPM, " TPM_TCTI),
	HOST_RENEW_TEXT(config, "config", "FILE", HOSTCONF_PATH),
	CLIENT_SOCKET_OPTION(struct renew),
};

static const struct args_command host_renew_command = {
	.usage = "host renew [--kms-cert FILE --kms-key FILE] [OPTIONS]",
	.about =
		"Replaces this host's certificate and key for the KMS, its CA, its addresses, the\n"
		"key in it, all of them for another KMS, or the recovery key, and leaves the rest\n"
		"as `host init` made it.  vTPMs run on; the next one that is opened or sealed\n"
		"anew uses what is new.\n",
	.options = host_renew_options,
	.option_count = ARRAY_SIZE(host_renew_options),
};

static bool asks_kms(const struct renew *r)
{
	return r->kms || r->kms_ca || r->kms_cert || r->kms_key || r->kms_key_id ||
	       r->kms_token;
}

static const char *check_url(struct renew *r)
{
	if (strncmp(r->kms, KMSURL_VAULT, strlen(KMSURL_VAULT)))
		return kmsurl_parse_list(r->kms, r->addresses)
			       ? "--kms takes kmip://HOST:PORT, or "
				 "kmip://HOST:PORT,HOST:PORT with at most 4 of them"
			       : NULL;
	if (kmsurl_parse_vault(r->kms, r->addresses, r->vault_key, sizeof(r->vault_key)))
		return "--kms takes vault://HOST:PORT/MOUNT/keys/NAME, as "
		       "vault://vault.example:8200/transit/keys/web, with at most 4 "
		       "HOST:PORT";
	if (r->kms_key_id)
		return "--kms-key-id is for KMIP: the path of vault:// names the key";
	r->kms_key_id = r->vault_key;
	return NULL;
}

static int host_renew_check_usage(struct renew *r)
{
	const char *wrong = NULL;

	if (!asks_kms(r) && !r->recovery_key)
		wrong = "nothing is to be renewed: give --kms-cert and --kms-key, "
			"--kms-token, --kms-ca, --kms, --kms-key-id or --recovery-key";
	else if (r->kms_key_id && strlen(r->kms_key_id) > 127)
		wrong = "--kms-key-id takes at most 127 bytes";
	else if (!r->kms_cert != !r->kms_key)
		wrong = "--kms-cert and --kms-key belong together";
	else if (r->kms_token && r->kms_key)
		wrong = "--kms-token and --kms-cert, --kms-key exclude each other";
	else if (r->kms)
		wrong = check_url(r);
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

	if (!r->kms_key && !r->kms_token)
		return 0;
	fprintf(stderr, "Sealing this host's new %s to the TPM\n",
		r->kms_token ? "token for the KMS" : "KMS key");
	rc = kmskey_seal(&r->identity, h, &r->tpm, &sealed, &len, e);
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

/* A token is for Vault's key, and for no other KMS. */
static int check_kind(const struct renew *r, struct error *e)
{
	const struct hostconf *h = &r->conf;
	bool is_vault = vault_is_key_id(h->kms_key_id);

	if (r->kms_token && !is_vault)
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"--kms-token is for --kms vault://..., and this host's KMS "
			"speaks KMIP");
	if (!is_vault && !h->kms_cert)
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"this host has a token of Vault's: a KMS that speaks KMIP "
			"takes --kms-cert and --kms-key");
	if (is_vault && h->kms_get)
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"this host was set up with --kms-mode get, which Vault's "
			"Transit engine has not: see `vtpmctl host init`");
	return 0;
}

static int take_kms(struct renew *r, struct error *e)
{
	struct hostconf *h = &r->conf;
	int rc = r->kms_token
			 ? kmskey_load_token(&r->identity, r->kms_ca, r->kms_token, e)
			 : kmskey_load(&r->identity, r->kms_ca, r->kms_cert, r->kms_key,
				       e);

	if (rc)
		return rc;
	if (replace(&h->kms_ca, r->identity.ca_pem) ||
	    replace(&h->kms_cert, r->identity.cert_pem) ||
	    replace(&h->kms_address, r->kms ? r->addresses : NULL) ||
	    replace(&h->kms_key_id, r->kms_key_id))
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	if (r->kms_token) {
		free(h->kms_cert);
		h->kms_cert = NULL;
	}
	return check_kind(r, e);
}

static int load_host(struct renew *r, struct error *e)
{
	int rc = hostfile_load(r->config, &r->conf, e);

	if (!rc)
		rc = hostfile_recovery_key(r->recovery_key, &r->conf, e);
	if (rc || !asks_kms(r))
		return rc;
	if (!r->conf.has_kms && !(r->kms && r->kms_ca && r->kms_key_id &&
				  (r->kms_token || (r->kms_cert && r->kms_key))))
		return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
				 "this host was set up without a KMS: give it one with "
				 "all of --kms, --kms-ca, --kms-cert, --kms-key and "
				 "--kms-key-id");
	r->conf.has_kms = true;
	return take_kms(r, e);
}

static int renew_kms(struct renew *r, struct error *e)
{
	int rc = find_tpm(r, e);

	if (!rc)
		rc = seal_key(r, e);
	if (rc)
		return rc;
	fprintf(stderr, "Trying the KMS at %s with key %s as a vTPM will\n",
		r->conf.kms_address, r->conf.kms_key_id);
	return kmskey_try_sealed(&r->conf, &r->tpm, NULL, &r->token, e);
}

static int renew(struct renew *r, struct error *e)
{
	int rc = load_host(r, e);

	if (!rc && asks_kms(r))
		rc = renew_kms(r, e);
	if (rc)
		return rc;
	rc = hostfile_keep(r->config, e);
	return rc ? rc : hostfile_write(r->config, &r->conf, e);
}

/* What is sealed already opens with what it was sealed with. */
static void tell_rekey(const struct renew *r)
{
	if (r->recovery_key)
		fprintf(stderr,
			"Each vTPM gets its slot for the recovery key when it "
			"starts next, and one that runs now with `vtpmctl rekey`.\n");
	if (!r->kms_key_id && !r->kms)
		return;
	fprintf(stderr,
		"What was sealed before needs the key of before, in the KMS of before: leave "
		"both active until\n`vtpmctl rekey --all --old %s.prev` has done every vTPM.\n",
		r->config);
}

/* vtpmd notices a new host.json at each start; a reload also tries again at once what
 * failed with what was configured before. */
static int tell_vtpmd(const struct renew *r)
{
	const char *secret;
	json_t *reply;
	int status = client_call(r->socket, client_request("reload", NULL), &reply);

	json_decref(reply);
	if (!status) {
		fprintf(stderr, "vtpmd has taken it over; vTPMs that run go on.\n");
		if (r->conf.has_kms && !r->conf.kms_cert)
			kmskey_tell(r->socket, &r->token);
	} else if (status == VTPMCTL_NO_VTPMD) {
		fprintf(stderr, "%s is written; vtpmd will read it when it runs.\n",
			r->config);
		status = VTPMCTL_OK;
	}
	secret = r->kms_token ? r->kms_token : r->kms_key;
	if (!status && secret)
		fprintf(stderr,
			"Keep a copy of %s offline and remove it here (`shred -u %s`).\n",
			secret, secret);
	if (!status)
		tell_rekey(r);
	return status;
}

int host_renew_main(int argc, char **argv)
{
	struct renew r = {
		.tcti = TPM_TCTI,
		.config = HOSTCONF_PATH,
		.socket = CLIENT_SOCKET,
	};
	struct error e = {0};
	int rc;

	args_parse_or_exit(&host_renew_command, argc, argv, &r);
	if (host_renew_check_usage(&r))
		return VTPMCTL_USAGE;
	rc = renew(&r, &e);
	tpm_close(&r.tpm);
	kmskey_free(&r.identity);
	rc = rc ? vtpmctl_fail(&e) : tell_vtpmd(&r);
	hostconf_free(&r.conf);
	return rc;
}
