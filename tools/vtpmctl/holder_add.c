/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/holder.h"
#include "lib/hex.h"

#include <errno.h>

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
