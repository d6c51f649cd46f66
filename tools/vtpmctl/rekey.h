/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_VTPMCTL_REKEY_H
#define XVTPM_VTPMCTL_REKEY_H

#include "include/compiler.h"

/* `vtpmctl rekey --all --old OLD`: an exit status. */
int __must_check rekey_all_of(const char *old, const char *tcti, const char *config,
			      const char *socket);

#endif
