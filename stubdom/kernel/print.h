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
/* Prints a line of the kernel's own: "stub: ", the text, a new line. */
void print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Sets where printed text goes from now on; drain, or NULL: waits, for a while, until
 * the reader has all of it. */
void print_set_console(void (*write)(const char *text, size_t len), void (*drain)(void));
/* Prints len bytes as they are. */
void print_raw(const char *text, size_t len);
/* Waits, for a while, until the console's reader has all that was printed. */
void print_drain(void);

#endif
