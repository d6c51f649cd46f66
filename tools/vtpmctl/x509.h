/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates as the TCG wants them, made with OpenSSL.  Sources: TCG EK Credential
 * Profile for TPM Family 2.0, version 2.5, 3.2, and TCG Platform Certificate Profile,
 * version 1.1, 3.2.
 *
 * The platform certificate is one of a public key, that of the RSA EK, as swtpm makes
 * it: a real one is an attribute certificate, which OpenSSL before 3.4 cannot make, and
 * which `openssl verify` and GnuTLS's certtool do not take.
 */
#ifndef XVTPM_VTPMCTL_X509_H
#define XVTPM_VTPMCTL_X509_H

#include "include/compiler.h"
#include "lib/error.h"

#include <openssl/x509.h>

#define CERTMAKE_OID_EK	      "2.23.133.8.1" /* tcg-kp-EKCertificate */
#define CERTMAKE_OID_PLATFORM "2.23.133.8.2" /* tcg-kp-PlatformAttributeCertificate */

struct certmake_issuer {
	X509 *cert; /* NULL: the new certificate's own, it is a root */
	EVP_PKEY *key;
};

/* A CA's certificate; below: how many CAs may stand below it. */
int __must_check certmake_ca(const struct certmake_issuer *by, EVP_PKEY *key,
			     const char *name, unsigned int days, unsigned int below,
			     X509 **out, struct error *e);
/* Those end with the CA at the latest. */
int __must_check certmake_ek(const struct certmake_issuer *by, EVP_PKEY *ek,
			     unsigned int days, X509 **out, struct error *e);
int __must_check certmake_platform(const struct certmake_issuer *by, EVP_PKEY *ek,
				   const char *uuid, unsigned int days, X509 **out,
				   struct error *e);
/* A request with all that belongs into the certificate, but for its key: an EK cannot
 * sign, so it is signed with a key that is thrown away. */
int __must_check certmake_request(EVP_PKEY *ek, X509_REQ **out, struct error *e);

/* Subject or subjectAltName, issuer, serial number, end and SHA-256, on stdout. */
void certprint(const char *label, X509 *cert);

#endif
