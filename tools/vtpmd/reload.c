/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/reload.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/vtpm.h"

/* What another configuration can mend. */
static bool may_be_mended(enum cause cause)
{
	switch (cause) {
	case CAUSE_NOT_CONFIGURED:
	case CAUSE_TPM_UNREACHABLE:
	case CAUSE_TPM_BUSY:
	case CAUSE_PCRS_CHANGED:
	case CAUSE_KMS_UNREACHABLE:
	case CAUSE_KMS_UNTRUSTED:
	case CAUSE_KMS_DENIED:
	case CAUSE_KMS_KEY:
	case CAUSE_KMS_REFUSED:
		return true;
	default:
		return false;
	}
}

int reload(struct vtpmd *d, struct error *e)
{
	const struct log_about about = {.id = LOG_ID_RELOADED};
	unsigned int again = 0;
	struct config c;
	struct vtpm *v;
	int rc = config_load(d->config, &c, e);

	d->reload_failed = rc != 0;
	if (rc) {
		log_about(LOG_ERR, &(struct log_about){.cause = e->cause},
			  "not reloaded: %s", e->text);
		return rc;
	}
	config_free(&c);
	d->reloaded = time(NULL);
	for (v = d->vtpms; v; v = v->next)
		if (v->meta.wanted && v->state == VTPM_FAILED &&
		    may_be_mended(v->meta.error.cause)) {
			vtpm_start_again(v);
			again++;
		}
	log_about(LOG_NOTICE, &about,
		  "%s is read anew; %u vTPMs that had failed are tried again", d->config,
		  again);
	return 0;
}
