/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include "stubdom/kernel/text.h"

void *memcpy(void *to, const void *from, size_t n)
{
	size_t words = n / sizeof(uint64_t), rest = n % sizeof(uint64_t);
	void *at = to;

	asm volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words)::"memory");
	asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(rest)::"memory");
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
	uint64_t word = (unsigned char)c * 0x0101010101010101ULL;
	size_t words = n / sizeof(word), rest = n % sizeof(word);
	void *at = to;

	asm volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(word) : "memory");
	asm volatile("rep stosb" : "+D"(at), "+c"(rest) : "a"(word) : "memory");
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
