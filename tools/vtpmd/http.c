/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/http.h"

#include <string.h>

int http_request(const char *line, const char *path, bool *head)
{
	const char *target = strchr(line, ' '), *version;
	size_t method, n = strlen(path);

	*head = false;
	if (!target)
		return 400;
	method = (size_t)(target++ - line);
	version = strchr(target, ' ');
	if (!version || strncmp(version, " HTTP/1.", 8))
		return 400;
	*head = method == 4 && !memcmp(line, "HEAD", 4);
	if (!*head && (method != 3 || memcmp(line, "GET", 3)))
		return 405;
	if (strncmp(target, path, n) || (target[n] != ' ' && target[n] != '?'))
		return 404;
	return 200;
}

const char *http_reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	default:
		return "Bad Request";
	}
}
