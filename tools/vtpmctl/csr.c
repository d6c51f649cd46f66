/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/certmake.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/holder.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <openssl/pem.h>

struct csr {
	const char *name, *folder, *socket;
};

static const struct args_option options[] = {
	{.name = "to",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct csr, folder),
	 .value = "DIR",
	 .help = "where the files go, the present folder"},
	CLIENT_SOCKET_OPTION(struct csr),
};

static const struct args_command command = {
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
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct csr, name),
};

static int save(const struct csr *c, const char *alg, const char *end, BIO *bio,
		struct error *e)
{
	char path[PATH_MAX], *pem = NULL;
	long len = BIO_get_mem_data(bio, &pem);

	if (snprintf(path, sizeof(path), "%s/%s-%s.%s", c->folder, c->name, alg, end) >=
	    (int)sizeof(path))
		return error_set(e, -ENAMETOOLONG, CAUSE_INTERNAL,
				 "%s is too long a name: choose another folder",
				 c->folder);
	return file_write(path, 0644, true, pem, (size_t)len, e);
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
	enum args_result parsed = args_parse(&command, argc, argv, &c);
	struct error e = {.cause = CAUSE_NONE};
	struct holder h;
	unsigned int i;
	int status, rc = 0;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	status = holder_ask(&h, c.socket, c.name);
	if (status)
		return status;
	for (i = 0; i < h.eks && !rc; i++)
		rc = write_one(&c, &h.ek[i], &e);
	holder_free(&h);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}
