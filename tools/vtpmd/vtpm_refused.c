/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that get no TPM are told of: by name and number, in the journal and `vtpmctl show`. */
#include "lib/text.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/presence.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/xen.h"

#include <stdio.h>
#include <string.h>

void vtpm_guest_name(const struct vtpm *v, uint32_t domid,
		     char out[static GUEST_NAME_MAX])
{
	char path[64], name[GUEST_NAME_MAX - 24], clean[sizeof(name)];

	snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
	if (!v->d->xen || xen_read(v->d->xen, path, name, sizeof(name)) || !name[0]) {
		snprintf(out, GUEST_NAME_MAX, "domain %u", domid);
		return;
	}
	text_clean(clean, sizeof(clean), (const uint8_t *)name, strlen(name));
	snprintf(out, GUEST_NAME_MAX, "domain %u (%s)", domid, clean);
}

void vtpm_guest_refused(struct vtpm *v, uint32_t domid, const char *why)
{
	char guest[GUEST_NAME_MAX];

	v->refusals++;
	vtpm_guest_name(v, domid, guest);
	snprintf(v->refused, sizeof(v->refused), "%s: %s", guest, why);
	log_limited(&v->limits.lines, LOG_ERR, VTPM_ABOUT(v, .id = LOG_ID_NO_GUEST),
		    "%s is refused: %s", guest, why);
}

/* struct peer_owner's refused() */
void vtpm_guest_on_refused(void *ctx, uint32_t domid, const char *why)
{
	vtpm_guest_refused(ctx, domid, why);
}

struct crb_guest vtpm_guest_crb(const struct vtpm *v, uint32_t domid)
{
	return (struct crb_guest){
		.vtpm = v->meta.uuid,
		.name = v->meta.name,
		.domid = domid,
		.backend = v->body->domid > 0 ? (uint32_t)v->body->domid : 0,
		.localities = v->meta.localities,
		.ppi_told = presence_told(v),
		.ppi_request = v->meta.presence.request,
	};
}
