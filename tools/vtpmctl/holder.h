/* SPDX-License-Identifier: Apache-2.0 */
/* The vTPM that a certificate is for, as vtpmd knows it: its endorsement keys, and the
 * certificates that it has. */
#ifndef XVTPM_HOLDER_H
#define XVTPM_HOLDER_H

#include <jansson.h>
#include <openssl/x509.h>
#include "compiler.h"

#define HOLDER_EKS	3
#define HOLDER_PLATFORM "01c08000" /* NV index of the platform certificate */
#define HOLDER_CERT_MAX 2048	   /* the largest NV index */

struct holder {
	json_t *reply; /* "certificates": {"INDEX": "hex"}, "uuid", "tpm": "2.0" */
	unsigned int eks;
	struct holder_ek {
		const char *alg;   /* "rsa2048", ... */
		const char *index; /* of the certificate's NV index */
		EVP_PKEY *key;
	} ek[HOLDER_EKS];
};

/* An exit status; the sentence was printed. */
int __must_check holder_ask(struct holder *h, const char *socket, const char *name);
void holder_free(struct holder *h);
/* For certificates to be installed: adds one.  -EFBIG */
int __must_check holder_add(json_t *certs, const char *index, const uint8_t *der,
			    size_t len);
int __must_check holder_add_x509(json_t *certs, const char *index, X509 *cert);
/* Has vtpmd take them over; certs is released.  An exit status. */
int __must_check holder_install(const char *socket, const char *name, json_t *certs);

#endif
