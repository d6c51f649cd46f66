/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/cakey.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/pemfile.h"

#include <errno.h>
#include <stdbool.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/encoder.h>
#include <openssl/pem.h>
#include <openssl/provider.h>

/* For as long as the program runs: keys live in it. */
static OSSL_PROVIDER *tpm2;

static bool in_token(const char *where)
{
	return !strncmp(where, "pkcs11:", 7);
}

static int with_tpm(const char *tcti, struct error *e)
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

static int encode(EVP_PKEY *key, BIO *bio)
{
	OSSL_ENCODER_CTX *ctx = OSSL_ENCODER_CTX_new_for_pkey(
		key, EVP_PKEY_KEYPAIR, "PEM", tpm2 ? NULL : "PrivateKeyInfo",
		tpm2 ? "provider=tpm2" : NULL);
	int ok = ctx && OSSL_ENCODER_to_bio(ctx, bio) == 1;

	OSSL_ENCODER_CTX_free(ctx);
	return ok;
}

int cakey_save(EVP_PKEY *key, const char *path, struct error *e)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *pem = NULL;
	long len;
	int rc;

	if (!bio || !encode(key, bio)) {
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

int cakey_make(const char *where, const char *folder, const char *tcti, EVP_PKEY **key,
	       struct error *e)
{
	bool tpm = !strcmp(where, "tpm");
	char path[PATH_MAX];
	int rc = key_path(folder, path, e);

	if (in_token(where))
		return cakey_load(where, folder, tcti, key, e);
	if (!rc && tpm)
		rc = with_tpm(tcti, e);
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

int cakey_load(const char *where, const char *folder, const char *tcti, EVP_PKEY **key,
	       struct error *e)
{
	char path[PATH_MAX];
	int rc = key_path(folder, path, e);

	if (in_token(where))
		return cakey_token(where, key, e);
	if (!rc && !strcmp(where, "tpm"))
		rc = with_tpm(tcti, e);
	return rc ? rc
		  : pemfile_key(path, key,
				"holds no private key that can be used here: put back "
				"what `vtpmctl ca init` made, or see that the TPM is the "
				"same",
				e);
}
