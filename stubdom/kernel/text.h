/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's memory and text functions that the compiler or we call. */
#ifndef STUB_TEXT_H
#define STUB_TEXT_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);

#endif
