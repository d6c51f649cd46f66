/* SPDX-License-Identifier: Apache-2.0 */
/* As much of HTTP as a scrape needs: the request line (RFC 9112, 3). */
#ifndef VTPMD_HTTP_H
#define VTPMD_HTTP_H

#include <stdbool.h>

/* The status for "METHOD SP TARGET SP VERSION", without its end of line: 200 for GET
 * and HEAD (*head) of path, with or without a query; 404, 405, 400. */
int http_request(const char *line, const char *path, bool *head);
/* "OK", ... */
const char *http_reason(int status);

#endif
