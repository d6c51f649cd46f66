/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 4648, section 5, without padding, as RFC 9711 wants bytes in JSON. */
#ifndef XVTPM_BASE64URL_H
#define XVTPM_BASE64URL_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

/* Characters for n bytes, without the terminating zero. */
#define BASE64URL_SIZE(n) (((n)*4 + 2) / 3)

/* out has room for BASE64URL_SIZE(len) + 1. */
void base64url_encode(const uint8_t *in, size_t len, char *out);
/* *len: in, room; out, bytes.  Each byte string has one encoding: others, with bits that
 * carry nothing set, are refused.  -EINVAL, -ENOSPC */
int __must_check base64url_decode(const char *in, uint8_t *out, size_t *len);

#endif
