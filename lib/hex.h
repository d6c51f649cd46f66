/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_HEX_H
#define XVTPM_HEX_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

/* out has room for 2 * len + 1. */
void hex_encode(const uint8_t *in, size_t len, char *out);
/* *len: in, room; out, bytes. -EINVAL for odd or other digits, -ENOSPC. */
int __must_check hex_decode(const char *in, uint8_t *out, size_t *len);

#endif
