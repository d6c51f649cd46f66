/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libtpms adds g_daUsed (BOOL, an int) to the failed tries in DAStartup(), which
 * TPM2_Startup calls after an end without TPM2_Shutdown.  There is no option to
 * TPMLIB_Process() or command for it: the linker (--wrap, manager.mk) leads the call here.
 */
#include "engine_lockout.h"

extern int g_daUsed;
int __real_DAStartup(int type);
int __wrap_DAStartup(int type);

static bool counted;

void engine_lockout_counts(bool counts)
{
	counted = counts;
}

int __wrap_DAStartup(int type)
{
	if (!counted)
		g_daUsed = 0;
	return __real_DAStartup(type);
}
