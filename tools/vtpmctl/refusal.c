/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/refusal.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <stdarg.h>
#include <stdio.h>

static void add_refusal(struct refusals *r, bool by_xl, const char *fmt, va_list ap)
{
	struct refusal *one = &r->one[r->count];

	if (r->count == REFUSALS_MAX)
		return;
	vsnprintf(one->text, sizeof(one->text), fmt, ap);
	one->by_xl = by_xl;
	r->count++;
}

bool refusals_add(struct refusals *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_refusal(r, false, fmt, ap);
	va_end(ap);
	return false;
}

bool refusals_add_by_xl(struct refusals *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_refusal(r, true, fmt, ap);
	va_end(ap);
	return false;
}

int refusals_print(const struct refusals *r, bool all)
{
	for (unsigned int i = 0; i < r->count && (all || !i); i++)
		fprintf(stderr, "vtpmctl: %s\n", r->one[i].text);
	return r->count ? VTPMCTL_FAILED : VTPMCTL_OK;
}
