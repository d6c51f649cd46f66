/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/describe.h"
#include "tools/vtpmd/identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *describe_policy(uint16_t policy)
{
	switch (policy) {
	case ENVELOPE_SLOT_HOST:
		return "host";
	case ENVELOPE_SLOT_TPM:
		return "tpm";
	case ENVELOPE_SLOT_KMS:
		return "kms";
	}
	return "unknown";
}

void describe_take(struct meta *m, const struct envelope_desc *desc)
{
	strcpy(m->policy, describe_policy(desc->policy));
	m->localities = desc->localities;
	m->pcr_banks = desc->pcr_banks;
	m->tpm12 = desc->tpm12;
	m->measured = desc->measured;
	memcpy(m->names, desc->ek, sizeof(m->names));
	identity_settle(m);
}

int describe_header(struct meta *m, const uint8_t *header, size_t len, struct error *e)
{
	struct envelope_header *h = malloc(sizeof(*h));
	int rc;

	if (!h)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	rc = envelope_header_parse(header, len, h, e);
	if (!rc)
		describe_take(m, &h->desc);
	free(h);
	return rc;
}

int describe_stored(struct meta *m, struct store *s, struct error *e)
{
	uint8_t *header;
	size_t len;
	int rc = store_get(s, CHANNEL_OBJECT_HEADER, &header, &len);

	if (rc == -ENOENT)
		return error_set(e, rc, CAUSE_NO_STATE,
				 "The vTPM %s has no header in the store: restore it "
				 "from a backup; no new one is made.",
				 m->name);
	if (rc)
		return error_set(e, rc, CAUSE_STORE,
				 "The header of %s could not be read: %s.", m->name,
				 strerror(-rc));
	rc = describe_header(m, header, len, e);
	free(header);
	return rc;
}
