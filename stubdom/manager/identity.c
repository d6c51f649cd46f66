/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"
#include "lib/tpm2/code.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"

#include <errno.h>
#include <string.h>

_Static_assert((int)TPM2_EK_P256 == (int)ENVELOPE_EK_P256 &&
		       (int)TPM2_EK_RSA2048 == (int)ENVELOPE_EK_RSA2048 &&
		       (int)TPM2_EK_P384 == (int)ENVELOPE_EK_P384 &&
		       (int)TPM2_EKS == (int)ENVELOPE_EKS,
	       "one order of endorsement keys");

/* What is known so far. */
struct finding {
	struct tpm2_cmd c;
	struct identity_keys *keys;
	struct envelope_name *names;
	bool keep; /* the RSA key is missing where others look for it */
};

/* TPM2_ReadPublic: the key's Name, and its TPM2B_PUBLIC. */
static int read_name(struct tpm2_cmd *c, uint32_t handle, struct envelope_name *name,
		     struct tpm2_bytes *public)
{
	struct tpm2_bytes got;
	int rc = tpm2_read_public(c, handle, public, &got);

	if (rc)
		return rc;
	if (got.n > sizeof(name->bytes))
		return -EBADMSG;
	name->len = (uint16_t)got.n;
	memcpy(name->bytes, got.p, got.n);
	return 0;
}

static bool same_name(const struct envelope_name *a, const struct envelope_name *b)
{
	return a->len == b->len && !memcmp(a->bytes, b->bytes, a->len);
}

/* Takes in the key at handle, if its Name is the one that is known.  -EPERM */
static int take_identity(struct finding *f, enum tpm2_ek which, uint32_t handle)
{
	struct identity_keys *keys = f->keys;
	struct cursor w = cursor_writer(keys->publics + keys->len,
					sizeof(keys->publics) - keys->len);
	struct envelope_name name = {.len = 0}, *known = &f->names[which];
	struct tpm2_bytes public;
	int rc = read_name(&f->c, handle, &name, &public);

	if (rc)
		return rc;
	if (known->len && !same_name(known, &name))
		return -EPERM;
	tpm2_put_2b(&w, public);
	if (!cursor_ok(&w) || !name.len ||
	    !envelope_name_ok((enum envelope_ek)which, &name))
		return -EBADMSG;
	keys->len += w.pos;
	keys->changed |= !known->len;
	*known = name;
	return 0;
}

static int make_identity(struct finding *f, enum tpm2_ek which)
{
	struct tpm2_bytes public, name;
	int rc = tpm2_create_primary(&f->c, TPM2_RH_ENDORSEMENT, NULL, &tpm2_eks[which],
				     &public, &name);
	uint32_t handle = f->c.handle;
	int flushed;

	if (rc)
		return rc;
	rc = take_identity(f, which, handle);
	if (!rc && which == TPM2_EK_RSA2048 && f->keep) {
		rc = tpm2_evict_control(&f->c, handle, IDENTITY_RSA2048_HANDLE);
		if (rc == -EREMOTEIO) /* no room: the guest can make it itself */
			rc = 0;
	}
	flushed = tpm2_flush_context(&f->c, handle);
	return rc ? rc : flushed;
}

static int find_identity(struct finding *f)
{
	unsigned int which;
	struct tpm2_bytes public, name;
	uint32_t set;
	bool exists;
	int rc = tpm2_get_property(&f->c, TPM2_PT_PERMANENT, &set);

	if (!rc && set & TPMA_PERMANENT_ENDORSEMENTAUTHSET)
		return -EACCES;
	if (!rc)
		rc = tpm2_read_public(&f->c, IDENTITY_RSA2048_HANDLE, &public, &name);
	exists = !rc;
	if (rc && rc != -EREMOTEIO)
		return rc;
	rc = 0;
	f->keep = !exists && !(set & TPMA_PERMANENT_OWNERAUTHSET);
	for (which = 0; which < TPM2_EKS && !rc; which++) {
		/* a guest can have put another one there: only what is known to be the
		 * key spares the making of it */
		if (which == TPM2_EK_RSA2048 && exists && f->names[which].len &&
		    !take_identity(f, which, IDENTITY_RSA2048_HANDLE))
			continue;
		rc = make_identity(f, which);
	}
	return rc;
}

int identity_find(struct identity_keys *keys, struct envelope_name names[ENVELOPE_EKS],
		  bool made, struct error *e)
{
	struct finding f = {.c.transport = &engine_tpm, .keys = keys, .names = names};
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
				 "0x%x, %s): delete it and create it again, with more "
				 "--memory",
				 rc, (unsigned int)f.c.rc, tpm2_code_words(f.c.rc));
	return 0;
}
