/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/panic.h"

#include <stdbool.h>
#include <stdint.h>

#define LINE_MAX 320

struct out {
	char *at, *end; /* end has room for the final zero */
};

static void put(struct out *o, char c)
{
	if (o->at < o->end)
		*o->at++ = c;
}

static void put_number(struct out *o, uint64_t v, unsigned int base, int width, char pad)
{
	char digits[24];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (width-- > n)
		put(o, pad);
	while (n)
		put(o, digits[--n]);
}

static void put_text(struct out *o, const char *s, int max)
{
	for (; *s && max; s++, max--)
		put(o, *s);
}

struct spec {
	int width, precision;
	char pad;
	bool wide;
};

static const char *read_spec(const char *f, struct spec *s, va_list *list)
{
	*s = (struct spec){.precision = -1, .pad = ' '};
	if (*f == '0')
		s->pad = *f++;
	for (; *f >= '0' && *f <= '9'; f++)
		s->width = s->width * 10 + (*f - '0');
	if (f[0] == '.' && f[1] == '*') {
		s->precision = va_arg(*list, int);
		f += 2;
	}
	for (; *f == 'l' || *f == 'z'; f++)
		s->wide = true;
	return f;
}

static void convert(struct out *o, char type, const struct spec *s, va_list *list)
{
	int64_t d;
	uint64_t u;

	switch (type) {
	case 's':
		put_text(o, va_arg(*list, const char *), s->precision);
		return;
	case 'c':
		put(o, (char)va_arg(*list, int));
		return;
	case 'd':
		d = s->wide ? va_arg(*list, int64_t) : va_arg(*list, int);
		if (d < 0)
			put(o, '-');
		u = d < 0 ? 0 - (uint64_t)d : (uint64_t)d;
		put_number(o, u, 10, s->width, s->pad);
		return;
	case 'p':
		put_text(o, "0x", -1);
		put_number(o, va_arg(*list, uint64_t), 16, 16, '0');
		return;
	case 'u':
	case 'x':
		u = s->wide ? va_arg(*list, uint64_t) : va_arg(*list, unsigned int);
		put_number(o, u, type == 'u' ? 10 : 16, s->width, s->pad);
		return;
	default:
		put(o, type);
	}
}

size_t print_list(char *out, size_t size, const char *format, va_list list)
{
	struct out o = {out, out + size - 1};
	struct spec spec;
	va_list args;

	va_copy(args, list);
	for (const char *f = format; *f; f++) {
		if (*f != '%') {
			put(&o, *f);
			continue;
		}
		f = read_spec(f + 1, &spec, &args);
		if (!*f)
			break;
		convert(&o, *f, &spec, &args);
	}
	va_end(args);
	*o.at = '\0';
	return (size_t)(o.at - out);
}

size_t print_to(char *out, size_t size, const char *format, ...)
{
	va_list list;
	size_t n;

	va_start(list, format);
	n = print_list(out, size, format, list);
	va_end(list);
	return n;
}

void print_line(const char *format, ...)
{
	char line[LINE_MAX];
	va_list list;
	size_t n;

	n = print_to(line, sizeof(line), "stub: ");
	va_start(list, format);
	n += print_list(line + n, sizeof(line) - n - 1, format, list);
	va_end(list);
	line[n++] = '\n';
	console_write(line, n);
}

void *memcpy(void *to, const void *from, size_t n)
{
	void *at = to;

	asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n)::"memory");
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	unsigned char *d = to;
	const unsigned char *s = from;

	if (d <= s || d >= s + n)
		return memcpy(to, from, n);
	while (n--)
		d[n] = s[n];
	return to;
}

void *memset(void *to, int c, size_t n)
{
	void *at = to;

	asm volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(c) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (unsigned char)*a - (unsigned char)*b;
}
