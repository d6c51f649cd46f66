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
	struct ca ca;
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
	.word_or = "all",
	.word_or_offset = offsetof(struct cert_issue, all),
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

static int issue_next(void *context, const json_t *vtpm)
{
	const struct cert_issue *c = context;
	const char *name = client_text(vtpm, "name"), *state = client_text(vtpm, "state");
	int status = VTPMCTL_FAILED;

	if (!strcmp(client_text(vtpm, "tpm"), "1.2")) {
		printf("%s: passed over, a TPM 1.2 has no such certificates\n", name);
		return VTPMCTL_OK;
	}
	if (strcmp(state, "running")) {
		printf("%s: not issued, it is %s: `vtpmctl start %s`, then again\n", name,
		       state, name);
	} else {
		status = issue(&c->ca, c->socket, name);
		printf("%s: %s\n", name, status ? "failed" : "issued");
	}
	return status;
}

int cert_issue_main(int argc, char **argv)
{
	struct cert_issue c = {
		.socket = CLIENT_SOCKET, .folder = CA_FOLDER, .tcti = TPM_TCTI};
	enum args_result parsed = args_parse(&command, argc, argv, &c);
	struct error e = {.cause = CAUSE_NONE};
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (ca_open(&c.ca, c.folder, c.tcti, true, &e))
		return vtpmctl_fail(&e);
	status = c.all ? client_each(c.socket, issue_next, &c)
		       : issue(&c.ca, c.socket, c.name);
	ca_close(&c.ca);
	return status;
}
