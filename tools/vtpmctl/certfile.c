/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/certfile.h"
#include "lib/cursor.h"
#include "lib/text.h"
#include "tools/vtpmctl/x509.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

struct found {
	unsigned int certificates, taken;
	bool too_large;
};

/* Whether extendedKeyUsage names it. */
static bool is_for(X509 *cert, const char *oid)
{
	EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	char text[80];
	bool yes = false;
	int i;

	for (i = 0; i < sk_ASN1_OBJECT_num(usage); i++)
		if (OBJ_obj2txt(text, sizeof(text), sk_ASN1_OBJECT_value(usage, i), 1) >
			    0 &&
		    !strcmp(text, oid))
			yes = true;
	EXTENDED_KEY_USAGE_free(usage);
	return yes;
}

/* The next SEQUENCE, whose length has two bytes: X.690, 8.1.3.5 */
static struct cursor sequence(struct cursor *c)
{
	if (cursor_u8(c) != 0x30 || cursor_u8(c) != 0x82)
		cursor_fail(c);
	return cursor_sub(c, cursor_u16(c));
}

/* RFC 5755, 4.1: a SEQUENCE whose first part is a SEQUENCE that begins with the version,
 * INTEGER 1.  What OpenSSL before 3.4 can tell of it is nothing. */
static bool is_attribute_certificate(const uint8_t *der, size_t len)
{
	static const uint8_t version[] = {2, 1, 1};
	struct cursor c = cursor_reader(der, len);
	struct cursor whole = sequence(&c), info = sequence(&whole);
	const uint8_t *first = cursor_bytes(&info, sizeof(version));

	return cursor_done(&c) && first && !memcmp(first, version, sizeof(version));
}

static const char *place(X509 *cert, const struct holder *h)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	unsigned int i;

	if (is_for(cert, CERTMAKE_OID_PLATFORM))
		return HOLDER_PLATFORM;
	for (i = 0; i < h->eks; i++)
		if (key && EVP_PKEY_eq(key, h->ek[i].key) == 1)
			return h->ek[i].index;
	return NULL;
}

static void take_file_cert(const uint8_t *der, size_t len, const struct holder *h,
			   json_t *certs, struct found *f)
{
	const uint8_t *at = der;
	X509 *cert = d2i_X509(NULL, &at, (long)len);
	const char *index = NULL;

	if (cert && at == der + len)
		index = place(cert, h);
	else if (!cert && is_attribute_certificate(der, len))
		index = HOLDER_PLATFORM;
	if (cert || index)
		f->certificates++;
	X509_free(cert);
	if (!index)
		return;
	if (holder_add(certs, index, der, len))
		f->too_large = true;
	else
		f->taken++;
}

/* All of a PEM; what is no certificate is passed over. */
static void take_pem(BIO *bio, const struct holder *h, json_t *certs, struct found *f)
{
	char *name, *header;
	uint8_t *der;
	long len;

	while (PEM_read_bio(bio, &name, &header, &der, &len) == 1) {
		take_file_cert(der, (size_t)len, h, certs, f);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	ERR_clear_error(); /* the end of the file is one */
}

static int complain(const struct found *f, struct error *e)
{
	if (f->too_large)
		return error_set(
			e, -EFBIG, CAUSE_INTERNAL,
			"The certificate is larger than the %d bytes that a TPM "
			"has room for: have one issued by a CA with a smaller key",
			HOLDER_CERT_MAX);
	if (f->taken)
		return 0;
	if (f->certificates)
		return error_set(
			e, -EINVAL, CAUSE_WRONG_VTPM,
			"The certificate is of none of this vTPM's endorsement "
			"keys, and no platform certificate: was it issued for the "
			"key in the .pub file of `vtpmctl csr`?");
	return error_set(e, -EINVAL, CAUSE_INTERNAL,
			 "There is no certificate in the file: give one in PEM or DER");
}

int certfile_take(const uint8_t *file, size_t len, const struct holder *h, json_t *certs,
		  struct error *e)
{
	struct found f = {0};
	BIO *bio;

	if (len && file[0] == 0x30) {
		take_file_cert(file, len, h, certs, &f);
		ERR_clear_error();
		return complain(&f, e);
	}
	bio = BIO_new_mem_buf(file, (int)len);
	if (bio)
		take_pem(bio, h, certs, &f);
	BIO_free(bio);
	return complain(&f, e);
}

int holder_add(json_t *certs, const char *index, const uint8_t *der, size_t len)
{
	char hex[2 * HOLDER_CERT_MAX + 1];

	if (len > HOLDER_CERT_MAX)
		return -EFBIG;
	hex_encode(der, len, hex);
	return json_object_set_new(certs, index, json_string(hex)) ? -ENOMEM : 0;
}

int holder_add_x509(json_t *certs, const char *index, X509 *cert)
{
	uint8_t *der = NULL;
	int len = i2d_X509(cert, &der);
	int rc = len > 0 ? holder_add(certs, index, der, (size_t)len) : -ENOMEM;

	OPENSSL_free(der);
	return rc;
}
