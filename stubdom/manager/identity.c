/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"
#include "ek.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>

_Static_assert((int)EK_P256 == (int)ENVELOPE_EK_P256 &&
		       (int)EK_RSA2048 == (int)ENVELOPE_EK_RSA2048 &&
		       (int)EK_P384 == (int)ENVELOPE_EK_P384 &&
		       (int)EK_KINDS == (int)ENVELOPE_EKS,
	       "one order of endorsement keys");

/* What is known so far. */
struct finding {
	struct command c;
	struct identity_keys *keys;
	struct envelope_name *names;
	bool keep; /* the RSA key is missing where others look for it */
};

static int permanent(struct command *c, uint32_t *value)
{
	int rc;

	command_begin(c, TPM2_CC_GetCapability);
	cursor_put_u32(&c->in, TPM2_CAP_TPM_PROPERTIES);
	cursor_put_u32(&c->in, TPM2_PT_PERMANENT);
	cursor_put_u32(&c->in, 1);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_bytes(&c->out, 1 + 4 + 4); /* moreData, capability, count */
	if (cursor_u32(&c->out) != TPM2_PT_PERMANENT)
		cursor_fail(&c->out);
	*value = cursor_u32(&c->out);
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

/* TPM2_ReadPublic, Part 3, 12.4: the key's Name; where its TPM2B_PUBLIC is. */
static int read_public(struct command *c, uint32_t handle, struct envelope_name *name,
		       const uint8_t **public, uint16_t *len)
{
	int rc;

	command_begin(c, TPM2_CC_ReadPublic);
	cursor_put_u32(&c->in, handle);
	rc = command_run(c);
	if (rc)
		return rc;
	*len = cursor_u16(&c->out);
	*public = cursor_bytes(&c->out, *len);
	name->len = cursor_u16(&c->out);
	if (name->len > sizeof(name->bytes))
		return -EBADMSG;
	cursor_copy(&c->out, name->bytes, name->len);
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

static bool same_name(const struct envelope_name *a, const struct envelope_name *b)
{
	return a->len == b->len && !memcmp(a->bytes, b->bytes, a->len);
}

/* Takes in the key at handle, if its Name is the one that is known.  -EPERM */
static int take_identity(struct finding *f, enum ek which, uint32_t handle)
{
	struct identity_keys *keys = f->keys;
	struct cursor w = cursor_writer(keys->publics + keys->len,
					sizeof(keys->publics) - keys->len);
	struct envelope_name name = {.len = 0}, *known = &f->names[which];
	const uint8_t *public;
	uint16_t len;
	int rc = read_public(&f->c, handle, &name, &public, &len);

	if (rc)
		return rc;
	if (known->len && !same_name(known, &name))
		return -EPERM;
	cursor_put_u16(&w, len);
	cursor_put(&w, public, len);
	if (!cursor_ok(&w) || !name.len ||
	    !envelope_name_ok((enum envelope_ek)which, &name))
		return -EBADMSG;
	keys->len += w.pos;
	keys->changed |= !known->len;
	*known = name;
	return 0;
}

static int make_identity(struct finding *f, enum ek which)
{
	int rc = ek_create_primary(which, &f->c), flushed;
	uint32_t handle = f->c.handle;

	if (rc)
		return rc;
	rc = take_identity(f, which, handle);
	if (!rc && which == EK_RSA2048 && f->keep) {
		rc = ek_evict_control(&f->c, handle, EK_RSA2048_HANDLE);
		if (rc == -EREMOTEIO) /* no room: the guest can make it itself */
			rc = 0;
	}
	flushed = ek_flush(&f->c, handle);
	return rc ? rc : flushed;
}

static int find_identity(struct finding *f)
{
	unsigned int which;
	uint32_t set;
	int rc = permanent(&f->c, &set), exists = 0;

	if (!rc && set & TPMA_PERMANENT_ENDORSEMENTAUTHSET)
		return -EACCES;
	if (!rc)
		exists = ek_read_public(&f->c, EK_RSA2048_HANDLE);
	if (rc || exists < 0)
		return rc ? rc : exists;
	f->keep = !exists && !(set & TPMA_PERMANENT_OWNERAUTHSET);
	for (which = 0; which < EK_KINDS && !rc; which++) {
		/* a guest can have put another one there: only what is known to be the
		 * key spares the making of it */
		if (which == EK_RSA2048 && exists && f->names[which].len &&
		    !take_identity(f, which, EK_RSA2048_HANDLE))
			continue;
		rc = make_identity(f, which);
	}
	return rc;
}

int identity_find(struct identity_keys *keys, struct envelope_name names[ENVELOPE_EKS],
		  bool made, struct error *e)
{
	struct finding f = {.keys = keys, .names = names};
	int rc;

	memset(keys, 0, sizeof(*keys));
	rc = find_identity(&f);
	if (rc == -EPERM)
		return error_set(
			e, rc, CAUSE_WRONG_VTPM,
			"its endorsement keys are not those that its header names: the "
			"state is another TPM's; restore the vTPM from a backup");
	if (made && rc)
		return error_set(e, rc, CAUSE_ENGINE,
				 "its endorsement keys could not be made (%d, TPM_RC "
				 "0x%x)",
				 rc, (unsigned int)f.c.rc);
	return 0;
}
