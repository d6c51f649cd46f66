/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_ISSUE_H
#define XVTPM_ISSUE_H

#include "tools/vtpmctl/ca.h"

/* Issues all certificates of a vTPM, and has vtpmd take them.  An exit status. */
int __must_check issue(const struct ca *ca, const char *socket, const char *name);

#endif
