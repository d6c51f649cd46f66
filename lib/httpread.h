/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A response of HTTP/1.1 (RFC 9112), as much of it as a KMS's client needs: the status, and a
 * body whose length is told or that comes in chunks.  One that ends with the connection is
 * refused: it could be cut off unseen.
 */
#ifndef XVTPM_LIB_HTTPREAD_H
#define XVTPM_LIB_HTTPREAD_H

#include "include/compiler.h"

#include <stddef.h>
#include <stdint.h>

#define HTTPREAD_MAX	  16384 /* head and body */
#define HTTPREAD_LINE_MAX 1024
#define HTTPREAD_LINES	  64

struct httpread {
	unsigned int status; /* 200 */
	uint8_t *body;	     /* in the buffer: chunks are moved together there */
	size_t body_len;
};

/* buf: what has come so far; when it is all, the body is put together in it.  1: it is all;
 * 0: more has to come; -EBADMSG: it is no response, or none with bounds. */
int __must_check httpread_parse(uint8_t *buf, size_t len, struct httpread *r);

#endif
