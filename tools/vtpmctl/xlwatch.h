/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the guest that xl migrates is suspended: xl sends the last of its memory then, and makes it
 * at the other host.  Its vTPM, of which no command can come any more, follows beside that.
 */
#ifndef XVTPM_VTPMCTL_XLWATCH_H
#define XVTPM_VTPMCTL_XLWATCH_H

#include <stdbool.h>

struct xlwatch;

/* NULL: there is no Xen that tells it, or no memory. */
struct xlwatch *xlwatch_open(const char *domid);
/* For poll(): readable when a domain may have been suspended.  -1 if w is NULL. */
int xlwatch_fd(const struct xlwatch *w);
/* Takes in what is to be read there; whether the guest is suspended. */
bool xlwatch_is_suspended(struct xlwatch *w);
/* w may be NULL. */
void xlwatch_close(struct xlwatch *w);

#endif
