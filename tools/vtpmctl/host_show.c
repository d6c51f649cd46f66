/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl host show: host.json, beside what the TPM says now. */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/args.h"
#include "lib/text.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/kmskey.h"
#include "tools/vtpmctl/tpm.h"
#include "tools/vtpmctl/host_anchor.h"
#include "tools/vtpmctl/tpmnv.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct show {
	const char *tcti, *config;
	bool json;

	struct hostconf conf;
	struct error tpm_error; /* why nothing of below is known */
	uint8_t srk_name[TPM_NAME_SIZE];
	uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
	bool srk_same;
	struct error counter_error; /* why number is not known */
	uint64_t number;	    /* of revocations: approvals of other ones are void */
	struct error anchor_error;  /* why anchor is not known */
	uint8_t anchor[TPMANCHOR_SIZE];
	const struct approval *match; /* the approval that fits now; NULL: none */
	const struct approval *near;  /* that, or the one with most equal PCRs */
};

static const struct args_option options[] = {
	OPTION_FLAG("json", struct show, json, "as a JSON object"),
	OPTION_TEXT("tcti", struct show, tcti, "TCTI", "the TPM, " TPM_TCTI),
	OPTION_TEXT("config", struct show, config, "FILE", HOSTCONF_PATH),
};

static const struct args_command command = {
	.usage = "host show [OPTIONS]",
	.about =
		"Tells how this host is set up, and whether its boot state is an approved one.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static int equal_pcrs(const struct show *s, const struct approval *a)
{
	int n, equal = 0;

	for (n = 0; n < APPROVAL_PCRS; n++)
		if (a->pcrs & 1u << n &&
		    !memcmp(a->value[n], s->value[n], APPROVAL_HASH_SIZE))
			equal++;
	return equal;
}

static bool is_signed(const struct show *s, const struct approval *a)
{
	return !policykey_verify(s->conf.policy_key, s->conf.srk_name, a);
}

static bool is_revoked(const struct show *s, const struct approval *a)
{
	return !s->tpm_error.cause && (s->counter_error.cause || a->number != s->number);
}

static void judge(struct show *s)
{
	int best = -1;
	size_t i;

	for (i = 0; i < s->conf.approval_count; i++) {
		const struct approval *a = &s->conf.approvals[i];

		/* a line that the policy key did not sign approves nothing */
		if (!is_signed(s, a) || is_revoked(s, a))
			continue;
		if (approval_matches(a, s->value) && !s->match)
			s->match = a;
		if (equal_pcrs(s, a) > best) {
			best = equal_pcrs(s, a);
			s->near = a;
		}
	}
	if (s->match)
		s->near = s->match;
}

static void ask_tpm(struct show *s)
{
	struct tpm tpm;
	int rc = tpm_open(&tpm, s->tcti, &s->tpm_error);

	if (!rc)
		rc = tpm_srk_find(&tpm, s->conf.srk_handle, s->srk_name, &s->tpm_error);
	if (!rc)
		rc = tpm_pcrs(&tpm, s->conf.pcrs, s->value, &s->tpm_error);
	if (!rc)
		(void)!tpmcounter_read(&tpm, &s->conf, &s->number, &s->counter_error);
	if (!rc && s->conf.anchor_index)
		(void)!tpmanchor_read(&tpm, &s->conf, s->anchor, &s->anchor_error);
	tpm_close(&tpm);
	if (rc)
		return;
	s->srk_same = !memcmp(s->srk_name, s->conf.srk_name, TPM_NAME_SIZE);
	judge(s);
}

static json_t *hex_json(const uint8_t *bytes, size_t len)
{
	char text[2 * POLICYKEY_PUBLIC_SIZE + 1];

	hex_encode(bytes, len, text);
	return json_string(text);
}

static json_t *host_pcrs_json(const struct show *s)
{
	json_t *array = json_array();
	int n;

	for (n = 0; n < APPROVAL_PCRS; n++) {
		const uint8_t *approved =
			s->near && s->near->pcrs & 1u << n ? s->near->value[n] : NULL;

		if (!(s->conf.pcrs & 1u << n))
			continue;
		json_array_append_new(
			array,
			json_pack("{s:i, s:o, s:o}", "pcr", n, "now",
				  s->tpm_error.cause
					  ? json_null()
					  : hex_json(s->value[n], APPROVAL_HASH_SIZE),
				  "approved",
				  approved ? hex_json(approved, APPROVAL_HASH_SIZE)
					   : json_null()));
	}
	return array;
}

static json_t *approvals_json(const struct show *s)
{
	json_t *array = json_array(), *pcrs;
	size_t i;
	int n;

	for (i = 0; i < s->conf.approval_count; i++) {
		const struct approval *a = &s->conf.approvals[i];

		pcrs = json_object();
		for (n = 0; n < APPROVAL_PCRS; n++) {
			char key[4];

			snprintf(key, sizeof(key), "%d", n);
			if (a->pcrs & 1u << n)
				json_object_set_new(
					pcrs, key,
					hex_json(a->value[n], APPROVAL_HASH_SIZE));
		}
		json_array_append_new(
			array,
			json_pack("{s:i, s:s, s:s, s:o, s:b, s:b, s:b}", "number",
				  (int)i + 1, "label", s->conf.notes[i].label, "at",
				  s->conf.notes[i].at, "pcrs", pcrs, "signed",
				  is_signed(s, a), "revoked", is_revoked(s, a), "now",
				  s->match == a && s->srk_same));
	}
	return array;
}

static void expiry(time_t when, char *out, size_t size)
{
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static json_t *addresses_json(const char *list)
{
	json_t *array = json_array();
	char one[ADDRESS_MAX];
	unsigned int n;

	for (n = 0; !address_nth(list, n, one); n++)
		json_array_append_new(array, json_string(one));
	return array;
}

static json_t *kms_json(const struct hostconf *h)
{
	char *subject = NULL, until[32] = "";
	time_t expires;
	json_t *json;

	if (!h->has_kms)
		return json_null();
	if (h->kms_cert && !kmskey_describe(h->kms_cert, &subject, &expires))
		expiry(expires, until, sizeof(until));
	json = json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:b}", "address", h->kms_address,
			 "mode", h->kms_get ? "get" : "encrypt", "addresses",
			 addresses_json(h->kms_address), "key_id", h->kms_key_id,
			 "cert_subject", subject ? subject : "", "cert_expires", until,
			 "cert_expired",
			 h->kms_cert && (!subject || expires <= time(NULL)));
	free(subject);
	return json;
}

static json_t *anchor_json(const struct show *s)
{
	char index[16];

	if (!s->conf.anchor_index)
		return json_null();
	snprintf(index, sizeof(index), "0x%08x", s->conf.anchor_index);
	return json_pack("{s:s, s:o, s:o}", "nv_index", index, "value",
			 s->anchor_error.cause || s->tpm_error.cause
				 ? json_null()
				 : hex_json(s->anchor, TPMANCHOR_SIZE),
			 "error",
			 s->anchor_error.cause ? json_string(s->anchor_error.text)
					       : json_null());
}

/* What a verifier's policy says about this host: a member of its "hosts". */
static json_t *attest_json(const struct show *s)
{
	json_t *values = json_object();
	char host[HOST_NAME_MAX + 1] = "", key[4];
	int n;

	if (!s->conf.ak_handle || s->tpm_error.cause) {
		json_decref(values);
		return json_null();
	}
	gethostname(host, sizeof(host) - 1);
	for (n = 0; n < APPROVAL_PCRS; n++) {
		snprintf(key, sizeof(key), "%d", n);
		if (s->conf.pcrs & 1u << n)
			json_object_set_new(values, key,
					    hex_json(s->value[n], APPROVAL_HASH_SIZE));
	}
	return json_pack("{s:s, s:o, s:[o]}", "name", host, "ak",
			 hex_json(s->conf.ak_name, TPM_NAME_SIZE), "pcrs", values);
}

/* The identifier of the recovery key, as slots name it. */
static json_t *recovery_json(const struct hostconf *h)
{
	uint8_t id[CRYPT_HASH_SIZE];

	if (!h->recovery_key_len ||
	    recovery_key_id(h->recovery_key, h->recovery_key_len, id))
		return json_null();
	return hex_json(id, sizeof(id));
}

static json_t *host_to_json(const struct show *s)
{
	uint8_t fingerprint[POLICYKEY_NAME_SIZE] = {0};
	char handle[16];

	snprintf(handle, sizeof(handle), "0x%08x", s->conf.srk_handle);
	if (policykey_name(s->conf.policy_key, fingerprint))
		return NULL;
	return json_pack(
		"{s:s, s:s, s:o, s:o, s:o, s:i, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o}",
		"config", s->config, "srk_handle", handle, "srk_name",
		hex_json(s->conf.srk_name, TPM_NAME_SIZE), "srk_present",
		s->tpm_error.cause ? json_null() : json_boolean(s->srk_same),
		"policy_key", hex_json(fingerprint + 2, APPROVAL_HASH_SIZE), "approvals",
		(int)s->conf.approval_count, "approved_states", approvals_json(s), "pcrs",
		host_pcrs_json(s), "approved", s->match && s->srk_same, "kms",
		kms_json(&s->conf), "anchor", anchor_json(s), "attest", attest_json(s),
		"recovery_key", recovery_json(&s->conf), "tpm_error",
		s->tpm_error.cause ? json_string(s->tpm_error.text) : json_null());
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "-";
}

static void print_host_pcrs(const json_t *pcrs)
{
	const json_t *pcr;
	size_t i;

	json_array_foreach(pcrs, i, pcr)
	{
		const char *now = text(pcr, "now"), *approved = text(pcr, "approved");
		bool same = !strcmp(now, approved);

		printf("PCR %-2d      %s%s\n",
		       (int)json_integer_value(json_object_get(pcr, "pcr")), now,
		       same ? "" : "  differs from what is approved:");
		if (!same)
			printf("            %s\n", approved);
	}
}

static void print_host_approvals(const struct show *s)
{
	char pcrs[APPROVAL_PCRS * 3];
	size_t i;

	for (i = 0; i < s->conf.approval_count; i++) {
		const struct approval *a = &s->conf.approvals[i];
		const struct hostconf_note *n = &s->conf.notes[i];

		approval_pcrs_print(a->pcrs, pcrs);
		printf("approval %-2zu %-20s  PCRs %s  %s%s\n", i + 1,
		       n->at[0] ? n->at : "-", pcrs, n->label[0] ? n->label : "-",
		       !is_signed(s, a) ? "  NOT SIGNED by the policy key: opens nothing"
		       : is_revoked(s, a) ? "  REVOKED: opens nothing"
		       : s->match == a	  ? "  (now)"
					  : "");
	}
}

static void print_verdict(const struct show *s)
{
	if (s->tpm_error.cause)
		printf("boot state  unknown: %s\n", s->tpm_error.text);
	else if (!s->srk_same)
		printf("boot state  another TPM: its storage key is not the pinned one; put "
		       "the old TPM back\n");
	else if (s->counter_error.cause)
		printf("boot state  NOT approved: %s\n", s->counter_error.text);
	else if (s->match)
		printf("boot state  approved\n");
	else
		printf("boot state  NOT approved: vTPMs that need this TPM will not start; "
		       "boot the approved system again, or, when the change is yours, "
		       "`vtpmctl host approve`\n");
}

static void print_host_anchor(const json_t *anchor)
{
	if (json_is_null(anchor))
		printf("anchor      none: an older store is not noticed; make it with "
		       "`vtpmctl host anchor --init`\n");
	else if (json_is_string(json_object_get(anchor, "error")))
		printf("anchor      LOST: %s\n", text(anchor, "error"));
	else
		printf("anchor      %s, %s\n", text(anchor, "nv_index"),
		       text(anchor, "value"));
}

static void print_attest(const struct show *s)
{
	char hex[2 * TPM_NAME_SIZE + 1];

	hex_encode(s->conf.ak_name, TPM_NAME_SIZE, hex);
	if (!s->conf.ak_handle)
		printf("attest      no key: make it with `vtpmctl host quote --init`\n");
	else
		printf("attest      0x%08x, Name %s\n", s->conf.ak_handle, hex);
}

static void print_text(const struct show *s, const json_t *all)
{
	const json_t *kms = json_object_get(all, "kms");

	printf("config      %s\n", s->config);
	printf("storage key %s, Name %s\n", text(all, "srk_handle"),
	       text(all, "srk_name"));
	printf("policy key  SHA-256 %s\n", text(all, "policy_key"));
	print_host_pcrs(json_object_get(all, "pcrs"));
	print_verdict(s);
	print_host_approvals(s);
	print_host_anchor(json_object_get(all, "anchor"));
	print_attest(s);
	if (json_is_null(json_object_get(all, "recovery_key")))
		printf("recovery    no key: a broken mainboard takes the vTPMs with it; "
		       "`vtpmctl host renew --recovery-key`\n");
	else
		printf("recovery    key SHA-256 %s\n", text(all, "recovery_key"));
	if (json_is_null(kms)) {
		printf("KMS         none: only vTPMs of --policy tpm can be made\n");
		return;
	}
	printf("KMS         %s, key %s%s\n", text(kms, "address"), text(kms, "key_id"),
	       strcmp(text(kms, "mode"), "get") ? "" : ", which it gives out (mode get)");
	if (!text(kms, "cert_subject")[0] &&
	    !json_is_true(json_object_get(kms, "cert_expired"))) {
		printf("certificate none: a token\n");
		return;
	}
	printf("certificate %s, %s %s\n", text(kms, "cert_subject"),
	       json_is_true(json_object_get(kms, "cert_expired")) ? "EXPIRED" : "until",
	       text(kms, "cert_expires"));
}

int host_show_main(int argc, char **argv)
{
	struct show s = {.tcti = TPM_TCTI, .config = HOSTCONF_PATH};
	struct error e = {0};
	json_t *all;

	args_parse_or_exit(&command, argc, argv, &s);
	if (hostfile_load(s.config, &s.conf, &e))
		return vtpmctl_fail(&e);
	ask_tpm(&s);
	all = host_to_json(&s);
	if (s.json)
		json_dumpf(all, stdout, JSON_INDENT(2));
	else
		print_text(&s, all);
	if (s.json)
		putchar('\n');
	json_decref(all);
	hostconf_free(&s.conf);
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}
