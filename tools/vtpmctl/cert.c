/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/cert.h"
#include "lib/text.h"
#include "lib/tpm2/public.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/certfile.h"
#include "tools/vtpmctl/x509.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/tpm.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void holder_free(struct holder *h);

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
	OPTION_FLAG("replace", struct cert, replace, "write over FILE when it is there"),
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

/* "01c00002  RSA-2048 EK" */
static void label_cert(const char *index, const X509 *cert, char *out, size_t size)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	const char *what = strcmp(index, HOLDER_PLATFORM) ? "EK" : "platform";
	char group[32] = "";

	if (key && EVP_PKEY_is_a(key, "RSA"))
		snprintf(out, size, "%s  RSA-%d %s:", index, EVP_PKEY_get_bits(key),
			 what);
	else if (key && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1)
		snprintf(out, size, "%s  ECC P-%d %s:", index, EVP_PKEY_get_bits(key),
			 what);
	else
		snprintf(out, size, "%s  %s:", index, what);
}

int cert_show_main(int argc, char **argv)
{
	struct cert c = {.socket = CLIENT_SOCKET};
	uint8_t der[HOLDER_CERT_MAX];
	char label[64];
	json_t *reply, *value;
	const char *index;
	int status;

	args_parse_or_exit(&show_command, argc, argv, &c);
	status = ask(&c, &reply);
	if (status)
		return status;
	json_object_foreach(json_object_get(reply, "certificates"), index, value)
	{
		size_t len;
		const uint8_t *at = decode(value, der, &len);
		X509 *cert = at ? d2i_X509(NULL, &at, (long)len) : NULL;

		if (cert) {
			label_cert(index, cert, label, sizeof(label));
			certprint(label, cert);
		} else {
			printf("%-11s platform, an attribute certificate, %zu bytes\n",
			       index, len);
		}
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
	struct error e = {.cause = CAUSE_NONE};
	json_t *reply;
	int status;

	args_parse_or_exit(&export_command, argc, argv, &c);
	status = ask(&c, &reply);
	if (status)
		return status;
	if (write_all(&c, json_object_get(reply, "certificates"), &e))
		status = vtpmctl_fail(&e);
	json_decref(reply);
	return status;
}

static EVP_PKEY *key_of(const json_t *ek)
{
	const char *hex = json_string_value(json_object_get(ek, "public"));
	uint8_t bytes[512];
	size_t len = sizeof(bytes);
	struct tpm2_public p;

	if (!hex || hex_decode(hex, bytes, &len) || tpm2_public_parse(bytes, len, &p))
		return NULL;
	return tpm2_public_key(&p);
}

static void take_holder_ek(struct holder *h, const json_t *ek)
{
	const char *alg = json_string_value(json_object_get(ek, "alg"));
	struct holder_ek *at = &h->ek[h->eks];
	size_t i;

	for (i = 0; alg && h->eks < HOLDER_EKS && i < TPM2_CERT_EKS; i++) {
		if (strcmp(tpm2_certs[i].key, alg))
			continue;
		at->alg = tpm2_certs[i].key;
		at->index = tpm2_certs[i].hex;
		at->key = key_of(ek);
		if (at->key)
			h->eks++;
	}
}

/* An exit status; the sentence was printed. */
static int holder_ask(struct holder *h, const char *socket, const char *name)
{
	const json_t *ek;
	size_t i;
	int status;

	memset(h, 0, sizeof(*h));
	status = client_call(socket, client_request("certificates", name), &h->reply);
	if (status)
		return status;
	json_array_foreach(json_object_get(h->reply, "ek"), i, ek) take_holder_ek(h, ek);
	if (h->eks)
		return VTPMCTL_OK;
	if (!strcmp(client_text(h->reply, "tpm"), "1.2"))
		fprintf(stderr,
			"vtpmctl: %s is a TPM 1.2, which has no such certificates; for "
			"them, give its guest a TPM 2.0 (`vtpmctl create`)\n",
			name);
	else
		fprintf(stderr,
			"vtpmctl: the endorsement keys of %s are not known yet: start it once "
			"(`vtpmctl start %s`), without a password of the endorsement hierarchy\n",
			name, name);
	holder_free(h);
	return VTPMCTL_FAILED;
}

static void holder_free(struct holder *h)
{
	unsigned int i;

	for (i = 0; i < h->eks; i++)
		EVP_PKEY_free(h->ek[i].key);
	json_decref(h->reply);
	memset(h, 0, sizeof(*h));
}

/* Has vtpmd take them over; certs is released.  An exit status. */
static int holder_install(const char *socket, const char *name, json_t *certs)
{
	json_t *reply, *request = client_request("certify", name);
	int status;

	if (request)
		json_object_set_new(request, "certificates", certs);
	else
		json_decref(certs);
	status = client_call(socket, request, &reply);
	if (!status)
		json_decref(reply);
	return status;
}

struct cert_install {
	const char *name, *file, *socket;
};

static const struct args_option cert_install_options[] = {
	CLIENT_SOCKET_OPTION(struct cert_install),
};

static const struct args_command cert_install_command = {
	.usage = "cert install NAME FILE [OPTIONS]",
	.about =
		"Gives a vTPM the certificates in FILE, PEM or DER, that another CA has issued\n"
		"for its endorsement keys (`vtpmctl csr`), or a platform certificate.  Each\n"
		"takes the place of its kind's; its guest goes on.\n",
	.options = cert_install_options,
	.option_count = ARRAY_SIZE(cert_install_options),
	.word = "NAME",
	.word_offset = offsetof(struct cert_install, name),
	.second = "FILE",
	.second_offset = offsetof(struct cert_install, file),
};

int cert_install_main(int argc, char **argv)
{
	struct cert_install c = {.socket = CLIENT_SOCKET};
	struct error e = {.cause = CAUSE_NONE};
	json_t *certs;
	struct holder h;
	char *file;
	size_t len;
	int status, rc;

	args_parse_or_exit(&cert_install_command, argc, argv, &c);
	if (file_read(c.file, &file, &len, &e))
		return vtpmctl_fail(&e);
	status = holder_ask(&h, c.socket, c.name);
	if (status) {
		free(file);
		return status;
	}
	certs = json_object();
	rc = certfile_take((const uint8_t *)file, len, &h, certs, &e);
	holder_free(&h);
	free(file);
	if (!rc)
		return holder_install(c.socket, c.name, certs);
	json_decref(certs);
	return vtpmctl_fail(&e);
}

struct csr {
	const char *name, *folder, *socket;
	bool replace;
};

static const struct args_option csr_options[] = {
	OPTION_TEXT("to", struct csr, folder, "DIR",
		    "where the files go, the present folder"),
	OPTION_FLAG("replace", struct csr, replace, "write over files that are there"),
	CLIENT_SOCKET_OPTION(struct csr),
};

static const struct args_command csr_command = {
	.usage = "csr NAME [OPTIONS]",
	.about =
		"Writes what another CA needs to issue EK certificates for a vTPM:\n"
		"  NAME-ALG.pub  the endorsement key's public part\n"
		"  NAME-ALG.csr  a request with the TCG's extensions (PKCS#10)\n"
		"An EK cannot sign, so the request is signed with a key that is thrown away, and\n"
		"the CA has to put the key of the .pub file in its place:\n"
		"  openssl x509 -req -in web1-rsa2048.csr -force_pubkey web1-rsa2048.pub \\\n"
		"    -copy_extensions copy -CA ca.pem -CAkey ca.key -out web1-rsa2048.pem\n"
		"Then: vtpmctl cert install web1 web1-rsa2048.pem\n",
	.options = csr_options,
	.option_count = ARRAY_SIZE(csr_options),
	.word = "NAME",
	.word_offset = offsetof(struct csr, name),
};

static int csr_path(const struct csr *c, const char *alg, const char *end,
		    char path[PATH_MAX], struct error *e)
{
	if (snprintf(path, PATH_MAX, "%s/%s-%s.%s", c->folder, c->name, alg, end) <
	    PATH_MAX)
		return 0;
	return error_set(e, -ENAMETOOLONG, CAUSE_INTERNAL,
			 "%s is too long a name: choose another folder", c->folder);
}

/* -EEXIST before the first file is written, so that it is all of them or none. */
static int refuse_overwriting(const struct csr *c, const struct holder *h,
			      struct error *e)
{
	static const char *const ends[] = {"pub", "csr"};
	char path[PATH_MAX];
	unsigned int i;

	for (i = 0; i < 2 * h->eks && !c->replace; i++) {
		int rc = csr_path(c, h->ek[i / 2].alg, ends[i % 2], path, e);

		if (rc)
			return rc;
		if (!faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW))
			return file_there(path, "another --to", e);
	}
	return 0;
}

static int save(const struct csr *c, const char *alg, const char *end, BIO *bio,
		struct error *e)
{
	char path[PATH_MAX], *pem = NULL;
	long len = BIO_get_mem_data(bio, &pem);
	int rc = csr_path(c, alg, end, path, e);

	return rc ? rc : file_save(path, 0644, c->replace, pem, (size_t)len, e);
}

static int write_one(const struct csr *c, const struct holder_ek *ek, struct error *e)
{
	BIO *pub = BIO_new(BIO_s_mem()), *req = BIO_new(BIO_s_mem());
	X509_REQ *request = NULL;
	int rc = certmake_request(ek->key, &request, e);

	if (!rc && (!pub || !req || PEM_write_bio_PUBKEY(pub, ek->key) != 1 ||
		    PEM_write_bio_X509_REQ(req, request) != 1))
		rc = error_set(e, -ENOMEM, CAUSE_INTERNAL, "vtpmctl is out of memory");
	if (!rc)
		rc = save(c, ek->alg, "pub", pub, e);
	if (!rc)
		rc = save(c, ek->alg, "csr", req, e);
	X509_REQ_free(request);
	BIO_free(pub);
	BIO_free(req);
	return rc;
}

int csr_main(int argc, char **argv)
{
	struct csr c = {.socket = CLIENT_SOCKET, .folder = "."};
	struct error e = {.cause = CAUSE_NONE};
	struct holder h;
	unsigned int i;
	int status, rc;

	args_parse_or_exit(&csr_command, argc, argv, &c);
	status = holder_ask(&h, c.socket, c.name);
	if (status)
		return status;
	rc = refuse_overwriting(&c, &h, &e);
	for (i = 0; i < h.eks && !rc; i++)
		rc = write_one(&c, &h.ek[i], &e);
	holder_free(&h);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}

struct cert_issue {
	const char *name, *socket, *folder, *tcti;
	bool all;
	struct ca ca;
};

static const struct args_option issue_options[] = {
	OPTION_FLAG("all", struct cert_issue, all,
		    "every vTPM that runs, one after the other"),
	OPTION_TEXT("tcti", struct cert_issue, tcti, "TCTI",
		    "of a CA key in the TPM, " TPM_TCTI),
	CA_FOLDER_OPTION(struct cert_issue),
	CLIENT_SOCKET_OPTION(struct cert_issue),
};

static const struct args_command issue_command = {
	.usage = "cert issue {NAME | --all} [OPTIONS]",
	.about =
		"Issues EK certificates and a platform certificate for a vTPM with the CA of\n"
		"`vtpmctl ca init`, in the place of those that it has; its guest goes on.\n"
		"With --all the status is 0 when every vTPM of this host has new ones.\n",
	.options = issue_options,
	.option_count = ARRAY_SIZE(issue_options),
	.word = "NAME",
	.word_offset = offsetof(struct cert_issue, name),
	.word_or = "all",
	.word_or_offset = offsetof(struct cert_issue, all),
};

static int add_cert(json_t *certs, const char *index, X509 *cert, struct error *e)
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
			rc = add_cert(certs, h->ek[i].index, cert, e);
		if (rc || strcmp(h->ek[i].alg, "rsa2048"))
			continue;
		rc = certmake_platform(&by, h->ek[i].key, uuid ? uuid : "", ca->days,
				       &cert, e);
		if (!rc)
			rc = add_cert(certs, HOLDER_PLATFORM, cert, e);
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
	struct error e = {.cause = CAUSE_NONE};
	int status;

	args_parse_or_exit(&issue_command, argc, argv, &c);
	if (ca_open(&c.ca, c.folder, c.tcti, true, &e))
		return vtpmctl_fail(&e);
	status = c.all ? client_each(c.socket, issue_next, &c)
		       : issue(&c.ca, c.socket, c.name);
	ca_close(&c.ca);
	return status;
}
