/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/chain.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define EK_CERTIFICATE "2.23.133.8.1" /* tcg-kp-EKCertificate */
#define STRENGTH       2	      /* OpenSSL's: 112 bits, no SHA-1 */
#define HASH_MIN       28

X509_STORE *chain_store(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509_STORE *store = X509_STORE_new();
	X509 *cert;
	int n = 0;

	while (bio && store && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		n += X509_STORE_add_cert(store, cert);
		X509_free(cert);
	}
	/* the end of the text is the only error that there may be */
	if (!n || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		X509_STORE_free(store);
		store = NULL;
	}
	ERR_clear_error();
	BIO_free(bio);
	return store;
}

/* A list that is no other's difference: OpenSSL takes a delta CRL (RFC 5280, 5.2.4) for
 * a complete one.  Nor does it judge the hash that a list is signed with. */
static bool is_usable(const X509_CRL *crl)
{
	int hash = NID_undef;
	const EVP_MD *md;

	if (!crl || X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0 ||
	    !OBJ_find_sigid_algs(X509_CRL_get_signature_nid(crl), &hash, NULL))
		return false;
	md = hash == NID_undef ? NULL : EVP_get_digestbynid(hash);
	return hash == NID_undef || (md && EVP_MD_get_size(md) >= HASH_MIN);
}

static int add_crl(X509_STORE *store, X509_CRL *crl)
{
	int added = is_usable(crl) ? X509_STORE_add_crl(store, crl) : 0;

	X509_CRL_free(crl);
	return added;
}

static int add_pem_crls(X509_STORE *store, BIO *bio)
{
	X509_CRL *crl;
	int n = 0;

	while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
		if (!add_crl(store, crl))
			return -EBADMSG;
		n++;
	}
	/* the end of the text is the only error that there may be */
	return n && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE
		       ? 0
		       : -EBADMSG;
}

int chain_add_crls(X509_STORE *store, const uint8_t *bytes, size_t len)
{
	BIO *bio = BIO_new_mem_buf(bytes, (int)len);
	const unsigned char *p = bytes;
	X509_CRL *der = d2i_X509_CRL(NULL, &p, (long)len);
	int rc;

	ERR_clear_error();
	if (der)
		rc = add_crl(store, der) && p == bytes + len ? 0 : -EBADMSG;
	else
		rc = bio ? add_pem_crls(store, bio) : -EBADMSG;
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	ERR_clear_error();
	BIO_free(bio);
	return rc;
}

/* EK Credential Profile 2.5, 3.5.11: when there is a purpose, it has to be this one. */
static bool purpose_fits(X509 *cert)
{
	EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	ASN1_OBJECT *wanted = OBJ_txt2obj(EK_CERTIFICATE, 1);
	bool fits = !usage;
	int i;

	for (i = 0; usage && wanted && i < sk_ASN1_OBJECT_num(usage); i++)
		if (!OBJ_cmp(sk_ASN1_OBJECT_value(usage, i), wanted))
			fits = true;
	EXTENDED_KEY_USAGE_free(usage);
	ASN1_OBJECT_free(wanted);
	return fits;
}

static int judge(int error, const char **why)
{
	*why = X509_verify_cert_error_string(error);
	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return -EKEYEXPIRED;
	case X509_V_ERR_CERT_REVOKED:
		return -EKEYREVOKED;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
	case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
	case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
	case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
	case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
	case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
	case X509_V_ERR_DIFFERENT_CRL_SCOPE:
	case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
		return -ENODATA;
	default:
		return -ENOKEY;
	}
}

static int verify(X509_STORE *store, time_t at, X509 *cert, const char **why)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	int rc = -ENOKEY;

	*why = "OpenSSL failed";
	if (!ctx || !X509_STORE_CTX_init(ctx, store, cert, NULL))
		goto out;
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(param, at);
	X509_VERIFY_PARAM_set_auth_level(param, STRENGTH);
	/* whatever the policy names is trusted, a root or not */
	X509_VERIFY_PARAM_set_flags(param,
				    X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_X509_STRICT);
	rc = X509_verify_cert(ctx) == 1 ? 0 : judge(X509_STORE_CTX_get_error(ctx), why);
out:
	X509_STORE_CTX_free(ctx);
	return rc;
}

int chain_check(X509_STORE *store, time_t at, const uint8_t *der, size_t len,
		const struct public *key, const char **why)
{
	const unsigned char *p = der;
	X509 *cert = d2i_X509(NULL, &p, (long)len);
	EVP_PKEY *of = cert ? X509_get0_pubkey(cert) : NULL;
	int rc;

	*why = "it does not parse";
	if (!cert || p != der + len) {
		rc = -EBADMSG;
	} else if (!of || EVP_PKEY_eq(of, key->key) != 1) {
		*why = "it is another key's";
		rc = -EKEYREJECTED;
	} else if (!purpose_fits(cert)) {
		*why = "it is not for an endorsement key";
		rc = -EKEYREJECTED;
	} else {
		rc = verify(store, at, cert, why);
	}
	ERR_clear_error();
	X509_free(cert);
	return rc;
}
