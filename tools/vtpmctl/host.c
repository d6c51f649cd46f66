/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/vtpmctl.h"
#include "include/compiler.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/host_approve.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/kmskey.h"
#include "tools/vtpmctl/kmsurl.h"
#include "tools/vtpmctl/tpm.h"
#include "tools/vtpmctl/host_anchor.h"
#include "tools/vtpmctl/tpmnv.h"
#include "tools/vtpmctl/host_quote.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

static const struct vtpmctl_command commands[] = {
	{"init", "pin this host's TPM, approve its boot state, seal the KMS key",
	 host_init_main},
	{"renew", "replace the KMS's credentials, CA or addresses", host_renew_main},
	{"approve", "sign another boot state: after an update, or before it",
	 host_approve_main},
	{"predict", "before a reboot: the PCRs that come, and whether they are approved",
	 host_predict_main},
	{"anchor", "against rollback of the store: make it, accept an older state",
	 host_anchor_main},
	{"new-policy-key", "the policy key is lost: sign and seal all with another one",
	 host_newkey_main},
	{"quote", "the host's attestation key, and quotes with it", host_quote_main},
	{"witness", "what another host of the pool has seen, for vtpmd",
	 host_witness_main},
	{"show", "what was set up, and whether the boot state is approved",
	 host_show_main},
	{"remove", "take away what init and the use of it left, in TPM and files",
	 host_remove_main},
};

int host_main(int argc, char **argv)
{
	return group_main("host", commands, ARRAY_SIZE(commands), argc, argv);
}

/*
 * vtpmctl host init.  Everything is tried out first (the KMS with a wrapped and
 * unwrapped secret, the sealed key with an unseal), and host.json is written last:
 * a failure leaves the host as it was, but for a storage key, an attestation key and NV
 * indexes at their handles.
 */

#define PCRS_DEFAULT	"0,2,4,7"
#define POLICY_KEY_FILE "policy-key.pem"

struct init {
	const char *kms, *kms_ca, *kms_cert, *kms_key, *kms_key_id, *kms_mode;
	const char *kms_token;
	const char *pcrs, *policy_key, *recovery_key, *tcti, *config, *store;
	bool no_kms, force, new_tpm;

	uint32_t pcr_bits;
	char addresses[ADDRESS_LIST];
	char vault_key[128]; /* as kms_key_id, of vault:// */
	struct kmskey identity;
	struct tpm tpm;
	bool srk_made;
	EVP_PKEY *key;
	bool key_made;
	char key_path[PATH_MAX]; /* where the policy key is, or will be */
	struct hostconf conf;
	bool lost;	     /* it was set up before, and host.json is not there */
	struct hostconf old; /* what --force replaces; no srk_handle: nothing */
};

#define HOST_INIT_TEXT(field, NAME, VALUE, HELP)                                         \
	{                                                                                \
		.name = NAME, .kind = ARGS_TEXT, .offset = offsetof(struct init, field), \
		.value = VALUE, .help = HELP                                             \
	}
#define FLAG(field, NAME, HELP)                                                          \
	{                                                                                \
		.name = NAME, .kind = ARGS_FLAG, .offset = offsetof(struct init, field), \
		.help = HELP                                                             \
	}

static const char *const kms_modes[] = {"encrypt", "get", NULL};

static const struct args_option host_init_options[] = {
	HOST_INIT_TEXT(kms, "kms", "kmip://HOST:PORT",
		       "the KMS; or vault://HOST:PORT/transit/keys/NAME"),
	HOST_INIT_TEXT(kms_ca, "kms-ca", "FILE", "PEM: who signs the KMS's certificate"),
	HOST_INIT_TEXT(kms_cert, "kms-cert", "FILE",
		       "PEM: this host's certificate for it"),
	HOST_INIT_TEXT(kms_key, "kms-key", "FILE", "PEM: the certificate's private key"),
	HOST_INIT_TEXT(kms_key_id, "kms-key-id", "ID", "of the AES-256 key in the KMS"),
	HOST_INIT_TEXT(kms_token, "kms-token", "FILE",
		       "of Vault, in place of --kms-cert and --kms-key"),
	{.name = "kms-mode",
	 .kind = ARGS_CHOICE,
	 .offset = offsetof(struct init, kms_mode),
	 .value = "encrypt|get",
	 .choices = kms_modes,
	 .help = "get: a KMS that only gives keys out"},
	FLAG(no_kms, "no-kms", "go without: only --policy tpm works then"),
	HOST_INIT_TEXT(pcrs, "pcrs", "N,N,...",
		       "the boot state to approve, " PCRS_DEFAULT),
	HOST_INIT_TEXT(policy_key, "policy-key", "FILE",
		       "a P-256 key that signs approvals; else made"),
	HOST_INIT_TEXT(recovery_key, "recovery-key", "FILE",
		       "PEM: a public key, for `vtpmctl recover`"),
	HOST_INIT_TEXT(tcti, "tcti", "TCTI", "the TPM, " TPM_TCTI),
	HOST_INIT_TEXT(config, "config", "FILE", HOSTCONF_PATH),
	HOST_INIT_TEXT(store, "store", "DIR", VTPMCTL_STORE),
	FLAG(force, "force", "replace an existing configuration"),
	FLAG(new_tpm, "new-tpm", "with --force: pin another TPM than before"),
};

static const struct args_command host_init_command = {
	.usage = "host init --kms kmip://HOST:PORT --kms-ca FILE ... | --no-kms",
	.about =
		"Sets this host up, once: makes a storage key in the TPM and pins it, approves\n"
		"the present boot state, tries the KMS, and seals this host's KMS key to the\n"
		"TPM, so that it can be used here and in this state only.\n",
	.options = host_init_options,
	.option_count = ARRAY_SIZE(host_init_options),
};

static int host_usage(const char *what)
{
	fprintf(stderr, "vtpmctl: %s; `vtpmctl host init --help` lists the options\n",
		what);
	return -EINVAL;
}

/* Names those of the KMS's options that were left out. */
static int lacks_kms_options(const struct init *in)
{
	const struct {
		const char *name, *value;
	} all[] = {
		{"--kms", in->kms},
		{"--kms-ca", in->kms_ca},
		{"--kms-cert", in->kms_cert},
		{"--kms-key", in->kms_key},
		{"--kms-key-id", in->kms_key_id},
	};
	char text[160] = "";
	size_t i, n = 0;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (!all[i].value && (!in->kms_token || (i != 2 && i != 3)))
			n += (size_t)sprintf(text + n, "%s%s", n ? ", " : "",
					     all[i].name);
	strcpy(text + n, strchr(text, ',') ? " are missing" : " is missing");
	return host_usage(text);
}

static bool is_get(const struct init *in)
{
	return in->kms_mode && !strcmp(in->kms_mode, "get");
}

/* NULL: nothing is wrong.  The path of vault:// is the key's id. */
static const char *check_vault(struct init *in)
{
	if (!in->kms || strncmp(in->kms, KMSURL_VAULT, strlen(KMSURL_VAULT)))
		return in->kms_token ? "--kms-token is for --kms vault://..." : NULL;
	if (kmsurl_parse_vault(in->kms, in->addresses, in->vault_key,
			       sizeof(in->vault_key)))
		return "--kms takes vault://HOST:PORT/MOUNT/keys/NAME, as "
		       "vault://vault.example:8200/transit/keys/web, with "
		       "at most 4 HOST:PORT";
	if (in->kms_key_id)
		return "--kms-key-id is for KMIP: the path of vault:// names the key";
	if (is_get(in))
		return "--kms-mode get is for KMIP: Vault's Transit engine encrypts";
	if (in->kms_token && (in->kms_cert || in->kms_key))
		return "--kms-token and --kms-cert, --kms-key exclude each other";
	in->kms_key_id = in->vault_key;
	return NULL;
}

/* What the option table cannot say. */
static int host_init_check_usage(struct init *in)
{
	const char *wrong = check_vault(in);
	bool some = in->kms || in->kms_ca || in->kms_cert || in->kms_key ||
		    in->kms_key_id || in->kms_mode;
	bool all = in->kms && in->kms_ca && in->kms_key_id &&
		   (in->kms_token || (in->kms_cert && in->kms_key));

	if (wrong)
		return host_usage(wrong);
	if (in->no_kms && some)
		return host_usage(
			"--no-kms and the other --kms options exclude each other");
	if (some && !all)
		return lacks_kms_options(in);
	if (!in->no_kms && !all)
		return host_usage(
			"--kms, --kms-ca, --kms-cert, --kms-key and --kms-key-id are "
			"all needed, or --no-kms");
	if (in->kms && !in->vault_key[0] && kmsurl_parse_list(in->kms, in->addresses))
		return host_usage(
			"--kms takes kmip://HOST:PORT, or kmip://HOST:PORT,HOST:PORT "
			"with at most 4 of them");
	if (in->new_tpm && !in->force)
		return host_usage("--new-tpm goes with --force");
	if (in->kms_key_id && strlen(in->kms_key_id) > 127)
		return host_usage("--kms-key-id takes at most 127 bytes");
	if (approval_pcrs_parse(in->pcrs, &in->pcr_bits))
		return host_usage(
			"--pcrs takes different numbers from 0 to 23, as in " PCRS_DEFAULT);
	return 0;
}

static int check_existing(const struct init *in, struct error *e)
{
	if (in->force || access(in->config, F_OK))
		return 0;
	return error_set(
		e, -EEXIST, CAUSE_INTERNAL,
		"this host is set up already: %s exists; --force replaces its "
		"approvals and KMS settings, and unless --policy-key gives the same "
		"policy key, the vTPMs sealed so far will not open again",
		in->config);
}

/* --force must not, by itself, make a new policy key beside vTPMs that were sealed
 * under the one of the existing configuration. */
static int make_policy_key(struct init *in, struct error *e)
{
	if (!access(in->config, F_OK))
		return error_set(
			e, -ENOKEY, CAUSE_INTERNAL,
			"the policy key of %s is not at %s: give it with --policy-key, "
			"or, when it is lost, a new P-256 key; the vTPMs sealed so far "
			"will not open with a new one",
			in->config, in->key_path);
	in->key_made = true;
	return policykey_make(&in->key, e);
}

static int find_policy_key(struct init *in, struct error *e)
{
	int rc;

	if (in->policy_key)
		rc = snprintf(in->key_path, sizeof(in->key_path), "%s", in->policy_key) >=
				     (int)sizeof(in->key_path)
			     ? -ENAMETOOLONG
			     : 0;
	else
		rc = file_beside(in->config, POLICY_KEY_FILE, in->key_path,
				 sizeof(in->key_path));
	if (rc)
		return error_set(e, rc, CAUSE_INTERNAL,
				 "the policy key's path is too long; use a shorter one");
	if (in->policy_key || !access(in->key_path, F_OK))
		rc = policykey_load(in->key_path, &in->key, e);
	else
		rc = make_policy_key(in, e);
	if (!rc && policykey_public(in->key, in->conf.policy_key))
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "OpenSSL could not encode the policy key");
	return rc;
}

static int approve_first_state(struct init *in, struct error *e)
{
	struct approval state = {.pcrs = in->pcr_bits}, *a = &state;
	int rc;

	fprintf(stderr, "Approving the present boot state: PCRs %s\n", in->pcrs);
	in->conf.pcrs = in->pcr_bits;
	rc = tpm_pcrs(&in->tpm, a->pcrs, a->value, e);
	if (!rc)
		rc = tpmcounter_read(&in->tpm, &in->conf, &a->number, e);
	if (!rc)
		bootstate_show(a, NULL);
	if (!rc)
		rc = bootstate_sign(in->key, &in->conf, a, e);
	if (!rc)
		rc = bootstate_check(&in->tpm, a, e);
	return rc ? rc : hostconf_approve(&in->conf, a, "host-init");
}

static int fill_kms(struct init *in, struct error *e)
{
	struct hostconf *h = &in->conf;
	int rc;

	fprintf(stderr,
		"Sealing this host's KMS key to the TPM, and unsealing it again\n");
	rc = kmskey_seal(&in->identity, h, &in->tpm, &h->kms_key_sealed,
			 &h->kms_key_sealed_len, e);
	if (rc)
		return rc;
	h->has_kms = true;
	h->kms_get = is_get(in);
	h->kms_address = strdup(in->addresses);
	h->kms_ca = strdup(in->identity.ca_pem);
	h->kms_cert = in->kms_token ? NULL : strdup(in->identity.cert_pem);
	h->kms_key_id = strdup(in->kms_key_id);
	if (!h->kms_address || !h->kms_ca || !h->kms_key_id ||
	    (!h->kms_cert && !in->kms_token))
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	return 0;
}

/* path: a PEM; NULL: none, and *h stays. */
/* The authorization values of the configuration that is replaced stay, so that what the
 * TPM has can stay; else, or for another TPM, which is not to get them, new ones. */
static int find_auth(struct init *in, struct error *e)
{
	struct hostconf *h = &in->conf, *old = &in->old;
	int rc;

	rc = hostfile_load(in->config, old, NULL);
	h->has_origin = old->has_origin;
	memcpy(h->origin, old->origin, sizeof(h->origin));
	/* which pool it is in is `vtpmctl pool`'s affair */
	h->store = old->store;
	memset(&old->store, 0, sizeof(old->store));
	if (rc || in->new_tpm)
		return crypt_random(h->auth, sizeof(h->auth))
			       ? error_set(e, -EIO, CAUSE_RANDOM,
					   "there is no good randomness yet; try again "
					   "in a minute")
			       : 0;
	memcpy(h->auth, old->auth, sizeof(h->auth));
	memcpy(h->anchor_key, old->anchor_key, sizeof(h->anchor_key));
	h->anchor_key_len = old->anchor_key_len;
	memcpy(h->anchor_adopt, old->anchor_adopt, sizeof(h->anchor_adopt));
	h->anchor_take_store = old->anchor_take_store;
	tpmquote_inherit(h, old);
	return 0;
}

static int prepare(struct init *in, struct error *e)
{
	int rc = check_existing(in, e);

	if (!rc)
		rc = find_auth(in, e);
	if (!rc)
		rc = hostfile_recovery_key(in->recovery_key, &in->conf, e);
	if (!rc && !in->no_kms)
		rc = in->kms_token ? kmskey_load_token(&in->identity, in->kms_ca,
						       in->kms_token, e)
				   : kmskey_load(&in->identity, in->kms_ca, in->kms_cert,
						 in->kms_key, e);
	if (!rc)
		rc = find_policy_key(in, e);
	if (!rc)
		rc = tpm_open(&in->tpm, in->tcti, e);
	if (!rc && !in->no_kms)
		rc = kmskey_try(in->addresses, &in->identity, in->kms_key_id, is_get(in),
				e);
	return rc;
}

/* One that is in place keeps its value: --force is for other reasons than a store that
 * does not fit it any more.  Where it was removed, the store may be an older one: that it
 * is not, only the operator knows, and says by `host anchor --init`. */
static int anchor(struct init *in, struct error *e)
{
	bool first = access(in->config, F_OK) && !in->lost, made;
	int rc = tpmanchor_make(&in->tpm, &in->conf, false, &made, e);

	if (rc)
		return rc;
	if (made)
		in->conf.anchor_take_store = first;
	fprintf(stderr, "The TPM's anchor of the store at 0x%08x %s\n", TPMANCHOR_INDEX,
		!made	? "is in place"
		: first ? "was made: vtpmd takes the store as it is, once"
			: "was not there, and was made anew.\n"
			  "Unless vtpmd runs, and knows the store, no vTPM starts: when you "
			  "know that the store is\n"
			  "the newest, `vtpmctl host anchor --init --yes` takes it as it is");
	return 0;
}

static bool has_vtpms(const char *store)
{
	DIR *dir = opendir(store);
	struct dirent *d;
	uuid_t uuid;
	bool has = false;

	while (dir && !has && (d = readdir(dir)))
		has = !uuid_parse(d->d_name, uuid);
	if (dir)
		closedir(dir);
	return has;
}

/* Without host.json this looks like a host that was never set up.  When it was, the true
 * one opens its vTPMs, as long as the TPM's objects are those that it knows; and its store
 * may be an older one. */
static int check_lost(struct init *in, struct error *e)
{
	bool anchored;
	int rc;

	if (!access(in->config, F_OK))
		return 0;
	rc = tpm_handle_used(&in->tpm, TPMANCHOR_INDEX, &anchored, e);
	if (rc)
		return rc;
	in->lost = anchored || has_vtpms(in->store);
	if (in->lost && !in->force)
		return error_set(
			e, -EEXIST, CAUSE_INTERNAL,
			"this host was set up before (%s), and there is no %s: bring it "
			"back from a backup; when it is lost for good, --force with the "
			"same --policy-key sets the host up again, and all approvals and "
			"the attestation key are new",
			anchored ? "its TPM has an anchor" : "its store has vTPMs",
			in->config);
	if (in->lost && in->key_made)
		return error_set(
			e, -ENOKEY, CAUSE_INTERNAL,
			"the policy key is not at %s: give it with --policy-key, or, "
			"when it is lost, a new P-256 key; the vTPMs sealed so far will "
			"not open with a new one",
			in->key_path);
	return 0;
}

static int attestation_key(struct init *in, struct error *e)
{
	bool made;
	int rc = tpmquote_make_key(&in->tpm, &in->conf, &made, e);

	if (!rc)
		fprintf(stderr, "The TPM's attestation key at 0x%08x %s\n",
			TPMQUOTE_HANDLE, made ? "was made" : "is in place");
	return rc;
}

/* A host that is set up has its TPM pinned: what answers in its place now may be a device on
 * the bus, and would get all that is sealed, and have its boot state signed. */
static int check_pinned(const struct init *in, struct error *e)
{
	if (!in->old.srk_handle || in->new_tpm ||
	    !memcmp(in->old.srk_name, in->conf.srk_name, sizeof(in->old.srk_name)))
		return 0;
	return error_set(
		e, -EXDEV, CAUSE_TPM_REPLACED,
		"this is not the TPM that %s pins: put the old one back; only when you "
		"replaced or cleared it yourself, --new-tpm pins this one",
		in->config);
}

static int set_up(struct init *in, struct error *e)
{
	int rc;

	in->conf.srk_handle = HOSTCONF_SRK_HANDLE;
	rc = tpm_srk_make(&in->tpm, in->conf.srk_handle, in->conf.srk_name, &in->srk_made,
			  e);
	if (!rc)
		rc = check_pinned(in, e);
	if (!rc)
		rc = check_lost(in, e);
	if (!rc)
		fprintf(stderr, "The TPM's storage key at 0x%08x %s\n",
			in->conf.srk_handle, in->srk_made ? "was made" : "is in place");
	if (!rc)
		rc = tpmcounter_make(&in->tpm, &in->conf, e);
	if (!rc)
		rc = approve_first_state(in, e);
	if (!rc && !in->no_kms)
		rc = fill_kms(in, e);
	if (!rc)
		rc = anchor(in, e);
	if (!rc)
		rc = attestation_key(in, e);
	return rc;
}

/* host.json is last: a policy key without it is of no use, but does no harm. */
static int store_host(struct init *in, struct error *e)
{
	int rc = file_make_folder(in->config, e);

	if (!rc && in->key_made)
		rc = policykey_save(in->key, in->key_path, e);
	if (rc)
		return rc;
	rc = hostfile_keep(in->config, e);
	return rc ? rc : hostfile_write(in->config, &in->conf, e);
}

static void say_done(const struct init *in)
{
	fprintf(stderr, "Wrote %s; `vtpmctl host show` tells what is in it.\n\n",
		in->config);
	if (in->key_made)
		fprintf(stderr, "The policy key is new, in %s.\n", in->key_path);
	fprintf(stderr, "Now:\n");
	if (is_get(in))
		fprintf(stderr,
			"- know that each vTPM's manager has the KMS's key in its memory as it\n"
			"  starts (docs/threat-model.md): new vTPMs have the policy host-get\n");
	if (!in->no_kms)
		fprintf(stderr,
			"- keep a copy of %s offline and remove it here (`shred -u %s`):\n"
			"  this host uses its sealed form\n",
			in->kms_token ? in->kms_token : in->kms_key,
			in->kms_token ? in->kms_token : in->kms_key);
	fprintf(stderr,
		"- keep a copy of %s where only root can read it: without it this\n"
		"  host's vTPMs do not open\n"
		"- move %s off this host: whoever has it can approve any\n"
		"  boot state, and updates of this host cannot be approved without it\n",
		in->config, in->key_path);
	if (in->recovery_key)
		fprintf(stderr,
			"- put the private half of %s into a safe: it opens every vTPM "
			"of\n  this host\n",
			in->recovery_key);
	else
		fprintf(stderr,
			"- this host has no recovery key: when its TPM is lost, so are its "
			"vTPMs\n  (docs/host-setup.md, 7)\n");
	fprintf(stderr,
		"- start vtpmd: `systemctl enable --now vtpmd`, or, when it runs,\n"
		"  `systemctl reload vtpmd`\n"
		"- see that nothing is wrong: `vtpmctl doctor`\n"
		"- make a vTPM: `vtpmctl create NAME%s`; back up all, each day: `systemctl\n"
		"  enable --now xen-vtpm-backup.timer`\n",
		in->no_kms ? " --policy tpm" : "");
}

int host_init_main(int argc, char **argv)
{
	struct init in = {
		.pcrs = PCRS_DEFAULT,
		.tcti = TPM_TCTI,
		.config = HOSTCONF_PATH,
		.store = VTPMCTL_STORE,
	};
	struct error e = {0};
	int rc;

	args_parse_or_exit(&host_init_command, argc, argv, &in);
	if (host_init_check_usage(&in))
		return VTPMCTL_USAGE;
	rc = prepare(&in, &e);
	if (!rc)
		rc = set_up(&in, &e);
	tpm_close(&in.tpm);
	if (!rc)
		rc = store_host(&in, &e);
	if (!rc)
		say_done(&in);
	kmskey_free(&in.identity);
	hostconf_free(&in.conf);
	hostconf_free(&in.old);
	EVP_PKEY_free(in.key);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}
