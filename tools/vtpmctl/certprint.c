/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/certprint.h"
#include "lib/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

/* OpenSSL escapes the control characters of ASCII; others reach a terminal, too. */
static void print_name(BIO *out, X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text, *clean;
	long len;

	if (bio && X509_NAME_print_ex(
			   bio, name, 0,
			   XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0) {
		len = BIO_get_mem_data(bio, &text);
		clean = malloc((size_t)len + 1);
		if (clean) {
			text_clean(clean, (size_t)len + 1, text, (size_t)len);
			BIO_puts(out, clean);
		}
		free(clean);
	}
	BIO_free(bio);
}

/* An EK certificate has no subject, but a directory name as subjectAltName. */
static void print_subject(BIO *out, X509 *cert)
{
	GENERAL_NAMES *names;
	int i;

	if (X509_NAME_entry_count(X509_get_subject_name(cert))) {
		print_name(out, X509_get_subject_name(cert));
		return;
	}
	names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DIRNAME)
			print_name(out, name->d.directoryName);
	}
	GENERAL_NAMES_free(names);
}

static void print_hash(BIO *out, X509 *cert)
{
	uint8_t hash[32];
	unsigned int i;

	if (X509_digest(cert, EVP_sha256(), hash, NULL) == 1)
		for (i = 0; i < sizeof(hash); i++)
			BIO_printf(out, "%02x", hash[i]);
}

/* "TCG EK Credential Profile", 3.1.2; without names OpenSSL prints numbers and DER. */
static void name_attributes(void)
{
	static const struct {
		const char *oid, *name;
	} names[] = {
		{"2.23.133.2.1", "tpmManufacturer"},
		{"2.23.133.2.2", "tpmModel"},
		{"2.23.133.2.3", "tpmVersion"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (OBJ_txt2nid(names[i].oid) == NID_undef)
			(void)!OBJ_create(names[i].oid, names[i].name, names[i].name);
}

void certprint(const char *label, X509 *cert)
{
	BIO *out = BIO_new_fp(stdout, BIO_NOCLOSE);

	if (!out)
		return;
	name_attributes();
	BIO_printf(out, "%-11s ", label);
	print_subject(out, cert);
	BIO_printf(out, "\n  issuer    ");
	print_name(out, X509_get_issuer_name(cert));
	BIO_printf(out, "\n  serial    ");
	i2a_ASN1_INTEGER(out, X509_get0_serialNumber(cert));
	BIO_printf(out, "\n  until     ");
	ASN1_TIME_print(out, X509_get0_notAfter(cert));
	BIO_printf(out, "\n  sha256    ");
	print_hash(out, cert);
	BIO_printf(out, "\n");
	(void)BIO_flush(out);
	BIO_free(out);
}
