/* SPDX-License-Identifier: Apache-2.0 */
/* A request that is taken must begin as one, and the path must be the whole one. */
#include "tools/vtpmd/http.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size + 1);
	bool head;
	int status;

	if (!line)
		return 0;
	memcpy(line, data, size);
	line[size] = '\0';
	status = http_request(line, "/metrics", &head);
	if (status != 200 && status != 400 && status != 404 && status != 405)
		abort();
	if (status == 200 &&
	    (strncmp(line, head ? "HEAD /metrics" : "GET /metrics", head ? 13 : 12) ||
	     !strstr(line, " HTTP/1.")))
		abort();
	free(line);
	return 0;
}
