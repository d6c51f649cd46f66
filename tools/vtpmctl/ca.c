/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/ca.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/x509.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/tpm.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/encoder.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int cakey_load(const char *where, const char *folder, const char *tcti,
		      EVP_PKEY **key, struct error *e);

/* For as long as the program runs: keys live in it. */
static OSSL_PROVIDER *tpm2;

static bool in_token(const char *where)
{
	return !strncmp(where, "pkcs11:", 7);
}

static int ca_with_tpm(const char *tcti, struct error *e)
{
	if (tpm2)
		return 0;
	/* "default" is loaded unasked only as long as no other one is */
	if (setenv("TPM2OPENSSL_TCTI", tcti, 1) || !OSSL_PROVIDER_load(NULL, "default") ||
	    !(tpm2 = OSSL_PROVIDER_load(NULL, "tpm2")))
		return error_set(e, -ENODEV, CAUSE_NOT_CONFIGURED,
				 "OpenSSL has no provider for the host's TPM, or the TPM "
				 "at %s does not answer: `apt install tpm2-openssl`",
				 tcti);
	/* hashes and random numbers need no TPM */
	if (EVP_set_default_properties(NULL, "?provider!=tpm2") != 1)
		return error_set(e, -EIO, CAUSE_INTERNAL,
				 "OpenSSL is out of memory: try again");
	return 0;
}

static EVP_PKEY *generate(const char *properties, const char *group)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", properties);
	EVP_PKEY *key = NULL;

	if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_group_name(ctx, group) != 1 ||
	    EVP_PKEY_generate(ctx, &key) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static int encode_ca(EVP_PKEY *key, BIO *bio)
{
	OSSL_ENCODER_CTX *ctx = OSSL_ENCODER_CTX_new_for_pkey(
		key, EVP_PKEY_KEYPAIR, "PEM", tpm2 ? NULL : "PrivateKeyInfo",
		tpm2 ? "provider=tpm2" : NULL);
	int ok = ctx && OSSL_ENCODER_to_bio(ctx, bio) == 1;

	OSSL_ENCODER_CTX_free(ctx);
	return ok;
}

/* A private key into a new file of mode 0600. */
static int cakey_save(EVP_PKEY *key, const char *path, struct error *e)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *pem = NULL;
	long len;
	int rc;

	if (!bio || !encode_ca(key, bio)) {
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "OpenSSL could not write the CA's key: out of memory?");
	} else {
		len = BIO_get_mem_data(bio, &pem);
		rc = file_write(path, 0600, false, pem, (size_t)len, e);
	}
	BIO_free(bio); /* secmem: wiped */
	return rc;
}

static int key_path(const char *folder, char path[PATH_MAX], struct error *e)
{
	if (snprintf(path, PATH_MAX, "%s/key.pem", folder) < PATH_MAX)
		return 0;
	return error_set(e, -ENAMETOOLONG, CAUSE_INTERNAL,
			 "%s is too long a name: choose another folder", folder);
}

/* Makes the key, or, of a token, takes it.  tcti: the host's TPM, as tpm2-tss names it. */
static int cakey_make(const char *where, const char *folder, const char *tcti,
		      EVP_PKEY **key, struct error *e)
{
	bool tpm = !strcmp(where, "tpm");
	char path[PATH_MAX];
	int rc = key_path(folder, path, e);

	if (in_token(where))
		return cakey_load(where, folder, tcti, key, e);
	if (!rc && tpm)
		rc = ca_with_tpm(tcti, e);
	if (rc)
		return rc;
	*key = generate(tpm ? "provider=tpm2" : NULL, tpm ? "P-256" : "P-384");
	if (!*key)
		return error_set(e, -EIO, tpm ? CAUSE_TPM_REFUSED : CAUSE_RANDOM,
				 "The CA's key could not be made %s",
				 tpm ? "in the host's TPM: see that it answers, and that "
				       "its owner has no password"
				     : "by OpenSSL: see that the system's random "
				       "generator works");
	rc = cakey_save(*key, path, e);
	if (rc) {
		EVP_PKEY_free(*key);
		*key = NULL;
	}
	return rc;
}

static int cakey_load(const char *where, const char *folder, const char *tcti,
		      EVP_PKEY **key, struct error *e)
{
	char path[PATH_MAX];
	int rc = key_path(folder, path, e);

	if (in_token(where))
		return cakey_token(where, key, e);
	if (!rc && !strcmp(where, "tpm"))
		rc = ca_with_tpm(tcti, e);
	return rc ? rc
		  : pemfile_key(path, key,
				"holds no private key that can be used here: put back "
				"what `vtpmctl ca init` made, or see that the TPM is the "
				"same",
				e);
}

static int damaged(struct error *e, const char *folder, const char *name)
{
	return error_set(e, -EBADMSG, CAUSE_INTERNAL,
			 "%s/%s is not what `vtpmctl ca init` wrote: put it back", folder,
			 name);
}

static int load_ca(const char *folder, const char *name, char **text, size_t *len,
		   struct error *e)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return damaged(e, "CA's folder", name);
	return file_read(path, text, len, e);
}

static int read_json(struct ca *ca, const char *folder, struct error *e)
{
	char *text;
	const char *where;
	size_t len;
	json_t *root;
	json_int_t days;
	int rc = load_ca(folder, "ca.json", &text, &len, e);

	if (rc)
		return rc;
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	where = json_string_value(json_object_get(root, "key"));
	days = json_integer_value(json_object_get(root, "days"));
	ca->where = where ? strdup(where) : NULL;
	ca->days = (unsigned int)days;
	if (!ca->where || days < 1 || days > 36500 ||
	    json_integer_value(json_object_get(root, "version")) != 1)
		rc = damaged(e, folder, "ca.json");
	json_decref(root);
	return rc;
}

static int read_cert(struct ca *ca, const char *folder, struct error *e)
{
	char *text;
	size_t len;
	BIO *bio;
	int rc = load_ca(folder, "ca.pem", &text, &len, e);

	if (rc)
		return rc;
	bio = BIO_new_mem_buf(text, (int)len);
	ca->cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	free(text);
	return ca->cert ? 0 : damaged(e, folder, "ca.pem");
}

bool ca_is_there(const char *folder)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/ca.json", folder) < (int)sizeof(path) &&
	       !access(path, F_OK);
}

int ca_open(struct ca *ca, const char *folder, const char *tcti, bool with_key,
	    struct error *e)
{
	int rc;

	memset(ca, 0, sizeof(*ca));
	if (!ca_is_there(folder))
		return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
				 "There is no CA in %s: `vtpmctl ca init` makes one, or "
				 "use another with `vtpmctl csr`",
				 folder);
	rc = read_json(ca, folder, e);
	if (!rc)
		rc = read_cert(ca, folder, e);
	if (!rc && with_key)
		rc = cakey_load(ca->where, folder, tcti, &ca->key, e);
	if (!rc && with_key && X509_check_private_key(ca->cert, ca->key) != 1)
		rc = error_set(e, -EINVAL, CAUSE_INTERNAL,
			       "The key of the CA in %s is not the one of its "
			       "certificate: put back what `vtpmctl ca init` made",
			       folder);
	if (rc)
		ca_close(ca);
	return rc;
}

void ca_close(struct ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
	free(ca->where);
	memset(ca, 0, sizeof(*ca));
}

#define ROOT_DAYS 7300 /* twenty years; of the certificates: see --days */

struct init {
	const char *folder, *where, *name, *tcti;
	unsigned int days;
	bool intermediate;
	EVP_PKEY *root_key, *key;
	X509 *root, *cert; /* the same without --intermediate */
};

static const struct args_option ca_init_options[] = {
	OPTION_TEXT("key", struct init, where, "file|tpm|pkcs11:URI",
		    "where the CA's key is, file"),
	OPTION_FLAG("intermediate", struct init, intermediate,
		    "under a root, whose key can leave the host"),
	OPTION_TEXT("name", struct init, name, "NAME",
		    "in its certificate, xen-vtpm CA of HOST"),
	OPTION_NUMBER("days", struct init, days, "N", 1, 36500,
		      "of the vTPMs' certificates, 3650"),
	OPTION_TEXT("tcti", struct init, tcti, "TCTI", "of --key tpm, " TPM_TCTI),
	CA_FOLDER_OPTION(struct init),
};

static const struct args_command ca_init_command = {
	.usage = "ca init [OPTIONS]",
	.about =
		"Makes the CA that issues certificates for vTPMs: from then on `vtpmctl create`\n"
		"gives each one its EK certificates and a platform certificate.\n"
		"DIR/chain.pem is what a verifier trusts.\n",
	.options = ca_init_options,
	.option_count = ARRAY_SIZE(ca_init_options),
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

static int make_ca(struct init *i, struct error *e)
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
		rc = file_write(path, 0644, false, pem, (size_t)len, e);
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
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	args_parse_or_exit(&ca_init_command, argc, argv, &i);
	if (!where_ok(i.where)) {
		fprintf(stderr,
			"vtpmctl: --key is \"file\", \"tpm\", or a pkcs11: URI\n");
		return VTPMCTL_USAGE;
	}
	rc = make_folder(&i, &e);
	if (!rc)
		rc = make_ca(&i, &e);
	if (!rc)
		rc = write_certs(&i, "ca.pem", false, &e);
	if (!rc)
		rc = write_certs(&i, "chain.pem", true, &e);
	if (!rc)
		rc = write_json(&i, &e);
	if (!rc)
		fprintf(stderr,
			"The CA is made. Now:\n"
			"- `vtpmctl cert issue --all` gives its certificates to the vTPMs that "
			"run;\n  new ones get them when they are created\n"
			"- give %s/chain.pem to those who shall trust these vTPMs (\"ek_ca\" of\n"
			"  vtpm-verify's policy)\n",
			i.folder);
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

struct show {
	const char *folder, *tcti;
};

static const struct args_option ca_show_options[] = {
	OPTION_TEXT("tcti", struct show, tcti, "TCTI", "of a key in the TPM, " TPM_TCTI),
	CA_FOLDER_OPTION(struct show),
};

static const struct args_command ca_show_command = {
	.usage = "ca show [OPTIONS]",
	.about = "Tells about the CA, and whether its key can be used.\n",
	.options = ca_show_options,
	.option_count = ARRAY_SIZE(ca_show_options),
};

static const struct vtpmctl_command commands[] = {
	{"init", "make the CA that issues the vTPMs' certificates", ca_init_main},
	{"show", "the CA, and whether its key can be used", ca_show_main},
};

int ca_main(int argc, char **argv)
{
	return group_main("ca", commands, ARRAY_SIZE(commands), argc, argv);
}

int ca_show_main(int argc, char **argv)
{
	struct show s = {.folder = CA_FOLDER, .tcti = TPM_TCTI};
	struct error e = {.cause = CAUSE_NONE};
	struct ca ca;
	int rc;

	args_parse_or_exit(&ca_show_command, argc, argv, &s);
	if (ca_open(&ca, s.folder, s.tcti, false, &e))
		return vtpmctl_fail(&e);
	certprint("CA", ca.cert);
	printf("key         %s\n", ca.where);
	printf("issues for  %u days\n", ca.days);
	ca_close(&ca);
	rc = ca_open(&ca, s.folder, s.tcti, true, &e);
	if (!rc)
		ca_close(&ca);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}
