/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local CA, a folder (CA_FOLDER, 0700) that vtpmctl alone reads:
 *
 *   ca.json     {"version": 1, "key": where the key is (cakey.h), "days": of certificates}
 *   ca.pem      the CA's certificate
 *   chain.pem   it, and the root's when that is another one: what verifiers need
 *   key.pem     the key, unless it is in a token
 */
#ifndef XVTPM_CA_H
#define XVTPM_CA_H

#include <stdbool.h>
#include "tools/vtpmctl/certmake.h"

#define CA_FOLDER "/etc/xen-vtpm/ca"
#define CA_DAYS	  3650

#define CA_FOLDER_OPTION(type)                                                     \
	{                                                                          \
		.name = "ca", .kind = ARGS_TEXT, .offset = offsetof(type, folder), \
		.value = "DIR", .help = "the CA's folder, " CA_FOLDER              \
	}

struct ca {
	X509 *cert;
	EVP_PKEY *key; /* NULL: was not asked for */
	char *where;
	unsigned int days;
};

/* -ENOENT (CAUSE_NOT_CONFIGURED): there is no CA.  with_key: to issue, not only to look. */
int __must_check ca_open(struct ca *ca, const char *folder, const char *tcti,
			 bool with_key, struct error *e);
void ca_close(struct ca *ca);
/* Whether there is one. */
bool ca_is_there(const char *folder);

#endif
