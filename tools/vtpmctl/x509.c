/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/x509.h"
#include "include/version.h"
#include "lib/text.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/conf.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERIAL_BITS 159 /* RFC 5280, 4.1.2.2: positive, 20 bytes at most */

/* The names' first letter is cut off by OpenSSL, which takes a dot for the end of a
 * counter.  The maker of the TPM is the one that libtpms tells (TPM_PT_MANUFACTURER:
 * "IBM"); the specification's revision is the oldest that libtpms follows. */
#define EK_SECTIONS                                      \
	"[sda]\nattribute=SEQUENCE:spec\n"               \
	"[spec]\noid=OID:2.23.133.2.16\nset=SET:specs\n" \
	"[specs]\none=SEQUENCE:numbers\n"                \
	"[numbers]\nfamily=UTF8:2.0\nlevel=INTEGER:0\n"  \
	"revision=INTEGER:164\n"                         \
	"[name]\na.2.23.133.2.1=id:49424D00\n"           \
	"b.2.23.133.2.2=xen-vtpm\nc.2.23.133.2.3=id:%08X\n"

static int cert_failed(struct error *e, const char *what)
{
	return error_set(e, -EIO, CAUSE_INTERNAL,
			 "OpenSSL could not make the %s: see that the CA's key can sign "
			 "(`vtpmctl ca show`)",
			 what);
}

/* "0.1.0": 00000001, major and minor */
static unsigned int version(void)
{
	unsigned int major = 0, minor = 0;

	if (sscanf(XEN_VTPM_VERSION, "%u.%u", &major, &minor) != 2)
		return 0;
	return major << 16 | (minor & 0xffff);
}

static CONF *parse(const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	CONF *conf = NCONF_new(NULL);
	long line;

	if (!bio || !conf || NCONF_load_bio(conf, bio, &line) != 1) {
		NCONF_free(conf);
		conf = NULL;
	}
	BIO_free(bio);
	return conf;
}

/* Adds the extensions of section x to a certificate or a request. */
static int extend(const char *text, X509 *issuer, X509 *cert, X509_REQ *request)
{
	CONF *conf = parse(text);
	X509V3_CTX ctx;
	int ok = 0;

	if (conf) {
		X509V3_set_ctx(&ctx, issuer, cert, request, NULL, 0);
		X509V3_set_nconf(&ctx, conf);
		ok = cert ? X509V3_EXT_add_nconf(conf, &ctx, "x", cert)
			  : X509V3_EXT_REQ_add_nconf(conf, &ctx, "x", request);
	}
	NCONF_free(conf);
	return ok;
}

static int set_serial(X509 *cert)
{
	BIGNUM *n = BN_new();
	int ok = n && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) &&
		 BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));

	BN_free(n);
	return ok;
}

/* Not longer than the issuer. */
static int set_time(X509 *cert, X509 *issuer, unsigned int days)
{
	const ASN1_TIME *end = issuer ? X509_get0_notAfter(issuer) : NULL;

	if (!X509_gmtime_adj(X509_getm_notBefore(cert), -60) ||
	    !X509_time_adj_ex(X509_getm_notAfter(cert), (int)days, 0, NULL))
		return 0;
	return !end || ASN1_TIME_compare(X509_get0_notAfter(cert), end) <= 0 ||
	       X509_set1_notAfter(cert, end);
}

/* No weaker than the key: P-384 with SHA-384. */
static const char *digest(EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) > 256 ? "SHA384"
									: "SHA256";
}

/* By the provider that has the key: OpenSSL would take its own first, and miss the
 * private part. */
static int sign_cert(X509 *cert, EVP_PKEY *key)
{
	const OSSL_PROVIDER *provider = EVP_PKEY_get0_provider(key);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char properties[64] = "";
	int ok;

	if (provider)
		snprintf(properties, sizeof(properties), "?provider=%s",
			 OSSL_PROVIDER_get0_name(provider));
	ok = ctx &&
	     EVP_DigestSignInit_ex(ctx, NULL, digest(key), NULL, properties, key, NULL) &&
	     X509_sign_ctx(cert, ctx) > 0;
	EVP_MD_CTX_free(ctx);
	return ok;
}

static X509 *blank(const struct certmake_issuer *by, EVP_PKEY *key, unsigned int days)
{
	X509 *cert = X509_new();

	if (cert && X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
	    set_time(cert, by->cert, days) && X509_set_pubkey(cert, key) &&
	    (!by->cert || X509_set_issuer_name(cert, X509_get_subject_name(by->cert))))
		return cert;
	X509_free(cert);
	return NULL;
}

static int finish_cert(const struct certmake_issuer *by, X509 *cert, const char *text,
		       X509 **out, const char *what, struct error *e)
{
	if (!cert || !extend(text, by->cert ? by->cert : cert, cert, NULL) ||
	    !sign_cert(cert, by->key)) {
		X509_free(cert);
		return cert_failed(e, what);
	}
	*out = cert;
	return 0;
}

static int set_name(X509 *cert, const char *name, int root)
{
	X509_NAME *n = X509_get_subject_name(cert);

	return X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8,
					  (const unsigned char *)name, -1, -1, 0) &&
	       (!root || X509_set_issuer_name(cert, n));
}

int certmake_ca(const struct certmake_issuer *by, EVP_PKEY *key, const char *name,
		unsigned int days, unsigned int below, X509 **out, struct error *e)
{
	X509 *cert = blank(by, key, days);
	char text[256];

	if (cert && !set_name(cert, name, !by->cert)) {
		X509_free(cert);
		cert = NULL;
	}
	snprintf(text, sizeof(text),
		 "[x]\nbasicConstraints=critical,CA:true,pathlen:%u\n"
		 "keyUsage=critical,keyCertSign,cRLSign\n"
		 "subjectKeyIdentifier=hash\n%s",
		 below, by->cert ? "authorityKeyIdentifier=keyid:always\n" : "");
	return finish_cert(by, cert, text, out, "CA's certificate", e);
}

static const char *cert_usage(EVP_PKEY *ek)
{
	return EVP_PKEY_is_a(ek, "RSA") ? "keyEncipherment" : "keyAgreement";
}

/* The subject is empty, as the TCG prefers: who it is stands in the subjectAltName. */
static void ek_text(EVP_PKEY *ek, bool request, char *text, size_t room)
{
	snprintf(text, room,
		 "[x]\nbasicConstraints=critical,CA:false\nkeyUsage=critical,%s\n"
		 "extendedKeyUsage=" CERTMAKE_OID_EK "\n"
		 "subjectAltName=critical,dirName:name\n"
		 "2.5.29.9=ASN1:SEQUENCE:sda\n%s" EK_SECTIONS,
		 cert_usage(ek), request ? "" : "authorityKeyIdentifier=keyid:always\n",
		 version());
}

int certmake_ek(const struct certmake_issuer *by, EVP_PKEY *ek, unsigned int days,
		X509 **out, struct error *e)
{
	char text[1024];

	ek_text(ek, false, text, sizeof(text));
	return finish_cert(by, blank(by, ek, days), text, out, "EK certificate", e);
}

int certmake_platform(const struct certmake_issuer *by, EVP_PKEY *ek, const char *uuid,
		      unsigned int days, X509 **out, struct error *e)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "[x]\nbasicConstraints=critical,CA:false\nkeyUsage=critical,%s\n"
		 "extendedKeyUsage=" CERTMAKE_OID_PLATFORM "\n"
		 "subjectAltName=critical,dirName:name\n"
		 "authorityKeyIdentifier=keyid:always\n"
		 "[name]\na.2.23.133.5.1.1=Xen\nb.2.23.133.5.1.4=xen-vtpm\n"
		 "c.2.23.133.5.1.5=" XEN_VTPM_VERSION "\nd.2.23.133.5.1.6=%s\n",
		 cert_usage(ek), uuid);
	return finish_cert(by, blank(by, ek, days), text, out, "platform certificate", e);
}

int certmake_request(EVP_PKEY *ek, X509_REQ **out, struct error *e)
{
	EVP_PKEY *thrown_away = EVP_EC_gen("P-256");
	X509_REQ *r = X509_REQ_new();
	char text[1024];

	ek_text(ek, true, text, sizeof(text));
	if (!thrown_away || !r || !X509_REQ_set_version(r, X509_REQ_VERSION_1) ||
	    !X509_REQ_set_pubkey(r, thrown_away) || !extend(text, NULL, NULL, r) ||
	    !X509_REQ_sign(r, thrown_away, EVP_sha256())) {
		X509_REQ_free(r);
		EVP_PKEY_free(thrown_away);
		return cert_failed(e, "request");
	}
	EVP_PKEY_free(thrown_away);
	*out = r;
	return 0;
}

/* OpenSSL escapes the control characters of ASCII; others reach a terminal, too. */
static void print_cert_name(BIO *out, X509_NAME *name)
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
		print_cert_name(out, X509_get_subject_name(cert));
		return;
	}
	names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DIRNAME)
			print_cert_name(out, name->d.directoryName);
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

/* "TCG EK Credential Profile", 3.1.2, and its platform certificates' like; without names
 * OpenSSL prints numbers and DER. */
static void name_attributes(void)
{
	static const struct {
		const char *oid, *name;
	} names[] = {
		{"2.23.133.2.1", "tpmManufacturer"},
		{"2.23.133.2.2", "tpmModel"},
		{"2.23.133.2.3", "tpmVersion"},
		{"2.23.133.5.1.1", "platformManufacturerStr"},
		{"2.23.133.5.1.4", "platformModel"},
		{"2.23.133.5.1.5", "platformVersion"},
		{"2.23.133.5.1.6", "platformSerial"},
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
	print_cert_name(out, X509_get_issuer_name(cert));
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
