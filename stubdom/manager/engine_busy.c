/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libtpms looks now and then, in the midst of a long command, whether it was
 * cancelled.  There is one thread in a stub domain, so that this look is the only
 * moment to hear a guest's cancel: the linker (--wrap, manager.mk) leads it here.
 */
#include "stubdom/manager/engine.h"

int __real__plat__IsCanceled(void);
int __wrap__plat__IsCanceled(void);

static struct {
	void (*call)(void *ctx);
	void *ctx;
} busy;

void engine_while_busy(void (*call)(void *ctx), void *ctx)
{
	busy.call = call;
	busy.ctx = ctx;
}

int __wrap__plat__IsCanceled(void)
{
	if (busy.call)
		busy.call(busy.ctx);
	return __real__plat__IsCanceled();
}
