/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_CERTPRINT_H
#define XVTPM_CERTPRINT_H

#include <openssl/x509.h>

/* Subject or subjectAltName, issuer, serial number, end and SHA-256, on stdout. */
void certprint(const char *label, X509 *cert);

#endif
