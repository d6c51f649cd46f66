/* SPDX-License-Identifier: Apache-2.0 */
#include "vtpm_identity.h"
#include "identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static int take_certs(struct vtpm_identity *i, const struct unlock_config *config)
{
	unsigned int n;
	int rc = 0;

	memset(&i->certs, 0, sizeof(i->certs));
	for (n = 0; n < config->certs && !rc; n++)
		rc = certnv_set(&i->certs, config->cert[n].index, config->cert[n].der,
				config->cert[n].len);
	return rc;
}

/* A TPM without its certificates serves its guest as well. */
static void apply(struct vtpm_identity *i, struct hostchan *chan,
		  const struct firmware *f)
{
	char text[128];
	int rc = certnv_apply(&i->certs, f, &i->good);

	if (!rc)
		return;
	snprintf(text, sizeof(text),
		 "certificates are missing in the TPM's NV memory (%s): is it full?",
		 strerror(-rc));
	hostchan_log(chan, LOG_WARNING, text);
}

int vtpm_identity_power_on(struct vtpm_identity *i, struct hostchan *chan,
			   struct firmware *f)
{
	int rc = firmware_start(f);

	if (!rc)
		apply(i, chan, f);
	return rc;
}

/* The header has the Names before vtpmd gets the keys. */
static int report(struct vtpm_keys *keys)
{
	struct envelope_desc desc = keys->config->desc;
	bool made = keys->config->create && !keys->config->is_copy;
	struct identity_keys found;
	uint32_t kept;
	int rc = identity_find(&found, desc.ek, made, keys->error);

	if (!rc && found.changed)
		rc = vtpm_keys_describe(keys, &desc);
	if (rc || !found.len)
		return rc;
	rc = hostchan_identity(keys->chan, found.publics, found.len, &kept);
	return rc ? error_set(keys->error, rc, CAUSE_CHANNEL,
			      "vtpmd does not take its endorsement keys (%s): install "
			      "vtpmd and the vTPM manager of one version",
			      strerror(-rc))
		  : 0;
}

int vtpm_identity_begin(struct vtpm_identity *i, struct vtpm_keys *keys,
			struct firmware *f)
{
	int rc = take_certs(i, keys->config);

	if (rc)
		return error_set(keys->error, rc, CAUSE_CHANNEL,
				 "vtpmd sent certificates that do not belong into a TPM: "
				 "install vtpmd and the vTPM manager of one version");
	rc = vtpm_identity_power_on(i, keys->chan, f);
	if (rc)
		return firmware_failed(rc, keys->error);
	return report(keys);
}

void vtpm_identity_renew(struct vtpm_identity *i, struct hostchan *chan,
			 const struct firmware *f)
{
	struct unlock_config config;
	uint8_t *tlvs = NULL;
	size_t len = 0;
	int rc = hostchan_config(chan, &tlvs, &len);

	if (!rc) {
		rc = unlock_config_parse(tlvs, len, &config, NULL);
		if (!rc) {
			rc = take_certs(i, &config);
			unlock_config_free(&config);
		}
	}
	free(tlvs);
	if (rc)
		hostchan_log(chan, LOG_ERR, "the new certificates could not be fetched");
	else
		apply(i, chan, f);
}
