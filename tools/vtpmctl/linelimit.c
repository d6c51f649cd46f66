/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/linelimit.h"
#include "lib/text.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>

#define PLACES 61

/* Until when all lines of a place are there again: ms; 0: they are. */
static _Atomic int64_t *spent;

void linelimit_begin(void)
{
	void *p = mmap(NULL, PLACES * sizeof(*spent), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	spent = p == MAP_FAILED ? NULL : p;
}

static size_t find_place(const char *host)
{
	uint32_t h = 2166136261u;

	for (; *host; host++)
		h = (h ^ (uint8_t)*host) * 16777619u;
	return h % PLACES;
}

bool linelimit_take(const char *host, int64_t now_ms, bool *last)
{
	const int64_t most = now_ms + (int64_t)LINELIMIT_BURST * LINELIMIT_EVERY_MS;
	_Atomic int64_t *at = spent + (spent ? find_place(host) : 0);
	int64_t was, next;

	*last = false;
	if (!spent)
		return true;
	was = atomic_load(at);
	do {
		next = (was > now_ms ? was : now_ms) + LINELIMIT_EVERY_MS;
		if (next > most)
			return false;
	} while (!atomic_compare_exchange_weak(at, &was, next));
	*last = next + LINELIMIT_EVERY_MS > most;
	return true;
}

void linelimit_say(const char *host, const char *format, ...)
{
	char text[1024];
	bool last;
	va_list args;

	if (!linelimit_take(host, stamp_ms(), &last))
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "%s\n%s", text,
		last ? "vtpmctl: more lines about this host are left out for a while\n"
		     : "");
}
