/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/trail.h"
#include "tools/vtpmd/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIMIT (64u << 20) /* bytes that are read while everybody waits */

static int read_trail_log(const struct vtpmd *d, const struct audit_head *want,
			  struct audit_result *r)
{
	int rc = audit_read(d->audit, want, LIMIT, r);

	if (rc)
		log_line(
			LOG_ERR,
			"the audit log %s cannot be read: %s; see its disk and permissions",
			d->audit, strerror(-rc));
	return rc;
}

void trail_begin(struct vtpmd *d)
{
	const struct audit_head none = {.n = 0};
	struct audit_result r;

	(void)!read_trail_log(d, &none, &r);
	d->audited = r.end;
	d->audit_found = r.end.n;
}

/* Entries that only their writer knows: vtpmd, before it was killed; or another. */
static void tell_unknown(struct vtpmd *d, uint64_t known)
{
	char detail[96];
	struct audit_event a = {.event = "unanchored", .detail = detail};

	if (d->audit_found <= known)
		return;
	snprintf(detail, sizeof(detail),
		 "entries %llu to %llu were not known to the host's TPM",
		 (unsigned long long)known + 1, (unsigned long long)d->audit_found);
	d->audit_found = known;
	trail_add(d, &a);
}

void trail_anchored(struct vtpmd *d, const struct audit_head *known)
{
	struct audit_result r;

	if (!read_trail_log(d, known, &r) && r.has) {
		d->audited = r.end;
		tell_unknown(d, known->n);
		return;
	}
	log_line(LOG_ERR,
		 "the audit log %s lacks entry %llu, which the host's TPM knows of: see "
		 "`vtpmctl audit verify`",
		 d->audit, (unsigned long long)known->n);
	d->audited = *known;
}

int trail_add(struct vtpmd *d, const struct audit_event *a)
{
	int rc = audit_append(d->audit, &d->audited, a);

	if (rc)
		log_about(LOG_ERR, &(struct log_about){.vtpm = a->vtpm},
			  "\"%s\" is not in the audit log %s: %s", a->event, d->audit,
			  strerror(-rc));
	return rc;
}

int trail_rotate(struct vtpmd *d, struct error *e)
{
	char detail[64] = "all entries are there";
	struct audit_event a = {.event = "rotate", .detail = detail};
	struct audit_result r;
	int rc = read_trail_log(d, &d->audited, &r);

	if (!rc && (r.wrong || (r.files && !audit_head_equal(&r.end, &d->audited))))
		rc = -EINVAL;
	if (rc)
		return error_set(
			e, rc, CAUSE_STORE,
			"The audit log is not whole: see `vtpmctl audit verify`; "
			"when that is dealt with, move the files of %s elsewhere, "
			"and rotate again.",
			d->audit);
	a.first = r.entries ? r.first : d->audited.n + 1;
	if (a.first > 1)
		snprintf(detail, sizeof(detail), "entries before %llu are gone",
			 (unsigned long long)a.first);
	rc = audit_append(d->audit, &d->audited, &a);
	return rc ? error_set(
			    e, rc, CAUSE_STORE,
			    "The audit log %s could not be written: %s; see its disk's space and permissions.",
			    d->audit, strerror(-rc))
		  : 0;
}
