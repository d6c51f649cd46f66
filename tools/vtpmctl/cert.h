/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_VTPMCTL_CERT_H
#define XVTPM_VTPMCTL_CERT_H

#include "include/compiler.h"
#include "tools/vtpmctl/ca.h"

#include <jansson.h>
#include <openssl/x509.h>

/* The vTPM that a certificate is for, as vtpmd knows it: its endorsement keys, and the
 * certificates that it has. */

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

/* Issues all certificates of a vTPM, and has vtpmd take them.  An exit status. */
int __must_check issue(const struct ca *ca, const char *socket, const char *name);

#endif
