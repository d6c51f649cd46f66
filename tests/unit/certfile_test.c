/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates that are made here and taken from files: the right key's, in the right
 * place, within what a TPM has room for. */
#include "tests/unit/unit.h"
#include "tools/vtpmctl/certfile.h"
#include "tools/vtpmctl/x509.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static struct holder h;
static EVP_PKEY *ca_key, *rsa, *p256, *stranger;
static X509 *ca;
static struct certmake_issuer by;
static json_t *certs;
static struct error error;

static int group_setup(void **unused)
{
	struct certmake_issuer own = {NULL, NULL};

	ca_key = EVP_EC_gen("P-384");
	rsa = EVP_RSA_gen(2048);
	p256 = EVP_EC_gen("P-256");
	stranger = EVP_EC_gen("P-256");
	own.key = ca_key;
	if (certmake_ca(&own, ca_key, "The CA", 30, 0, &ca, NULL))
		return -1;
	by = (struct certmake_issuer){ca, ca_key};
	h.eks = 2;
	h.ek[0] = (struct holder_ek){"rsa2048", "01c00002", rsa};
	h.ek[1] = (struct holder_ek){"ecc-p256", "01c0000a", p256};
	return 0;
}

static int group_teardown(void **unused)
{
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(stranger);
	return 0;
}

static int setup(void **unused)
{
	certs = json_object();
	error.cause = CAUSE_NONE;
	return 0;
}

static int teardown(void **unused)
{
	json_decref(certs);
	return 0;
}

static X509 *ek(EVP_PKEY *key, unsigned int days)
{
	X509 *cert = NULL;

	assert_int_equal(certmake_ek(&by, key, days, &cert, &error), 0);
	return cert;
}

static int take(const uint8_t *file, size_t len)
{
	return certfile_take(file, len, &h, certs, &error);
}

static int take_der(X509 *cert)
{
	uint8_t *der = NULL;
	int len = i2d_X509(cert, &der), rc;

	assert_true(len > 0);
	rc = take(der, (size_t)len);
	OPENSSL_free(der);
	X509_free(cert);
	return rc;
}

static bool has(const char *index)
{
	return json_object_get(certs, index) != NULL;
}

static void it_verifies_and_does_not_outlive_the_ca(void **unused)
{
	X509 *cert = ek(rsa, 3650);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	assert_int_equal(X509_STORE_add_cert(store, ca), 1);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, cert, NULL), 1);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT);
	assert_int_equal(X509_verify_cert(ctx), 1);
	assert_int_equal(
		ASN1_TIME_compare(X509_get0_notAfter(cert), X509_get0_notAfter(ca)), 0);
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(cert), rsa), 1);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(cert);
}

static void each_has_its_place(void **unused)
{
	X509 *platform = NULL;

	assert_int_equal(certmake_platform(&by, rsa, "uuid", 9, &platform, &error), 0);
	assert_int_equal(take_der(ek(rsa, 9)), 0);
	assert_int_equal(take_der(ek(p256, 9)), 0);
	assert_int_equal(json_object_size(certs), 2);
	assert_true(has("01c00002") && has("01c0000a"));
	assert_int_equal(take_der(platform), 0);
	assert_true(has(HOLDER_PLATFORM));
}

static void anothers_is_refused(void **unused)
{
	assert_int_equal(take_der(ek(stranger, 9)), -EINVAL);
	assert_int_equal(error.cause, CAUSE_WRONG_VTPM);
	assert_int_equal(json_object_size(certs), 0);
}

static void a_pem_may_hold_more(void **unused)
{
	X509 *mine = ek(rsa, 9);
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long len;

	BIO_printf(bio, "what the CA wrote before it\n");
	PEM_write_bio_X509(bio, ca);
	PEM_write_bio_X509(bio, mine);
	len = BIO_get_mem_data(bio, &pem);
	assert_int_equal(take((uint8_t *)pem, (size_t)len), 0);
	assert_int_equal(json_object_size(certs), 1);
	assert_true(has("01c00002"));
	BIO_free(bio);
	X509_free(mine);
}

static void garbage_is_none(void **unused)
{
	static const uint8_t zeroes[300] = {0x30, 0x82, 1, 0x28};
	uint8_t *der = NULL;
	X509 *cert = ek(rsa, 9);
	int len = i2d_X509(cert, &der);

	assert_int_equal(take(NULL, 0), -EINVAL);
	assert_int_equal(take(zeroes, sizeof(zeroes)), -EINVAL);
	assert_int_equal(take(der, (size_t)len - 1), -EINVAL);
	assert_int_equal(take((const uint8_t *)"text", 4), -EINVAL);
	assert_int_equal(json_object_size(certs), 0);
	OPENSSL_free(der);
	X509_free(cert);
}

/* RFC 5755: AttributeCertificateInfo begins with the version, 1. */
static void an_attribute_certificate_is_the_platforms(void **unused)
{
	uint8_t ac[300] = {0x30, 0x82, 1, 0x28, 0x30, 0x82, 1, 0x24, 2, 1, 1};

	assert_int_equal(take(ac, sizeof(ac)), 0);
	assert_true(has(HOLDER_PLATFORM));
	ac[10] = 0; /* a certificate of version 1's number, perhaps */
	json_object_clear(certs);
	assert_int_equal(take(ac, sizeof(ac)), -EINVAL);
}

static void one_that_is_too_large_is_refused(void **unused)
{
	uint8_t ac[HOLDER_CERT_MAX + 1] = {0x30, 0x82, 7, 0xfd, 0x30, 0x82,
					   7,	 0xf9, 2, 1,	1};

	assert_int_equal(take(ac, sizeof(ac)), -EFBIG);
	ac[3]--;
	ac[7]--;
	error.cause = CAUSE_NONE;
	assert_int_equal(take(ac, sizeof(ac) - 1), 0);
}

static void a_request_has_the_extensions_and_another_key(void **unused)
{
	X509_REQ *request = NULL;
	STACK_OF(X509_EXTENSION) * list;

	assert_int_equal(certmake_request(rsa, &request, &error), 0);
	list = X509_REQ_get_extensions(request);
	assert_true(X509v3_get_ext_by_NID(list, NID_subject_alt_name, -1) >= 0);
	assert_true(X509v3_get_ext_by_NID(list, NID_ext_key_usage, -1) >= 0);
	assert_int_equal(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)), 1);
	assert_int_equal(X509_REQ_get_signature_nid(request), NID_ecdsa_with_SHA256);
	assert_int_not_equal(EVP_PKEY_eq(X509_REQ_get0_pubkey(request), rsa), 1);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	X509_REQ_free(request);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(it_verifies_and_does_not_outlive_the_ca),
		T(each_has_its_place),
		T(anothers_is_refused),
		T(a_pem_may_hold_more),
		T(garbage_is_none),
		T(an_attribute_certificate_is_the_platforms),
		T(one_that_is_too_large_is_refused),
		T(a_request_has_the_extensions_and_another_key),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
