/* SPDX-License-Identifier: Apache-2.0 */
/* Text for the console.  Conversions: %s %.*s %c %d %u %x %p %%, with l, a width and a
 * leading 0. */
#ifndef STUB_PRINT_H
#define STUB_PRINT_H

#include <stdarg.h>
#include <stddef.h>

/* At most size bytes with the final zero; returns the length written. */
size_t print_to(char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
size_t print_list(char *out, size_t size, const char *format, va_list list);
/* One line of the kernel's own, "stub: " before it and a new line behind it. */
void print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The C library's memory and text functions that the compiler or we call. */

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);

#endif
