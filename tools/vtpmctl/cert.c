/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/certprint.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/group.h"
#include "tools/vtpmctl/holder.h"
#include "lib/hex.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <openssl/pem.h>

struct cert {
	const char *name, *file, *socket;
	bool replace;
};

static const struct args_option show_options[] = {
	CLIENT_SOCKET_OPTION(struct cert),
};

static const struct args_command show_command = {
	.usage = "cert show NAME [OPTIONS]",
	.about =
		"Tells which certificates a vTPM has, each by its NV index in the TPM.\n",
	.options = show_options,
	.option_count = ARRAY_SIZE(show_options),
	.word = "NAME",
	.word_offset = offsetof(struct cert, name),
};

static const struct args_option export_options[] = {
	{.name = "replace",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct cert, replace),
	 .help = "write over FILE when it is there"},
	CLIENT_SOCKET_OPTION(struct cert),
};

static const struct args_command export_command = {
	.usage = "cert export NAME FILE [OPTIONS]",
	.about = "Writes a vTPM's certificates into a file, as PEM.\n",
	.options = export_options,
	.option_count = ARRAY_SIZE(export_options),
	.word = "NAME",
	.word_offset = offsetof(struct cert, name),
	.second = "FILE",
	.second_offset = offsetof(struct cert, file),
};

static const struct vtpmctl_command commands[] = {
	{"issue", "issue a vTPM's certificates with the local CA", cert_issue_main},
	{"install", "give it a certificate that another CA has issued",
	 cert_install_main},
	{"show", "which certificates it has", cert_show_main},
	{"export", "write them into a file", cert_export_main},
};

int cert_main(int argc, char **argv)
{
	return group_main("cert", commands, ARRAY_SIZE(commands), argc, argv);
}

static const uint8_t *decode(const json_t *value, uint8_t der[HOLDER_CERT_MAX],
			     size_t *len)
{
	const char *hex = json_string_value(value);

	*len = HOLDER_CERT_MAX;
	return hex && !hex_decode(hex, der, len) ? der : NULL;
}

static int ask(const struct cert *c, json_t **reply)
{
	int status =
		client_call(c->socket, client_request("certificates", c->name), reply);

	if (status || json_object_size(json_object_get(*reply, "certificates")))
		return status;
	json_decref(*reply);
	fprintf(stderr,
		"vtpmctl: %s has no certificates: `vtpmctl cert issue %s`, or `vtpmctl "
		"csr %s` for another CA\n",
		c->name, c->name, c->name);
	return VTPMCTL_FAILED;
}

int cert_show_main(int argc, char **argv)
{
	struct cert c = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&show_command, argc, argv, &c);
	uint8_t der[HOLDER_CERT_MAX];
	json_t *reply, *value;
	const char *index;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	status = ask(&c, &reply);
	if (status)
		return status;
	json_object_foreach(json_object_get(reply, "certificates"), index, value)
	{
		size_t len;
		const uint8_t *at = decode(value, der, &len);
		X509 *cert = at ? d2i_X509(NULL, &at, (long)len) : NULL;

		if (cert)
			certprint(index, cert);
		else
			printf("%-11s an attribute certificate, %zu bytes\n", index, len);
		X509_free(cert);
	}
	json_decref(reply);
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}

static int write_pem(BIO *bio, const uint8_t *der, size_t len)
{
	const uint8_t *at = der;
	X509 *cert = d2i_X509(NULL, &at, (long)len);
	const char *what = cert ? PEM_STRING_X509 : "ATTRIBUTE CERTIFICATE";

	X509_free(cert);
	return PEM_write_bio(bio, what, "", der, (long)len) > 0;
}

static int write_all(const struct cert *c, const json_t *certs, struct error *e)
{
	BIO *bio = BIO_new(BIO_s_mem());
	uint8_t der[HOLDER_CERT_MAX];
	const char *index;
	json_t *value;
	char *pem = NULL;
	long len;
	bool ok = bio != NULL;
	int rc;

	json_object_foreach((json_t *)certs, index, value)
	{
		size_t n;
		const uint8_t *at = decode(value, der, &n);

		ok = ok && at && write_pem(bio, at, n);
	}
	if (ok) {
		len = BIO_get_mem_data(bio, &pem);
		rc = file_save(c->file, 0644, c->replace, pem, (size_t)len, e);
	} else {
		rc = error_set(
			e, -ENOMEM, CAUSE_INTERNAL,
			"OpenSSL could not write the certificates: out of memory?");
	}
	BIO_free(bio);
	return rc;
}

int cert_export_main(int argc, char **argv)
{
	struct cert c = {.socket = CLIENT_SOCKET};
	enum args_result parsed = args_parse(&export_command, argc, argv, &c);
	struct error e = {.cause = CAUSE_NONE};
	json_t *reply;
	int status;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	status = ask(&c, &reply);
	if (status)
		return status;
	if (write_all(&c, json_object_get(reply, "certificates"), &e))
		status = vtpmctl_fail(&e);
	json_decref(reply);
	return status;
}
