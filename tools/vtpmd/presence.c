/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/presence.h"
#include "lib/text.h"
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/xen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RESPONSE_CODE_MAX 0xfffu /* of function 5: a TPM's */
/* Each request costs some writes to the disk and an entry of the audit log. */
#define CLEARS	       20
#define CLEAR_EVERY_MS (30 * 60 * 1000)

bool presence_requested(struct vtpmd *d, const uint8_t vtpm[16], uint32_t operation)
{
	struct error e = {.cause = CAUSE_NONE};
	struct vtpm *v = d->vtpms;
	bool claimed;

	while (v && memcmp(v->meta.uuid, vtpm, 16))
		v = v->next;
	if (!v || (operation && !ppi_is_clear(operation)))
		return true;
	/* another host that has it now has its vtpm.json, too */
	claimed = v->store.claimed;
	if (!claimed && store_claim(&v->store, &e))
		return false;
	if (!claimed)
		vtpm_refresh_presence(v);
	if (v->meta.presence.request != operation) {
		v->meta.presence.request = operation;
		(void)vtpm_keep_meta(v); /* tries again by itself */
	}
	if (!claimed)
		store_release(&v->store);
	return true;
}

struct ppi_told presence_told(const struct vtpm *v)
{
	return (struct ppi_told){
		.allowed = !v->meta.presence.denied,
		.last = v->meta.presence.last,
		.response = v->meta.presence.response,
	};
}

static void tell_guest(const struct vtpm *v)
{
	const struct ppi_told told = presence_told(v);

	crb_tell_presence(v->meta.uuid, &told, v->meta.presence.request);
}

/* The request is over; 0: durable, else it is pending as before. */
static int end_request(struct vtpm *v, uint32_t response)
{
	const struct meta_presence before = v->meta.presence;
	int rc;

	v->meta.presence.last = before.request;
	v->meta.presence.response = response;
	v->meta.presence.request = 0;
	rc = vtpm_keep_meta(v);
	if (rc)
		v->meta.presence = before;
	else
		tell_guest(v);
	return rc;
}

static int audit_request(struct vtpm *v, uint32_t operation, const char *what)
{
	char path[64], name[64] = "", shown[65], detail[192];

	snprintf(path, sizeof(path), "/local/domain/%u/name", v->clears_for);
	if (!v->d->xen || xen_read(v->d->xen, path, name, sizeof(name)))
		name[0] = 0;
	text_clean(shown, sizeof(shown), name, strlen(name));
	snprintf(detail, sizeof(detail),
		 "physical presence, operation %u, before domain %u%s%s: %s", operation,
		 v->clears_for, shown[0] ? " " : "", shown, what);
	log_limited(&v->limits.lines, LOG_NOTICE, VTPM_ABOUT(v), "%s", detail);
	return vtpm_audit(v, "clear", detail);
}

bool presence_begin(struct vtpm *v, uint32_t domid)
{
	uint32_t operation = v->meta.presence.request;

	v->clears = false;
	v->clears_for = domid;
	if (!operation)
		return false;
	if (!bucket_take(&v->clearings, CLEARS, CLEAR_EVERY_MS, (uint64_t)stamp_ms())) {
		log_limited(
			&v->limits.lines, LOG_WARNING, VTPM_ABOUT(v),
			"its guests request too often that it be cleared; the request "
			"stays pending: restart the guest later");
		return false;
	}
	if (v->meta.presence.denied) {
		if (!end_request(v, PPI_RESPONSE_ABORTED))
			audit_request(v, operation, "refused by --ppi deny");
		return false;
	}
	/* no Clear is without an entry, whoever dies when, and where none can be written */
	if (audit_request(v, operation, "begins"))
		return false;
	v->clears = true;
	return true;
}

int presence_cleared(struct vtpm *v, uint32_t response)
{
	uint32_t operation = v->meta.presence.request;
	char what[48] = "TPM2_Clear was done";
	int rc;

	if (!v->clears || !operation)
		return -EPERM;
	if (response > RESPONSE_CODE_MAX)
		response = PPI_RESPONSE_FAILED;
	if (response)
		snprintf(what, sizeof(what), "the TPM answered 0x%x", response);
	/* before vtpm.json: what is pending still is done, and told, again */
	audit_request(v, operation, what);
	rc = end_request(v, response);
	if (!rc)
		v->clears = false;
	return rc;
}

int presence_set(struct vtpm *v, bool denied)
{
	struct meta_presence before;
	int rc;

	if (!v->store.claimed)
		vtpm_refresh_presence(v);
	before = v->meta.presence;
	/* what was requested while it was denied stays denied */
	if (before.denied && !denied && before.request) {
		v->meta.presence.last = before.request;
		v->meta.presence.response = PPI_RESPONSE_ABORTED;
		v->meta.presence.request = 0;
	}
	v->meta.presence.denied = denied;
	rc = vtpm_keep_meta(v);
	if (rc) {
		v->meta.presence = before;
		return rc;
	}
	tell_guest(v);
	vtpm_audit(v, "set", denied ? "--ppi deny" : "--ppi allow");
	return 0;
}
