/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/reload.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/vtpm.h"

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
		    error_by_config(v->meta.error.cause)) {
			vtpm_start_again(v);
			again++;
		}
	log_about(LOG_NOTICE, &about,
		  "%s is read anew; %u vTPMs that had failed are tried again", d->config,
		  again);
	return 0;
}
