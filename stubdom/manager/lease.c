/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/lease.h"

#include <errno.h>

static bool lease_holds(struct lease *l, int64_t now)
{
	/* a clock that went back is another host's, of a domain that was restored there */
	if (now < l->seen_ms)
		l->until_ms = 0;
	l->seen_ms = now;
	return now < l->until_ms;
}

int lease_await(struct lease *l, const struct lease_env *env)
{
	while (l->needed) {
		int64_t asked = env->now_ms(env->ctx);
		uint32_t ms;
		int rc;

		if (lease_holds(l, asked))
			return 0;
		if (env->is_stopped(env->ctx))
			return -ECANCELED;
		rc = env->renew(env->ctx, &ms);
		if (rc)
			return rc;
		l->until_ms = asked + ms;
		if (!ms)
			env->pause(env->ctx);
	}
	return 0;
}
