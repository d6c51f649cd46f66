/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/kmsurl.h"
#include "lib/vault.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

static const char *skip_scheme(const char *text)
{
	static const char *const schemes[] = {"kmip://", "kms://"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(schemes); i++)
		if (!strncmp(text, schemes[i], strlen(schemes[i])))
			return text + strlen(schemes[i]);
	return text;
}

static bool port_ok(const char *port)
{
	size_t i, n = strlen(port);

	if (n < 1 || n > 5)
		return false;
	for (i = 0; i < n; i++)
		if (!isdigit((unsigned char)port[i]))
			return false;
	return atoi(port) >= 1 && atoi(port) <= 65535;
}

/* Letters, digits, '-' and '.': what a certificate can name. */
static bool name_ok(const char *host)
{
	const char *p;

	if (!host[0] || host[0] == '.' || host[0] == '-')
		return false;
	for (p = host; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '.' && *p != '-')
			return false;
	return true;
}

static int take_host(struct kmsurl *url, const char *from, size_t n)
{
	if (n == 0 || n >= sizeof(url->host))
		return -EINVAL;
	memcpy(url->host, from, n);
	url->host[n] = 0;
	return 0;
}

int kmsurl_parse(const char *text, struct kmsurl *url)
{
	const char *host = skip_scheme(text), *end, *port = KMSURL_PORT;
	bool brackets = host[0] == '[';
	struct in6_addr six;

	memset(url, 0, sizeof(*url));
	if (brackets)
		host++;
	end = host + strcspn(host, brackets ? "]" : ":");
	if (take_host(url, host, (size_t)(end - host)))
		return -EINVAL;
	if (brackets && *end++ != ']')
		return -EINVAL;
	if (*end == ':')
		port = end + 1;
	else if (*end)
		return -EINVAL;
	if (!port_ok(port))
		return -EINVAL;
	if (brackets ? inet_pton(AF_INET6, url->host, &six) != 1 : !name_ok(url->host))
		return -EINVAL;
	strcpy(url->port, port);
	snprintf(url->address, sizeof(url->address), brackets ? "[%s]:%s" : "%s:%s",
		 url->host, url->port);
	return 0;
}

/* Whether address is among the first n of the list already. */
static bool is_listed(const char *list, unsigned int n, const char *address)
{
	char one[ADDRESS_MAX];

	while (n)
		if (!address_nth(list, --n, one) && !strcmp(one, address))
			return true;
	return false;
}

int kmsurl_parse_list(const char *text, char list[ADDRESS_LIST])
{
	char one[ADDRESS_MAX + 8]; /* with its scheme */
	struct kmsurl url;
	size_t len, at = 0;
	unsigned int n;

	for (n = 0; n < ADDRESSES; n++) {
		len = strcspn(text, ",");
		if (len >= sizeof(one))
			return -EINVAL;
		memcpy(one, text, len);
		one[len] = '\0';
		if (kmsurl_parse(one, &url) || is_listed(list, n, url.address))
			return -EINVAL;
		at += (size_t)sprintf(list + at, "%s%s", n ? "," : "", url.address);
		if (!text[len])
			return 0;
		text += len + 1;
	}
	return -EINVAL;
}

/* Whether each address of a list has its port. */
static bool has_ports(const char *list)
{
	size_t len, port;

	for (;; list += len + 1) {
		len = strcspn(list, ",");
		for (port = len; port && isdigit((unsigned char)list[port - 1]); port--)
			;
		if (port == len || !port || list[port - 1] != ':')
			return false;
		if (!list[len])
			return true;
	}
}

int kmsurl_parse_vault(const char *text, char list[ADDRESS_LIST], char *key_id,
		       size_t room)
{
	char hosts[ADDRESS_LIST], key[VAULT_KEY_MAX];
	const char *path, *name;
	int n;

	if (strncmp(text, KMSURL_VAULT, strlen(KMSURL_VAULT)))
		return -EINVAL;
	text += strlen(KMSURL_VAULT);
	path = strchr(text, '/');
	name = path ? strrchr(path, '/') : NULL;
	if (!name || name - path < 6 || strncmp(name - 5, "/keys", 5))
		return -EINVAL;
	n = snprintf(hosts, sizeof(hosts), "%.*s", (int)(path - text), text);
	if (n < 0 || n >= (int)sizeof(hosts) || !has_ports(hosts) ||
	    kmsurl_parse_list(hosts, list))
		return -EINVAL;
	n = snprintf(key, sizeof(key), "%.*s%s", (int)(name - 5 - path - 1), path + 1,
		     name);
	if (n < 0 || n >= (int)sizeof(key) || !vault_key_ok(key))
		return -EINVAL;
	n = snprintf(key_id, room, VAULT_PREFIX "%s", key);
	return n < 0 || n >= (int)room ? -EINVAL : 0;
}
