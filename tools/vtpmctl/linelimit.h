/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many lines another host can have `vtpmctl migrate-receive` write into its journal: some at
 * once, then one in a while.  Each connection has a process of its own, so that what is left of
 * them is in memory that all share; hosts whose names meet in one place share that, too.
 */
#ifndef XVTPM_VTPMCTL_LINELIMIT_H
#define XVTPM_VTPMCTL_LINELIMIT_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stdint.h>

#define LINELIMIT_BURST	   20
#define LINELIMIT_EVERY_MS 30000

/* Before any process is begun that takes lines; without memory for it there is no limit. */
void linelimit_begin(void);
/* Takes a line about that host.  Returns whether it may be written; *last: it is the last one for
 * a while. */
bool __must_check linelimit_take(const char *host, int64_t now_ms, bool *last);
/* Writes one of a host on stderr, unless there were too many. */
void linelimit_say(const char *host, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
