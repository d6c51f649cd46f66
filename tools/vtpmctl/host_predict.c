/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl host predict: before a reboot, the PCRs that come, for `vtpmctl host approve
 * --predicted`, and whether they are approved already.
 */
#include "tools/vtpmctl/host_predict.h"
#include "lib/firmwarelog.h"
#include "lib/text.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/tpmnv.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct prediction {
	const char *log, *root, *esp, *replace, *tcti, *config;
	bool warn;

	struct hostconf conf;
	struct tpm tpm;
	uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
	bool changed, approved;
};

static const struct args_option options[] = {
	OPTION_TEXT("log", struct prediction, log, "FILE",
		    "of the present boot; else the kernel's"),
	OPTION_TEXT("replace", struct prediction, replace, "OLD=NEW,...",
		    "in paths and commands: a new kernel's version"),
	OPTION_TEXT("root", struct prediction, root, "DIR", "where / is, for the files"),
	OPTION_TEXT("esp", struct prediction, esp, "DIR",
		    "the EFI system partition, " PREDICT_ESP),
	OPTION_FLAG("warn", struct prediction, warn,
		    "print only that what comes is not approved"),
	OPTION_TEXT("tcti", struct prediction, tcti, "TCTI", "the TPM, " TPM_TCTI),
	OPTION_TEXT("config", struct prediction, config, "FILE", HOSTCONF_PATH),
};

static const struct args_command command = {
	.usage = "host predict [OPTIONS]",
	.about =
		"Tells the PCRs that this host will have when it boots next, of the present\n"
		"boot's event log and of the files that GRUB, shim and the firmware will read:\n"
		"after an update, before the reboot.  Prints them as `host approve --values`\n"
		"takes them, and whether that boot state is approved.  What the firmware itself\n"
		"measures is taken to stay; docs/operations.md says which PCRs are exact.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static int read_log(const char *path, uint8_t **log, size_t *len, struct error *e)
{
	int rc = firmwarelog_read(path, log, len);

	if (!rc)
		return 0;
	return error_set(
		e, rc, CAUSE_INTERNAL,
		"the event log %.100s cannot be read: %s; see "
		"docs/operations.md for what domain 0 needs to have one, or give "
		"--log FILE",
		path, strerror(-rc));
}

static int check_known(const struct hostconf *h, const struct predicted *p,
		       const uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE],
		       struct error *e)
{
	char list[APPROVAL_PCRS * 3];
	uint32_t other = 0;
	int n;

	for (n = 0; n < APPROVAL_PCRS; n++)
		if (h->pcrs & 1u << n &&
		    memcmp(p->logged[n], value[n], APPROVAL_HASH_SIZE) != 0)
			other |= 1u << n;
	approval_pcrs_print(other ? other : p->unknown & h->pcrs, list);
	if (other)
		return error_set(
			e, -EBADMSG, CAUSE_INTERNAL,
			"the event log does not lead to what the TPM has in PCR %s: it is "
			"of another boot, or not whole",
			list);
	if (p->unknown & h->pcrs)
		return error_set(
			e, -EBADMSG, CAUSE_INTERNAL,
			"PCR %s cannot be predicted: reboot, look at it with `vtpmctl host "
			"show`, and approve it with `vtpmctl host approve`",
			list);
	return 0;
}

int hostpredict(const struct hostconf *h, const char *log,
		const struct predict_from *from,
		uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE], bool *changed,
		struct error *e)
{
	struct predicted *p = malloc(sizeof(*p));
	uint8_t *bytes = NULL;
	size_t len = 0;
	int n, rc = p ? read_log(log, &bytes, &len, e)
		      : error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");

	*changed = false;
	if (!rc)
		rc = predict_run(bytes, len, from, p, e);
	if (!rc)
		rc = check_known(h, p, value, e);
	for (n = 0; n < APPROVAL_PCRS && !rc; n++) {
		if (!(h->pcrs & 1u << n))
			continue;
		*changed |= memcmp(value[n], p->value[n], APPROVAL_HASH_SIZE) != 0;
		memcpy(value[n], p->value[n], APPROVAL_HASH_SIZE);
	}
	free(bytes);
	free(p);
	return rc;
}

static bool is_approved(const struct prediction *p, uint64_t number)
{
	const struct hostconf *h = &p->conf;

	for (size_t i = 0; i < h->approval_count; i++)
		if (h->approvals[i].number == number &&
		    approval_matches(&h->approvals[i], p->value) &&
		    !policykey_verify(h->policy_key, h->srk_name, &h->approvals[i]))
			return true;
	return false;
}

static int predict_host(struct prediction *p, struct error *e)
{
	const struct predict_from from = {p->root, p->esp, p->replace};
	struct hostconf *h = &p->conf;
	uint64_t number = 0;
	int rc = hostfile_load(p->config, h, e);

	if (!rc)
		rc = tpm_open(&p->tpm, p->tcti, e);
	if (!rc)
		rc = tpm_srk_pinned(&p->tpm, h->srk_handle, h->srk_name, e);
	if (!rc)
		rc = tpm_pcrs(&p->tpm, h->pcrs, p->value, e);
	if (!rc)
		rc = tpmcounter_read(&p->tpm, h, &number, e);
	if (!rc)
		rc = hostpredict(h, p->log, &from, p->value, &p->changed, e);
	p->approved = !rc && is_approved(p, number);
	return rc;
}

static void print_predicted(const struct prediction *p)
{
	char hex[2 * APPROVAL_HASH_SIZE + 1];
	const char *comma = "";
	int n;

	for (n = 0; n < APPROVAL_PCRS; n++) {
		if (!(p->conf.pcrs & 1u << n))
			continue;
		hex_encode(p->value[n], APPROVAL_HASH_SIZE, hex);
		printf("%s%d=%s", comma, n, hex);
		comma = ",";
	}
	putchar('\n');
}

static void tell_verdict(const struct prediction *p)
{
	if (!p->approved)
		fprintf(stderr,
			"The boot state that comes is NOT approved: before the reboot, `vtpmctl "
			"host approve\n--policy-key FILE --predicted%s%s`\n",
			p->replace ? " --replace " : "", p->replace ? p->replace : "");
	else if (!p->warn)
		fprintf(stderr, "The boot state that comes is %s, and approved\n",
			p->changed ? "another one" : "the present one");
}

int host_predict_main(int argc, char **argv)
{
	struct prediction p = {
		.log = PREDICT_LOG,
		.root = "",
		.esp = PREDICT_ESP,
		.tcti = TPM_TCTI,
		.config = HOSTCONF_PATH,
	};
	struct error e = {0};
	int rc;

	args_parse_or_exit(&command, argc, argv, &p);
	rc = predict_host(&p, &e);
	tpm_close(&p.tpm);
	if (!rc && !p.warn)
		print_predicted(&p);
	if (!rc)
		tell_verdict(&p);
	hostconf_free(&p.conf);
	if (rc)
		return vtpmctl_fail(&e);
	return fflush(stdout) || (p.warn && !p.approved) ? VTPMCTL_FAILED : VTPMCTL_OK;
}
