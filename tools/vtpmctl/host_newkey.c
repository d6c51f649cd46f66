/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl host new-policy-key: the policy key is lost.  What is sealed under it opens as
 * before, in the boot states that it has approved; no other state can be approved.  So, as
 * long as the host is in one of these: the same states are signed by a new key, the KMS
 * client's key is sealed under it, the anchor's index is made anew, and then each vTPM's
 * key slots, of those that do not run in this process (reseal.h).
 *
 * Until host.json is replaced nothing has changed but the anchor's index, and the list of hosts,
 * where it is signed here (pool_newkey.h); with vtpmd running, which knows the store, the index is of
 * no importance.  host.json of before stays
 * as OLD_FILE, which opens what could not be done.
 */
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/host_anchor.h"
#include "tools/vtpmctl/host_approve.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/kmskey.h"
#include "tools/vtpmctl/pool_newkey.h"
#include "tools/vtpmctl/rekey.h"
#include "tools/vtpmctl/tpmnv.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OLD_SUFFIX ".old-policy-key"
#define KEY_FILE   "policy-key.pem"

struct newkey {
	const char *policy_key, *kms_cert, *kms_key, *tcti, *config, *socket;
	bool yes;

	struct hostconf old, conf; /* conf begins as old */
	struct tpm tpm;
	struct kmskey identity;
	EVP_PKEY *key;
	struct pool_newkey pool;
	bool key_made, state_approved;
	char key_path[PATH_MAX], old_path[PATH_MAX];
};

static const struct args_option options[] = {
	OPTION_TEXT("policy-key", struct newkey, policy_key, "FILE",
		    "a P-256 key that signs approvals; else made"),
	OPTION_TEXT("kms-cert", struct newkey, kms_cert, "FILE",
		    "only where the boot state is not approved: this"),
	OPTION_TEXT("kms-key", struct newkey, kms_key, "FILE",
		    "host's certificate for the KMS, and its key"),
	OPTION_FLAG("yes", struct newkey, yes,
		    "sign the values that are shown, without asking"),
	OPTION_TEXT("tcti", struct newkey, tcti, "TCTI", "the TPM, " TPM_TCTI),
	OPTION_TEXT("config", struct newkey, config, "FILE", HOSTCONF_PATH),
	CLIENT_SOCKET_OPTION(struct newkey),
};

static const struct args_command command = {
	.usage = "host new-policy-key [OPTIONS]",
	.about =
		"The policy key is lost: gives this host another one, which signs the same boot\n"
		"states, and seals every vTPM anew under it.  Guests go on; vTPMs that do not run\n"
		"are opened in this process.  vtpmd has to run, and the boot state to be approved\n"
		"by the lost key: in another one, vTPMs that run are saved, and the others are\n"
		"not, until the host boots an approved state again.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static int find_paths(struct newkey *n, struct error *e)
{
	int rc = snprintf(n->old_path, sizeof(n->old_path), "%s" OLD_SUFFIX, n->config) >=
				 (int)sizeof(n->old_path)
			 ? -ENAMETOOLONG
			 : 0;

	if (!rc && n->policy_key)
		rc = snprintf(n->key_path, sizeof(n->key_path), "%s", n->policy_key) >=
				     (int)sizeof(n->key_path)
			     ? -ENAMETOOLONG
			     : 0;
	else if (!rc)
		rc = file_beside(n->config, KEY_FILE, n->key_path, sizeof(n->key_path));
	return rc ? error_set(e, rc, CAUSE_INTERNAL,
			      "a path is too long; use a shorter one")
		  : 0;
}

/* One that is there already is of a run that was interrupted, or is not lost. */
static int find_new_key(struct newkey *n, struct error *e)
{
	uint8_t *public = n->conf.policy_key;
	int rc;

	n->key_made = !n->policy_key && access(n->key_path, F_OK);
	rc = n->key_made ? policykey_make(&n->key, e)
			 : policykey_load(n->key_path, &n->key, e);
	if (!rc && policykey_public(n->key, public))
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "OpenSSL could not encode the policy key");
	if (!rc && !memcmp(public, n->old.policy_key, POLICYKEY_PUBLIC_SIZE))
		rc = error_set(e, -EEXIST, CAUSE_INTERNAL,
			       "%s is this host's policy key, and not lost: approve boot "
			       "states with `vtpmctl host approve --policy-key %s`",
			       n->key_path, n->key_path);
	return rc;
}

/* The file of a run before, which nothing else opens what that left. */
static int check_old_file(const struct newkey *n, struct error *e)
{
	struct hostconf kept;
	bool same;

	if (access(n->old_path, F_OK))
		return 0;
	if (hostfile_load(n->old_path, &kept, e))
		return e->cause;
	same = !memcmp(kept.policy_key, n->old.policy_key, POLICYKEY_PUBLIC_SIZE);
	hostconf_free(&kept);
	return same ? 0
		    : error_set(e, -EEXIST, CAUSE_INTERNAL,
				"%s is of an earlier new policy key: finish that with "
				"`vtpmctl rekey --all --old %s`, and move the file away",
				n->old_path, n->old_path);
}

/* vtpmd has to know the store: what the TPM knows of it goes with the old index. */
static int ask_vtpmd(const struct newkey *n, struct error *e)
{
	char text[CLIENT_TEXT];
	json_t *reply;
	int status =
		client_try(n->socket, client_request("audit-end", NULL), &reply, text);

	json_decref(reply);
	if (status)
		return error_set(e, -ENOTCONN, CAUSE_NOT_CONFIGURED,
				 "vtpmd has to run, and to know the store: %.800s", text);
	return 0;
}

static int new_key_load(struct newkey *n, struct error *e)
{
	int rc = hostfile_load(n->config, &n->old, e);

	if (!rc)
		rc = hostfile_load(n->config, &n->conf, e);
	if (!rc)
		rc = find_paths(n, e);
	if (!rc)
		rc = find_new_key(n, e);
	if (!rc)
		rc = check_old_file(n, e);
	if (!rc)
		rc = pool_newkey_load(&n->pool, n->config, n->socket, &n->old, &n->conf,
				      e);
	if (!rc && n->kms_key)
		rc = kmskey_load(&n->identity, NULL, n->kms_cert, n->kms_key, e);
	if (!rc)
		rc = ask_vtpmd(n, e);
	if (!rc)
		rc = tpm_open(&n->tpm, n->tcti, e);
	if (!rc)
		rc = tpm_srk_pinned(&n->tpm, n->old.srk_handle, n->old.srk_name, e);
	return rc;
}

/* Those that the lost key approved, and did not revoke; the present state, too. */
static int carry_on(struct newkey *n, struct error *e)
{
	struct approval now = {.pcrs = n->old.pcrs};
	struct hostconf *h = &n->conf;
	size_t i = 0;
	int rc = tpm_pcrs(&n->tpm, now.pcrs, now.value, e);

	if (!rc)
		rc = tpmcounter_read(&n->tpm, &n->old, &now.number, e);
	while (!rc && i < h->approval_count) {
		struct approval *a = &h->approvals[i];

		if (a->number != now.number ||
		    policykey_verify(n->old.policy_key, n->old.srk_name, a)) {
			hostconf_revoke(h, i);
			continue;
		}
		n->state_approved |= approval_matches(a, now.value);
		i++;
	}
	if (rc || n->state_approved)
		return rc;
	bootstate_show(&now, h->approval_count ? &h->approvals[i - 1] : NULL);
	return hostconf_approve(h, &now, "new-policy-key")
		       ? error_set(e, -ENOSPC, CAUSE_INTERNAL,
				   "the present boot state is not approved, and no other "
				   "one fits in: boot an approved one")
		       : 0;
}

static int tell_states(struct newkey *n, struct error *e)
{
	const struct hostconf *h = &n->conf;

	if (!n->state_approved && h->has_kms && !n->kms_key)
		return error_set(
			e, -EPERM, CAUSE_PCRS_CHANGED,
			"the lost key did not approve this boot state, and in no other one "
			"the TPM gives out this host's key for the KMS: boot an approved "
			"state, or give that key with --kms-cert and --kms-key");
	for (size_t i = 0; i < h->approval_count; i++)
		fprintf(stderr, "To be signed by the new key: %s %s\n",
			h->notes[i].at[0] ? h->notes[i].at : "-",
			h->notes[i].label[0] ? h->notes[i].label : "without a label");
	if (!n->state_approved)
		fprintf(stderr,
			"The last one is the present boot state, which the lost key did not "
			"approve:\nvTPMs that run will be saved; those that do not, not "
			"before an approved state is booted\n");
	tpm_rest(&n->tpm);
	if (n->yes || bootstate_confirm())
		return 0;
	return error_set(e, -ECANCELED, CAUSE_INTERNAL,
			 "nothing was changed: type yes when asked, or give --yes");
}

static int sign_states(struct newkey *n, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < n->conf.approval_count && !rc; i++)
		rc = bootstate_sign(n->key, &n->conf, &n->conf.approvals[i], e);
	return rc;
}

static int seal_kms_key(struct newkey *n, struct error *e)
{
	struct hostconf *h = &n->conf;
	uint8_t *sealed;
	size_t len;
	int rc;

	if (!h->has_kms)
		return 0;
	if (n->kms_key)
		rc = kmskey_seal(&n->identity, h, &n->tpm, &sealed, &len, e);
	else
		rc = kmskey_move(&n->old, h, &n->tpm, &sealed, &len, e);
	if (rc)
		return rc;
	free(h->kms_key_sealed);
	h->kms_key_sealed = sealed;
	h->kms_key_sealed_len = len;
	if (!n->kms_key)
		return 0;
	free(h->kms_cert);
	h->kms_cert = strdup(n->identity.cert_pem);
	return h->kms_cert ? kmskey_try_sealed(h, &n->tpm, NULL, NULL, e)
			   : error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
}

/* The one-time value says nothing of the store: the vtpmd that runs anchors what it knows.
 * It may have ended since it was asked first. */
static int new_anchor(struct newkey *n, struct error *e)
{
	bool made;
	int rc;

	if (!n->old.anchor_index)
		return 0;
	rc = ask_vtpmd(n, e);
	if (rc)
		return rc;
	n->conf.anchor_take_store = false;
	return tpmanchor_make(&n->tpm, &n->conf, true, &made, e);
}

static int new_key_store(struct newkey *n, struct error *e)
{
	int rc = n->key_made ? policykey_save(n->key, n->key_path, e) : 0;

	n->old.has_origin = false; /* that is another file */
	if (!rc)
		rc = hostfile_write(n->old_path, &n->old, e);
	if (!rc)
		rc = new_anchor(n, e);
	if (!rc)
		rc = pool_newkey_store(&n->pool, n->config, &n->conf, n->key, e);
	return rc ? rc : hostfile_write(n->config, &n->conf, e);
}

static int new_key_set(struct newkey *n, struct error *e)
{
	int rc = new_key_load(n, e);

	if (!rc)
		rc = carry_on(n, e);
	if (!rc)
		rc = tell_states(n, e);
	if (!rc)
		rc = sign_states(n, e);
	if (!rc)
		rc = seal_kms_key(n, e);
	return rc ? rc : new_key_store(n, e);
}

static json_t *reload_request(void)
{
	json_t *request = client_request("reload", NULL);

	if (request)
		json_object_set_new(request, "anchored", json_true());
	return request;
}

/* Twice: a write of the index of before may have been under way the first time, which then fails. */
static int tell_new_key(const struct newkey *n)
{
	char ignored[CLIENT_TEXT];
	json_t *reply;
	int status;

	(void)!client_try(n->socket, reload_request(), &reply, ignored);
	json_decref(reply);
	status = client_call(n->socket, reload_request(), &reply);
	json_decref(reply);
	return status;
}

static void tell_next(const struct newkey *n, int status)
{
	if (status)
		fprintf(stderr,
			"\nNot every vTPM is sealed under the new key; above stands why. "
			"Those open with %s,\nin the boot states that the lost key approved: "
			"when it is mended, or such a state is booted,\n"
			"`vtpmctl rekey --all --old %s` goes on; of what stays, `vtpmctl "
			"recover` opens\nwhat has a recovery slot, and nothing else does.\n",
			n->old_path, n->old_path);
	fprintf(stderr,
		"\nNow:\n- move %s off this host, to where it is not lost\n"
		"- make new backups: those of before are sealed under the lost key. "
		"Until then keep\n  %s: `vtpmctl restore`, then `vtpmctl rekey NAME --old` "
		"with it\n  opens one, in a boot state that the lost key approved\n"
		"- back up %s anew\n"
		"- where the key may have been stolen, not lost: `vtpmctl rekey --all "
		"--deep`,\n  `vtpmctl host renew` with a new key for the KMS, and remove the "
		"old backups\n",
		n->key_path, n->old_path, n->config);
	if (n->pool.signs)
		fprintf(stderr, "- the list of hosts is signed anew: %s\n",
			n->conf.store.url
				? "`vtpmctl pool publish`, and then, on each other host of the "
				  "pool,\n  `vtpmctl host new-policy-key --policy-key FILE` with "
				  "the same key: until then it starts no\n  vTPM of the pool that "
				  "was sealed here. Those that run there are sealed anew there"
				: "copy it, and the same key, to the other hosts, and there\n  "
				  "`vtpmctl host new-policy-key --policy-key FILE`");
}

int host_newkey_main(int argc, char **argv)
{
	struct newkey n = {
		.tcti = TPM_TCTI,
		.config = HOSTCONF_PATH,
		.socket = CLIENT_SOCKET,
	};
	struct error e = {0};
	int rc, status;

	args_parse_or_exit(&command, argc, argv, &n);
	if (!n.kms_cert != !n.kms_key) {
		fprintf(stderr,
			"vtpmctl: --kms-cert and --kms-key belong together; "
			"`vtpmctl host new-policy-key --help` lists the options\n");
		return VTPMCTL_USAGE;
	}
	rc = new_key_set(&n, &e);
	tpm_close(&n.tpm);
	status = rc ? vtpmctl_fail(&e) : tell_new_key(&n);
	if (!rc && !status)
		status = rekey_all_of(n.old_path, n.tcti, n.config, n.socket);
	if (!rc)
		tell_next(&n, status);
	EVP_PKEY_free(n.key);
	kmskey_free(&n.identity);
	pool_newkey_free(&n.pool);
	hostconf_free(&n.old);
	hostconf_free(&n.conf);
	return status;
}
