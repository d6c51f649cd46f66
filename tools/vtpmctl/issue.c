/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/issue.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/holder.h"
#include "tools/vtpmctl/tpm.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct cert_issue {
	const char *name, *socket, *folder, *tcti;
	bool all;
};

static const struct args_option options[] = {
	{.name = "all",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct cert_issue, all),
	 .help = "every vTPM that runs, one after the other"},
	{.name = "tcti",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct cert_issue, tcti),
	 .value = "TCTI",
	 .help = "of a CA key in the TPM, " TPM_TCTI},
	CA_FOLDER_OPTION(struct cert_issue),
	CLIENT_SOCKET_OPTION(struct cert_issue),
};

static const struct args_command command = {
	.usage = "cert issue {NAME | --all} [OPTIONS]",
	.about =
		"Issues EK certificates and a platform certificate for a vTPM with the CA of\n"
		"`vtpmctl ca init`, in the place of those that it has; its guest goes on.\n"
		"With --all the status is 0 when every vTPM of this host has new ones.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct cert_issue, name),
	.word_optional = true,
};

static int add(json_t *certs, const char *index, X509 *cert, struct error *e)
{
	int rc = holder_add_x509(certs, index, cert);

	X509_free(cert);
	if (rc)
		error_set(
			e, rc, CAUSE_INTERNAL,
			"A certificate of this CA is larger than the %d bytes that a TPM "
			"has room for: give the CA a smaller key, or a shorter --name",
			HOLDER_CERT_MAX);
	return rc;
}

static int issue_all(const struct ca *ca, const struct holder *h, json_t *certs,
		     struct error *e)
{
	const struct certmake_issuer by = {ca->cert, ca->key};
	const char *uuid = json_string_value(json_object_get(h->reply, "uuid"));
	X509 *cert;
	unsigned int i;
	int rc = 0;

	for (i = 0; i < h->eks && !rc; i++) {
		rc = certmake_ek(&by, h->ek[i].key, ca->days, &cert, e);
		if (!rc)
			rc = add(certs, h->ek[i].index, cert, e);
		if (rc || strcmp(h->ek[i].alg, "rsa2048"))
			continue;
		rc = certmake_platform(&by, h->ek[i].key, uuid ? uuid : "", ca->days,
				       &cert, e);
		if (!rc)
			rc = add(certs, HOLDER_PLATFORM, cert, e);
	}
	return rc;
}

int issue(const struct ca *ca, const char *socket, const char *name)
{
	struct error e = {.cause = CAUSE_NONE};
	json_t *certs = json_object();
	struct holder h;
	int status = holder_ask(&h, socket, name), rc;

	if (status) {
		json_decref(certs);
		return status;
	}
	rc = issue_all(ca, &h, certs, &e);
	holder_free(&h);
	if (!rc)
		return holder_install(socket, name, certs);
	json_decref(certs);
	return vtpmctl_fail(&e);
}

/* VTPMCTL_NO_VTPMD when there is no sense in going on. */
static int issue_next(const struct cert_issue *c, const struct ca *ca, const json_t *vtpm)
{
	const char *name = json_string_value(json_object_get(vtpm, "name"));
	const char *state = json_string_value(json_object_get(vtpm, "state"));
	int status = VTPMCTL_FAILED;

	if (!name || !state)
		return VTPMCTL_FAILED;
	if (strcmp(state, "running")) {
		printf("%s: not issued, it is %s: `vtpmctl start %s`, then again\n", name,
		       state, name);
	} else {
		status = issue(ca, c->socket, name);
		printf("%s: %s\n", name, status ? "failed" : "issued");
	}
	return fflush(stdout) ? VTPMCTL_FAILED : status;
}

static int issue_every(const struct cert_issue *c, const struct ca *ca)
{
	json_t *reply, *vtpm;
	bool failed = false;
	size_t i;
	int status = client_call(c->socket, client_request("list", NULL), &reply);

	if (status)
		return status;
	json_array_foreach(json_object_get(reply, "vtpms"), i, vtpm)
	{
		status = issue_next(c, ca, vtpm);
		failed |= status != VTPMCTL_OK;
		if (status == VTPMCTL_NO_VTPMD)
			break;
	}
	json_decref(reply);
	if (status == VTPMCTL_NO_VTPMD)
		return status;
	return failed ? VTPMCTL_FAILED : VTPMCTL_OK;
}

int cert_issue_main(int argc, char **argv)
{
	struct cert_issue c = {
		.socket = CLIENT_SOCKET, .folder = CA_FOLDER, .tcti = TPM_TCTI};
	enum args_result parsed = args_parse(&command, argc, argv, &c);
	struct error e = {.cause = CAUSE_NONE};
	struct ca ca;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (!c.name == !c.all) {
		fprintf(stderr,
			"vtpmctl: give either the NAME of a vTPM or --all; usage: vtpmctl "
			"%s (--help says more)\n",
			command.usage);
		return VTPMCTL_USAGE;
	}
	if (ca_open(&ca, c.folder, c.tcti, true, &e))
		return vtpmctl_fail(&e);
	status = c.all ? issue_every(&c, &ca) : issue(&ca, c.socket, c.name);
	ca_close(&ca);
	return status;
}
