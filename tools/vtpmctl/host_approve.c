/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl host approve: adds a signed boot state to host.json.  Run after a reboot
 * into the new state, or before it with the values that `host predict` tells, or another
 * tool.  Or revokes
 * one: the TPM's counter of revocations is incremented, which ends all approvals, and
 * those that stay are signed again.  vtpmd reads host.json for every start, and needs no signal.
 */
#include "tools/vtpmctl/host_approve.h"
#include "lib/text.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/host_predict.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/tpmnv.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A PCR that nothing was measured into tells no boot state from another. */
static void warn_unmeasured(const struct approval *a)
{
	static const uint8_t zeroes[APPROVAL_HASH_SIZE];
	char list[APPROVAL_PCRS * 3];
	uint32_t unmeasured = 0;
	int n;

	for (n = 0; n < APPROVAL_PCRS; n++)
		if (a->pcrs & 1u << n && !memcmp(a->value[n], zeroes, sizeof(zeroes)))
			unmeasured |= 1u << n;
	if (!unmeasured)
		return;
	approval_pcrs_print(unmeasured, list);
	fprintf(stderr,
		"Warning: nothing was measured into PCRs %s: they are the same whatever\n"
		"boots; see that the firmware and the boot loader measure, or choose others\n",
		list);
}

static void show_value(int n, const uint8_t *now, const uint8_t *before)
{
	char hex[2 * APPROVAL_HASH_SIZE + 1];

	hex_encode(now, APPROVAL_HASH_SIZE, hex);
	fprintf(stderr, "PCR %-2d  %s%s\n", n, hex,
		!before					   ? ""
		: !memcmp(now, before, APPROVAL_HASH_SIZE) ? "  as approved last"
							   : "  changed; last was:");
	if (!before || !memcmp(now, before, APPROVAL_HASH_SIZE))
		return;
	hex_encode(before, APPROVAL_HASH_SIZE, hex);
	fprintf(stderr, "        %s\n", hex);
}

void bootstate_show(const struct approval *a, const struct approval *last)
{
	int n;

	for (n = 0; n < APPROVAL_PCRS; n++)
		if (a->pcrs & 1u << n)
			show_value(n, a->value[n],
				   last && last->pcrs & 1u << n ? last->value[n] : NULL);
}

bool bootstate_confirm(void)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	bool yes;

	fprintf(stderr, "vTPMs will open in this boot state. Sign it (yes)? ");
	n = getline(&line, &room, stdin);
	if (n <= 0)
		fputc('\n', stderr);
	yes = n > 0 && (!strcmp(line, "yes\n") || !strcmp(line, "yes"));
	free(line);
	return yes;
}

int bootstate_sign(EVP_PKEY *key, const struct hostconf *h, struct approval *a,
		   struct error *e)
{
	uint8_t public[POLICYKEY_PUBLIC_SIZE];

	warn_unmeasured(a);
	if (approval_digest(a, h->counter_name, a->digest) ||
	    policykey_sign(key, h->srk_name, a) || policykey_public(key, public) ||
	    policykey_verify(public, h->srk_name, a))
		return error_set(
			e, -EIO, CAUSE_INTERNAL,
			"OpenSSL could not sign the boot state: out of memory, or "
			"the policy key is damaged");
	return 0;
}

int bootstate_check(struct tpm *t, const struct approval *a, struct error *e)
{
	uint8_t theirs[APPROVAL_HASH_SIZE], ours[APPROVAL_HASH_SIZE];
	int rc = tpm_policy_digest(t, a->pcrs, theirs, e);

	if (!rc && (approval_pcr_digest(a, ours) || memcmp(theirs, ours, sizeof(theirs))))
		rc = error_set(e, -EAGAIN, CAUSE_TPM_REFUSED,
			       "the PCRs changed while they were read; try again when no "
			       "other program extends them");
	return rc;
}

struct approve {
	const char *policy_key, *values, *label, *revoke, *log, *replace, *tcti, *config;
	bool predicted, only, yes;

	struct hostconf conf;
	struct tpm tpm;
	EVP_PKEY *key;
	uint64_t number; /* of revocations, as the TPM has it */
	struct approval state;
};

static const struct args_option options[] = {
	OPTION_TEXT("policy-key", struct approve, policy_key, "FILE",
		    "the private key of `host init`"),
	OPTION_TEXT("values", struct approve, values, "N=HEX,N=HEX",
		    "these SHA-256 PCR values, not the present ones"),
	OPTION_FLAG("predicted", struct approve, predicted,
		    "those that come, as `host predict` tells them"),
	OPTION_TEXT("log", struct approve, log, "FILE", "with it: as of `host predict`"),
	OPTION_TEXT("replace", struct approve, replace, "OLD=NEW,...",
		    "with it: the same"),
	OPTION_FLAG("only", struct approve, only, "revoke all approvals so far"),
	OPTION_TEXT("label", struct approve, label, "LABEL",
		    "a name for this state, for `host show`"),
	OPTION_TEXT("revoke", struct approve, revoke, "N|LABEL",
		    "revoke this approval: copies of it, too"),
	OPTION_FLAG("yes", struct approve, yes,
		    "sign the values that are shown, without asking"),
	OPTION_TEXT("tcti", struct approve, tcti, "TCTI", "the TPM, " TPM_TCTI),
	OPTION_TEXT("config", struct approve, config, "FILE", HOSTCONF_PATH),
};

static const struct args_command command = {
	.usage = "host approve --policy-key FILE [--revoke N|LABEL] [OPTIONS]",
	.about =
		"Approves a boot state, so that vTPMs open in it: the present one, or, before an\n"
		"update, the one that --values names (PCRs that it leaves out keep theirs).\n"
		"Shows the values, and asks before it signs them, unless --yes is given.\n"
		"Or revokes one that `host show` lists, by its number or its label.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static int load_approval_key(struct approve *a, struct error *e)
{
	uint8_t public[POLICYKEY_PUBLIC_SIZE];
	int rc = policykey_load(a->policy_key, &a->key, e);

	if (!rc && (policykey_public(a->key, public) ||
		    memcmp(public, a->conf.policy_key, sizeof(public))))
		rc = error_set(
			e, -EKEYREJECTED, CAUSE_INTERNAL,
			"%s is not the policy key of this host; `vtpmctl host show` "
			"tells that one's fingerprint",
			a->policy_key);
	return rc;
}

static int read_state(struct approve *a, struct error *e)
{
	const struct predict_from from = {"", PREDICT_ESP, a->replace};
	bool changed;
	int rc;

	a->state.pcrs = a->conf.pcrs;
	rc = tpm_pcrs(&a->tpm, a->state.pcrs, a->state.value, e);
	if (!rc && a->values && approval_values_parse(a->values, &a->state))
		rc = error_set(
			e, -EINVAL, CAUSE_INTERNAL,
			"--values takes N=HEX,N=HEX with 64 hex digits each, for PCRs "
			"that `vtpmctl host show` lists");
	if (!rc && a->predicted)
		rc = hostpredict(&a->conf, a->log, &from, a->state.value, &changed, e);
	return rc;
}

/* A revocation writes host.json, and increments the counter then.  One that came to the
 * first alone is finished: its approvals are all one ahead. */
static int finish_revocation(struct approve *a, struct error *e)
{
	const struct hostconf *h = &a->conf;
	size_t i;
	int rc;

	for (i = 0; i < h->approval_count; i++)
		if (h->approvals[i].number != a->number + 1 ||
		    policykey_verify(h->policy_key, h->srk_name, &h->approvals[i]))
			return 0;
	if (!h->approval_count)
		return 0;
	fprintf(stderr, "Finishing a revocation that was interrupted\n");
	rc = tpmcounter_increment(&a->tpm, h, e);
	a->number += !rc;
	return rc;
}

/* What is not signed, or was revoked, is not carried on, least of all to be signed. */
static void drop_useless(struct approve *a)
{
	struct hostconf *h = &a->conf;
	size_t i = 0;

	while (i < h->approval_count) {
		if (h->approvals[i].number == a->number &&
		    !policykey_verify(h->policy_key, h->srk_name, &h->approvals[i])) {
			i++;
			continue;
		}
		fprintf(stderr,
			"An approval is left out that was revoked, or that the policy key "
			"did not sign: %s\n",
			h->notes[i].label[0] ? h->notes[i].label : "without a label");
		hostconf_revoke(h, i);
	}
}

static int load_approval(struct approve *a, struct error *e)
{
	struct hostconf *h = &a->conf;
	int rc = hostfile_load(a->config, h, e);

	if (!rc)
		rc = load_approval_key(a, e);
	if (!rc)
		rc = tpm_open(&a->tpm, a->tcti, e);
	if (!rc)
		rc = tpm_srk_pinned(&a->tpm, h->srk_handle, h->srk_name, e);
	if (!rc)
		rc = tpmcounter_read(&a->tpm, h, &a->number, e);
	return rc ? rc : finish_revocation(a, e);
}

/* Signs only values that were shown. */
static int sign_approval(struct approve *a, struct error *e)
{
	const struct hostconf *h = &a->conf;
	int rc;

	bootstate_show(&a->state,
		       h->approval_count ? &h->approvals[h->approval_count - 1] : NULL);
	tpm_rest(&a->tpm);
	if (!a->yes && !bootstate_confirm())
		return error_set(
			e, -ECANCELED, CAUSE_INTERNAL,
			"nothing was signed: type yes when asked, or give --yes");
	a->state.number = a->number + a->only;
	rc = bootstate_sign(a->key, h, &a->state, e);
	if (!rc && !a->values && !a->predicted)
		rc = bootstate_check(&a->tpm, &a->state, e);
	return rc;
}

/* All approvals end but those in host.json, which have the next number. */
static int count_revocation(struct approve *a, struct error *e)
{
	int rc = hostfile_write(a->config, &a->conf, e);

	return rc ? rc : tpmcounter_increment(&a->tpm, &a->conf, e);
}

static bool is_known(const struct approve *a)
{
	size_t i;

	for (i = 0; i < a->conf.approval_count; i++)
		if (!memcmp(a->conf.approvals[i].digest, a->state.digest,
			    sizeof(a->state.digest)))
			return true;
	return false;
}

static int add_approval(struct approve *a, struct error *e)
{
	struct hostconf *h = &a->conf;
	size_t other;

	if (a->only)
		h->approval_count = 0;
	if (a->label && !hostconf_find_approval(h, a->label, &other))
		return error_set(e, -EEXIST, CAUSE_INTERNAL,
				 "the label %s is taken; choose another one, or --revoke "
				 "that approval first",
				 a->label);
	if (is_known(a)) {
		fprintf(stderr, "This boot state is approved already.\n");
		return 0;
	}
	if (hostconf_approve(h, &a->state, a->label))
		return error_set(
			e, -ENOSPC, CAUSE_INTERNAL,
			"%d boot states are approved already; revoke one with --revoke, "
			"or all with --only",
			HOSTCONF_APPROVALS_MAX);
	return a->only ? count_revocation(a, e) : hostfile_write(a->config, h, e);
}

/* Those that stay were signed by the policy key with these values before. */
static int sign_again(struct approve *a, struct error *e)
{
	struct hostconf *h = &a->conf;
	size_t i;
	int rc = 0;

	for (i = 0; i < h->approval_count && !rc; i++) {
		struct approval *one = &h->approvals[i];

		one->number = a->number + 1;
		rc = approval_digest(one, h->counter_name, one->digest);
		if (!rc)
			rc = policykey_sign(a->key, h->srk_name, one);
	}
	return rc ? error_set(e, rc, CAUSE_INTERNAL,
			      "OpenSSL could not sign the boot states that stay")
		  : 0;
}

/* Revoking asks nothing: what it takes from the host is said. */
static void warn_of_present(struct approve *a, const struct approval *revoked)
{
	uint8_t now[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
	struct error why = {0};
	size_t i;

	if (tpm_pcrs(&a->tpm, a->conf.pcrs, now, &why) || !approval_matches(revoked, now))
		return;
	for (i = 0; i < a->conf.approval_count; i++)
		if (approval_matches(&a->conf.approvals[i], now))
			return;
	fprintf(stderr,
		"Warning: this is the present boot state: no vTPM that needs this TPM starts\n"
		"before one that is approved is booted, or `vtpmctl host approve` approves it\n");
}

static int revoke(struct approve *a, struct error *e)
{
	struct hostconf *h = &a->conf;
	struct hostconf_note note;
	struct approval revoked;
	size_t index;
	int rc;

	if (hostconf_find_approval(h, a->revoke, &index))
		return error_set(e, -ENOENT, CAUSE_INTERNAL,
				 "there is no approval %.60s; `vtpmctl host show` lists "
				 "them with their numbers and labels",
				 a->revoke);
	revoked = h->approvals[index];
	note = h->notes[index];
	hostconf_revoke(h, index);
	drop_useless(a);
	if (!h->approval_count)
		return error_set(
			e, -EBUSY, CAUSE_INTERNAL,
			"this is the only approved boot state, and without one no "
			"vTPM opens; approve another one first");
	fprintf(stderr, "Revoking approval %zu: %s %s\n", index + 1,
		note.label[0] ? note.label : "without a label", note.at);
	warn_of_present(a, &revoked);
	rc = sign_again(a, e);
	return rc ? rc : count_revocation(a, e);
}

static int approve_boot_state(struct approve *a, struct error *e)
{
	int rc;

	drop_useless(a);
	rc = read_state(a, e);
	if (!rc)
		rc = sign_approval(a, e);
	return rc ? rc : add_approval(a, e);
}

/* What the option table cannot say. */
static int check_usage(const struct approve *a)
{
	const char *wrong = NULL;

	if (a->revoke && (a->values || a->predicted || a->only || a->label))
		wrong = "--revoke takes no --values, --predicted, --only or --label";
	else if (a->predicted && a->values)
		wrong = "--predicted and --values exclude each other";
	else if (a->replace && !a->predicted)
		wrong = "--replace goes with --predicted";
	else if (!a->policy_key)
		wrong = "--policy-key is missing";
	else if (a->label && !hostconf_label_ok(a->label))
		wrong = "--label takes at most 40 letters, digits, '_', '.' and '-', and no "
			"number";
	if (!wrong)
		return 0;
	fprintf(stderr, "vtpmctl: %s; `vtpmctl host approve --help` lists the options\n",
		wrong);
	return -EINVAL;
}

int host_approve_main(int argc, char **argv)
{
	struct approve a = {
		.log = PREDICT_LOG,
		.tcti = TPM_TCTI,
		.config = HOSTCONF_PATH,
	};
	struct error e = {0};
	int rc;

	args_parse_or_exit(&command, argc, argv, &a);
	if (check_usage(&a))
		return VTPMCTL_USAGE;
	rc = load_approval(&a, &e);
	if (!rc)
		rc = a.revoke ? revoke(&a, &e) : approve_boot_state(&a, &e);
	tpm_close(&a.tpm);
	if (!rc)
		fprintf(stderr,
			"%zu boot state%s approved in %s; vTPMs that are started from now on "
			"know. `systemctl reload vtpmd` starts those that failed for want of it.\n",
			a.conf.approval_count,
			a.conf.approval_count == 1 ? " is" : "s are", a.config);
	EVP_PKEY_free(a.key);
	hostconf_free(&a.conf);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}
