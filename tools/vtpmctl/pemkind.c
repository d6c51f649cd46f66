/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/pemkind.h"
#include "include/compiler.h"

#include <string.h>

/* RFC 7468, and the older names that OpenSSL writes. */
static const struct {
	const char *label, *words;
} kinds[] = {
	{"CERTIFICATE REQUEST-----", "a certificate request"},
	{"NEW CERTIFICATE REQUEST-----", "a certificate request"},
	{"CERTIFICATE-----", "a certificate"},
	{"TRUSTED CERTIFICATE-----", "a certificate in OpenSSL's own form"},
	{"X509 CRL-----", "a revocation list"},
	{"ENCRYPTED PRIVATE KEY-----", "a private key with a passphrase"},
	{"PRIVATE KEY-----", "a private key"},
	{"EC PRIVATE KEY-----", "a private key"},
	{"RSA PRIVATE KEY-----", "a private key"},
	{"EC PARAMETERS-----", "the parameters of an EC key"},
	{"OPENSSH PRIVATE KEY-----", "a private key of OpenSSH"},
	{"PUBLIC KEY-----", "a public key"},
};

const char *pemkind_of(const char *text, size_t len)
{
	static const char begin[] = "-----BEGIN ";
	const char *at = memmem(text, len, begin, sizeof(begin) - 1), *label;
	size_t left, i;

	if (!len)
		return "nothing: it is empty";
	if (!at)
		return (unsigned char)text[0] == 0x30 ? "DER, which is not PEM"
						      : "something that is not PEM";
	label = at + sizeof(begin) - 1;
	left = len - (size_t)(label - text);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t n = strlen(kinds[i].label);

		if (n <= left && !memcmp(label, kinds[i].label, n))
			return kinds[i].words;
	}
	return "PEM of another kind";
}
