/* SPDX-License-Identifier: Apache-2.0 */
/* The list of approved boot states in host.json, as operators speak of it. */
#include "tools/vtpmctl/hostconf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool hostconf_label_ok(const char *label)
{
	static const char digits[] = "0123456789";
	static const char signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_.-";
	size_t n = strlen(label);

	return n && n <= HOSTCONF_LABEL_MAX && strspn(label, signs) == n &&
	       strspn(label, digits) != n;
}

int hostconf_approve(struct hostconf *h, const struct approval *a, const char *label)
{
	struct hostconf_note *n = &h->notes[h->approval_count];
	time_t now = time(NULL);
	struct tm tm;

	if (h->approval_count == HOSTCONF_APPROVALS_MAX)
		return -ENOSPC;
	memset(n, 0, sizeof(*n));
	if (gmtime_r(&now, &tm))
		strftime(n->at, sizeof(n->at), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (label)
		snprintf(n->label, sizeof(n->label), "%s", label);
	h->approvals[h->approval_count++] = *a;
	return 0;
}

int hostconf_find_approval(const struct hostconf *h, const char *which, size_t *index)
{
	unsigned long number;
	char *end;
	size_t i;

	for (i = 0; i < h->approval_count; i++)
		if (which[0] && !strcmp(h->notes[i].label, which)) {
			*index = i;
			return 0;
		}
	if (which[0] < '1' || which[0] > '9')
		return -ENOENT;
	number = strtoul(which, &end, 10);
	if (*end || number > h->approval_count)
		return -ENOENT;
	*index = number - 1;
	return 0;
}

void hostconf_revoke(struct hostconf *h, size_t index)
{
	size_t after = h->approval_count - index - 1;

	memmove(&h->approvals[index], &h->approvals[index + 1],
		after * sizeof(h->approvals[0]));
	memmove(&h->notes[index], &h->notes[index + 1], after * sizeof(h->notes[0]));
	h->approval_count--;
	memset(&h->notes[h->approval_count], 0, sizeof(h->notes[0]));
}
