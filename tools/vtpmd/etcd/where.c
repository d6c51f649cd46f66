/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/etcd/where.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#define POOL_MAX   64
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

int where_prefix(const char *url, char prefix[WHERE_PREFIX_MAX], struct error *e)
{
	const char *pool = strncmp(url, WHERE_SCHEME, strlen(WHERE_SCHEME))
				   ? NULL
				   : strchr(url + strlen(WHERE_SCHEME), '/');
	size_t n = pool ? strspn(pool + 1, NAME_CHARS) : 0;

	if (!n || n > POOL_MAX || pool[1 + n])
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "The store \"%.100s\" is not "
				 "etcd://HOST:PORT,HOST:PORT/POOL.",
				 url);
	snprintf(prefix, WHERE_PREFIX_MAX, "/xen-vtpm/1/%s/", pool + 1);
	return 0;
}

int where_host(const char *cert, char name[MIRROR_HOST_MAX], struct error *e)
{
	FILE *f = fopen(cert, "re");
	X509 *x = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	int n = -1;

	if (x)
		n = X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName,
					      name, MIRROR_HOST_MAX);
	X509_free(x);
	if (f)
		fclose(f);
	if (n > 0 && strspn(name, NAME_CHARS) == (size_t)n)
		return 0;
	return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
			 "The certificate %s has no CN of letters, digits, '_', '.' "
			 "and '-' that could be this host's name in the pool: give "
			 "another --store-cert.",
			 cert);
}
