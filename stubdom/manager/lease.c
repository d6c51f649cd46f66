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

/* To fire behind the end: whole seconds, and one more. */
static void guard_lease(struct lease *l, const struct lease_env *env, int64_t now)
{
	if (!env->guard)
		return;
	env->guard(env->ctx, (uint32_t)((l->until_ms - now) / 1000 + 1));
	l->guarded = true;
}

void lease_rest(struct lease *l, const struct lease_env *env)
{
	if (l->guarded)
		env->guard(env->ctx, 0);
	l->guarded = false;
}

/* Whether it is asked for anew though it holds: the guard is to have some time to be lifted. */
static bool is_short(const struct lease *l, const struct lease_env *env, int64_t now,
		     bool tried)
{
	return env->guard && !tried && l->until_ms - now < LEASE_GUARD_LEFT_MS;
}

int lease_await(struct lease *l, const struct lease_env *env)
{
	bool tried = false;

	while (l->needed) {
		int64_t asked = env->now_ms(env->ctx);
		uint32_t ms;
		int rc;

		if (lease_holds(l, asked) && !is_short(l, env, asked, tried)) {
			guard_lease(l, env, asked);
			return 0;
		}
		lease_rest(l, env);
		if (env->is_stopped(env->ctx))
			return -ECANCELED;
		rc = env->renew(env->ctx, &ms);
		if (rc)
			return rc;
		tried = true;
		l->until_ms = asked + ms;
		if (!ms)
			env->pause(env->ctx);
	}
	return 0;
}
