/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for the journal: "<level>text" on standard error.  Nothing secret goes
 * here; bytes that are not printable (a manager's text) become '?'. */
#ifndef VTPMD_LOG_H
#define VTPMD_LOG_H

#include <stdbool.h>
#include <syslog.h>

/* LOG_DEBUG lines are written only when verbose. */
void log_verbose(bool verbose);
void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
