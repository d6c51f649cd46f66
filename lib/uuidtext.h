/* SPDX-License-Identifier: Apache-2.0 */
/* uuids, RFC 9562, where libuuid is not: in a stub domain. */
#ifndef XVTPM_LIB_UUIDTEXT_H
#define XVTPM_LIB_UUIDTEXT_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stdint.h>

#define UUIDTEXT_SIZE 16

/* -EINVAL: not 8-4-4-4-12 hexadecimal digits */
int __must_check uuidtext_parse(const char *text, uint8_t uuid[static UUIDTEXT_SIZE]);
/* Whether it is of version 4: "randomly or pseudorandomly generated". */
bool uuidtext_is_random(const uint8_t uuid[static UUIDTEXT_SIZE]);

#endif
