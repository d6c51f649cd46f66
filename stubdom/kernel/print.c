/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdint.h>
#include "stubdom/kernel/print.h"

#define LINE_MAX 320

struct out {
	char *at, *end; /* end has room for the final zero */
};

static void put_print(struct out *o, char c)
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
		put_print(o, pad);
	while (n)
		put_print(o, digits[--n]);
}

static void put_text(struct out *o, const char *s, int max)
{
	for (; *s && max; s++, max--)
		put_print(o, *s);
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
		put_print(o, (char)va_arg(*list, int));
		return;
	case 'd':
		d = s->wide ? va_arg(*list, int64_t) : va_arg(*list, int);
		if (d < 0)
			put_print(o, '-');
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
		put_print(o, type);
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
			put_print(&o, *f);
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

static void (*write_console)(const char *text, size_t len);
static void (*drain_console)(void);

void print_set_console(void (*write)(const char *text, size_t len), void (*drain)(void))
{
	write_console = write;
	drain_console = drain;
}

void print_raw(const char *text, size_t len)
{
	if (write_console)
		write_console(text, len);
}

void print_drain(void)
{
	if (drain_console)
		drain_console();
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
	print_raw(line, n);
}
