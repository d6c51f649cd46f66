/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/kmskey.h"
#include "tools/vtpmctl/file.h"
#include "lib/cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static const uint8_t aad[] = "xen-vtpm kms client key"; /* its zero is not part */
#define AAD_SIZE (sizeof(aad) - 1)

static X509 *first_certificate(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	/* the text is the passphrase: nobody is asked for one */
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, "") : NULL;

	BIO_free(bio);
	return cert;
}

static int read_certificate(const char *path, char **pem, X509 **cert, struct error *e)
{
	size_t len;
	int rc = file_read(path, pem, &len, e);

	if (rc)
		return rc;
	*cert = first_certificate(*pem);
	if (*cert)
		return 0;
	return error_set(e, -EINVAL, CAUSE_INTERNAL,
			 "%s holds no PEM certificate; convert it with `openssl x509`",
			 path);
}

static int to_pkcs8(EVP_PKEY *key, struct kmskey *k)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *pem;
	long len = 0;

	if (bio &&
	    PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		len = BIO_get_mem_data(bio, &pem);
	if (len > 0 && len < UINT16_MAX)
		k->key_pem = malloc((size_t)len + 1);
	if (k->key_pem) {
		memcpy(k->key_pem, pem, (size_t)len);
		k->key_pem[len] = 0;
		k->key_len = (size_t)len;
	}
	BIO_free(bio); /* secmem: wiped */
	return k->key_pem ? 0 : -ENOMEM;
}

static int check_pair(X509 *cert, EVP_PKEY *key, const char *cert_path,
		      const char *key_path, struct error *e)
{
	if (X509_check_private_key(cert, key) != 1)
		return error_set(
			e, -EINVAL, CAUSE_INTERNAL,
			"the key in %s does not belong to the certificate in %s; "
			"give the two that were made together",
			key_path, cert_path);
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "the certificate in %s has expired; have the KMS's "
				 "operator issue a new one",
				 cert_path);
	if (X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0)
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "the certificate in %s is not valid yet; check this "
				 "host's clock",
				 cert_path);
	return 0;
}

static int load_pair(struct kmskey *k, const char *cert, const char *key, struct error *e)
{
	X509 *cert_x509 = NULL;
	EVP_PKEY *pkey = NULL;
	int rc = read_certificate(cert, &k->cert_pem, &cert_x509, e);

	if (!rc)
		rc = pemfile_key(key, &pkey,
				 "holds no PEM private key without passphrase; convert "
				 "it with `openssl pkey`",
				 e);
	if (!rc)
		rc = check_pair(cert_x509, pkey, cert, key, e);
	if (!rc && to_pkcs8(pkey, k))
		rc = error_set(e, -ENOMEM, CAUSE_INTERNAL,
			       "the key in %s is too large; use an EC or RSA key", key);
	X509_free(cert_x509);
	EVP_PKEY_free(pkey);
	return rc;
}

int kmskey_load(struct kmskey *k, const char *ca, const char *cert, const char *key,
		struct error *e)
{
	X509 *ca_x509 = NULL;
	int rc;

	memset(k, 0, sizeof(*k));
	rc = ca ? read_certificate(ca, &k->ca_pem, &ca_x509, e) : 0;
	if (!rc && cert)
		rc = load_pair(k, cert, key, e);
	X509_free(ca_x509);
	if (rc)
		kmskey_free(k);
	return rc;
}

void kmskey_free(struct kmskey *k)
{
	if (k->key_pem)
		OPENSSL_cleanse(k->key_pem, k->key_len);
	free(k->key_pem);
	free(k->ca_pem);
	free(k->cert_pem);
	memset(k, 0, sizeof(*k));
}

int kmskey_encrypt(const struct kmskey *k, const uint8_t wrap_key[CRYPT_KEY_SIZE],
		   uint8_t *out)
{
	struct cursor c = cursor_writer(out, k->key_len + KMSKEY_OVERHEAD);
	uint8_t iv[CRYPT_IV_SIZE], tag[CRYPT_TAG_SIZE];
	uint8_t *sealed = malloc(k->key_len);
	int rc = -ENOMEM;

	if (!sealed)
		return rc;
	rc = crypt_random(iv, sizeof(iv));
	if (!rc)
		rc = crypt_gcm_seal(wrap_key, iv, aad, AAD_SIZE,
				    (const uint8_t *)k->key_pem, k->key_len, sealed, tag);
	if (!rc) {
		cursor_put(&c, iv, sizeof(iv));
		cursor_put_u16(&c, (uint16_t)k->key_len);
		cursor_put(&c, sealed, k->key_len);
		cursor_put(&c, tag, sizeof(tag));
	}
	free(sealed);
	return rc;
}

int kmskey_decrypt(const uint8_t wrap_key[CRYPT_KEY_SIZE], const uint8_t *in, size_t len,
		   uint8_t *plain, size_t *plain_len)
{
	struct cursor c = cursor_reader(in, len);
	const uint8_t *iv = cursor_bytes(&c, CRYPT_IV_SIZE);
	uint16_t n = cursor_u16(&c);
	const uint8_t *sealed = cursor_bytes(&c, n);
	const uint8_t *tag = cursor_bytes(&c, CRYPT_TAG_SIZE);

	if (!cursor_done(&c))
		return -EBADMSG;
	*plain_len = n;
	return crypt_gcm_open(wrap_key, iv, aad, AAD_SIZE, sealed, n, plain, tag);
}

int kmskey_describe(const char *cert_pem, char **subject, time_t *expires)
{
	X509 *cert = first_certificate(cert_pem);
	BIO *bio = BIO_new(BIO_s_mem());
	struct tm tm;
	char *text;
	long len;
	int rc = -EINVAL;

	*subject = NULL;
	if (cert && bio && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 &&
	    X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >=
		    0) {
		len = BIO_get_mem_data(bio, &text);
		*subject = strndup(text, (size_t)len);
		*expires = timegm(&tm);
		rc = *subject ? 0 : -ENOMEM;
	}
	BIO_free(bio);
	X509_free(cert);
	return rc;
}
