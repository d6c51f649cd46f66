/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/ca.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/cakey.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/group.h"
#include "tools/vtpmctl/tpm.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/pem.h>

#define ROOT_DAYS 7300 /* twenty years; of the certificates: see --days */

struct init {
	const char *folder, *where, *name, *tcti;
	unsigned int days;
	bool intermediate;
	EVP_PKEY *root_key, *key;
	X509 *root, *cert; /* the same without --intermediate */
};

static const struct args_option options[] = {
	{.name = "key",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct init, where),
	 .value = "file|tpm|pkcs11:URI",
	 .help = "where the CA's key is, file"},
	{.name = "intermediate",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct init, intermediate),
	 .help = "under a root, whose key can leave the host"},
	{.name = "name",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct init, name),
	 .value = "NAME",
	 .help = "in its certificate, xen-vtpm CA of HOST"},
	{.name = "days",
	 .kind = ARGS_NUMBER,
	 .offset = offsetof(struct init, days),
	 .value = "N",
	 .help = "of the vTPMs' certificates, 3650",
	 .min = 1,
	 .max = 36500},
	{.name = "tcti",
	 .kind = ARGS_TEXT,
	 .offset = offsetof(struct init, tcti),
	 .value = "TCTI",
	 .help = "of --key tpm, " TPM_TCTI},
	CA_FOLDER_OPTION(struct init),
};

static const struct args_command command = {
	.usage = "ca init [OPTIONS]",
	.about =
		"Makes the CA that issues certificates for vTPMs: from then on `vtpmctl create`\n"
		"gives each one its EK certificates and a platform certificate.\n"
		"DIR/chain.pem is what a verifier trusts.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static int path_of(const struct init *i, const char *name, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/%s", i->folder, name) < PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

static int make_folder(const struct init *i, struct error *e)
{
	if (ca_is_there(i->folder))
		return error_set(e, -EEXIST, CAUSE_STATE_EXISTS,
				 "There is a CA in %s already: move that folder away "
				 "first, if another one shall take its place",
				 i->folder);
	if (file_make_folder(i->folder, e))
		return -EIO;
	if (mkdir(i->folder, 0700) && errno != EEXIST)
		return error_set(e, -errno, CAUSE_INTERNAL, "cannot make %s: %s",
				 i->folder, strerror(errno));
	return 0;
}

static int make_root(struct init *i, const char *name, struct error *e)
{
	struct certmake_issuer own = {.key = i->root_key};
	char root_name[128], path[PATH_MAX];
	int rc;

	i->root_key = EVP_EC_gen("P-384");
	own.key = i->root_key;
	snprintf(root_name, sizeof(root_name), "%s, root", name);
	if (!i->root_key || path_of(i, "root-key.pem", path))
		return error_set(e, -EIO, CAUSE_RANDOM,
				 "OpenSSL could not make the root's key; see that the "
				 "system's random generator works");
	rc = cakey_save(i->root_key, path, e);
	return rc ? rc
		  : certmake_ca(&own, i->root_key, root_name, ROOT_DAYS, 1, &i->root, e);
}

static int make(struct init *i, struct error *e)
{
	struct certmake_issuer by = {NULL, NULL};
	char host[65] = "", ours[96];
	const char *name = i->name ? i->name : ours;
	int rc = 0;

	(void)!gethostname(host, sizeof(host) - 1);
	snprintf(ours, sizeof(ours), "xen-vtpm CA of %s", host[0] ? host : "a host");
	/* before the TPM's provider is there, which would write the root's key */
	if (i->intermediate)
		rc = make_root(i, name, e);
	if (!rc)
		rc = cakey_make(i->where, i->folder, i->tcti, &i->key, e);
	if (rc)
		return rc;
	by.cert = i->root;
	by.key = i->root ? i->root_key : i->key;
	return certmake_ca(&by, i->key, name, ROOT_DAYS, 0, &i->cert, e);
}

static int write_certs(const struct init *i, const char *name, bool chain,
		       struct error *e)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char path[PATH_MAX], *pem = NULL;
	long len;
	int rc;

	if (!bio || path_of(i, name, path) || PEM_write_bio_X509(bio, i->cert) != 1 ||
	    (chain && i->root && PEM_write_bio_X509(bio, i->root) != 1)) {
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "OpenSSL could not write %s: out of memory?", name);
	} else {
		len = BIO_get_mem_data(bio, &pem);
		rc = file_write(path, 0644, true, pem, (size_t)len, e);
	}
	BIO_free(bio);
	return rc;
}

/* Last: with it the CA is there. */
static int write_json(const struct init *i, struct error *e)
{
	json_t *root = json_pack("{s:i, s:s, s:i}", "version", 1, "key", i->where, "days",
				 (int)i->days);
	char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	char path[PATH_MAX];
	int rc;

	json_decref(root);
	if (!text || path_of(i, "ca.json", path))
		rc = error_set(e, -ENOMEM, CAUSE_INTERNAL, "vtpmctl is out of memory");
	else
		rc = file_write(path, 0600, false, text, strlen(text), e);
	free(text);
	return rc;
}

static bool where_ok(const char *where)
{
	return !strcmp(where, "file") || !strcmp(where, "tpm") ||
	       (!strncmp(where, "pkcs11:", 7) && where[7]);
}

int ca_init_main(int argc, char **argv)
{
	struct init i = {
		.folder = CA_FOLDER, .where = "file", .tcti = TPM_TCTI, .days = CA_DAYS};
	enum args_result parsed = args_parse(&command, argc, argv, &i);
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	if (!where_ok(i.where)) {
		fprintf(stderr,
			"vtpmctl: --key is \"file\", \"tpm\", or a pkcs11: URI\n");
		return VTPMCTL_USAGE;
	}
	rc = make_folder(&i, &e);
	if (!rc)
		rc = make(&i, &e);
	if (!rc)
		rc = write_certs(&i, "ca.pem", false, &e);
	if (!rc)
		rc = write_certs(&i, "chain.pem", true, &e);
	if (!rc)
		rc = write_json(&i, &e);
	if (!rc && i.intermediate)
		fprintf(stderr,
			"Move %s/root-key.pem to a safe place off this host: nothing here "
			"needs it.\n",
			i.folder);
	X509_free(i.root);
	X509_free(i.cert);
	EVP_PKEY_free(i.root_key);
	EVP_PKEY_free(i.key);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}
