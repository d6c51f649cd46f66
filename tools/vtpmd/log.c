/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static bool is_verbose;

void log_verbose(bool verbose)
{
	is_verbose = verbose;
}

void log_line(int level, const char *fmt, ...)
{
	char text[1200];
	va_list ap;
	int n, at;
	char *p;

	if (level < LOG_EMERG || level > LOG_DEBUG)
		level = LOG_NOTICE;
	if (level == LOG_DEBUG && !is_verbose)
		return;
	at = snprintf(text, sizeof(text), "<%d>", level);
	va_start(ap, fmt);
	n = vsnprintf(text + at, sizeof(text) - (size_t)at - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	n += at;
	if (n > (int)sizeof(text) - 2)
		n = (int)sizeof(text) - 2;
	for (p = text; p < text + n; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	text[n++] = '\n';
	/* one write: lines of several processes do not mix */
	if (write(STDERR_FILENO, text, (size_t)n) < 0)
		return;
}
