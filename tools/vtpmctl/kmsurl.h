/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the KMS is: kmip://HOST[:PORT], HOST a name, an IPv4 address, or an IPv6
 * address in brackets.  kms:// and no scheme at all mean the same.  5696 is
 * KMIP's registered port.
 */
#ifndef XVTPM_KMSURL_H
#define XVTPM_KMSURL_H

#include <stddef.h>
#include "compiler.h"
#include "lib/text.h"

#define KMSURL_PORT	"5696"
#define KMSURL_HOST_MAX 256 /* with its zero; a DNS name has at most 253 */

struct kmsurl {
	char host[KMSURL_HOST_MAX]; /* without brackets */
	char port[6];
	char address[KMSURL_HOST_MAX + 10]; /* HOST:PORT, brackets kept */
};

/* -EINVAL when it is none of the above. */
int __must_check kmsurl_parse(const char *text, struct kmsurl *url);
/* One or more of them with commas between, kmip://a:5696,b: to the list of
 * lib/text.h, a:5696,b:5696.  -EINVAL: one is none, stands there twice, or there
 * are more than ADDRESSES. */
int __must_check kmsurl_parse_list(const char *text, char list[ADDRESS_LIST]);

#define KMSURL_VAULT "vault://"
/* vault://HOST:PORT[,HOST:PORT]/MOUNT/keys/NAME, with each port: the list, and the key id of
 * lib/vault.h.  -EINVAL */
int __must_check kmsurl_parse_vault(const char *text, char list[ADDRESS_LIST],
				    char *key_id, size_t room);

#endif
