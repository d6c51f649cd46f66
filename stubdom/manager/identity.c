/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"
#include "include/ekwitness.h"
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
	const struct identity_options *options;
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

/* Hashes what a witness is of.  -EINVAL: a Name is not known. */
static int hash_names(const struct envelope_name names[ENVELOPE_EKS],
		      uint8_t hash[CRYPT_HASH_SIZE])
{
	static const char label[] = "xen-vtpm endorsement keys 1";
	uint8_t bytes[1024];
	struct cursor w = cursor_writer(bytes, sizeof(bytes));
	struct crypt_part all = {bytes, 0};
	unsigned int which;

	cursor_put(&w, label, sizeof(label) - 1);
	cursor_put_u32(&w, engine_release());
	for (which = 0; which < TPM2_EKS; which++) {
		if (!names[which].len)
			return -EINVAL;
		tpm2_put_public(&w, &tpm2_eks[which]);
		tpm2_put_2b(&w,
			    (struct tpm2_bytes){names[which].bytes, names[which].len});
	}
	all.n = w.pos;
	return cursor_ok(&w) ? crypt_sha256(&all, 1, hash) : -EMSGSIZE;
}

static int make_witness(struct finding *f, uint8_t witness[EKWITNESS_SIZE])
{
	uint8_t hash[CRYPT_HASH_SIZE];
	const struct tpm2_template key = {
		.type = TPM2_ALG_KEYEDHASH,
		.name_alg = TPM2_ALG_SHA256,
		.attributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
			      TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
			      TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT,
		.hmac = TPM2_ALG_SHA256,
		.x = {hash, sizeof(hash)},
	};
	struct tpm2_bytes public, name;
	int rc = hash_names(f->names, hash);

	if (!rc)
		rc = tpm2_create_primary(&f->c, TPM2_RH_ENDORSEMENT, NULL, &key, &public,
					 &name);
	if (rc)
		return rc;
	if (name.n == EKWITNESS_SIZE)
		memcpy(witness, name.p, name.n);
	else
		rc = -EBADMSG;
	return tpm2_flush_context(&f->c, f->c.handle) ? -EIO : rc;
}

/* Whether this TPM's keys are known to have the Names that the header has. */
static bool is_witnessed(struct finding *f)
{
	const struct tpm2_bytes *known = &f->options->witness;
	uint8_t witness[EKWITNESS_SIZE];

	return known->n == sizeof(witness) && !make_witness(f, witness) &&
	       !memcmp(witness, known->p, sizeof(witness));
}

/* All keys were made.  Without a witness the next start makes them again. */
static void add_witness(struct finding *f)
{
	struct identity_keys *keys = f->keys;
	struct cursor w = cursor_writer(keys->publics + keys->len,
					sizeof(keys->publics) - keys->len);
	uint8_t witness[EKWITNESS_SIZE];

	if (!f->options->wants_witness || make_witness(f, witness))
		return;
	cursor_put_u16(&w, 0);
	cursor_put(&w, witness, sizeof(witness));
	if (cursor_ok(&w))
		keys->len += w.pos;
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
	if (is_witnessed(f))
		return f->keep ? make_identity(f, TPM2_EK_RSA2048) : 0;
	for (which = 0; which < TPM2_EKS && !rc; which++) {
		/* a guest can have put another one there: only what is known to be the
		 * key spares the making of it */
		if (which == TPM2_EK_RSA2048 && exists && f->names[which].len &&
		    !take_identity(f, which, IDENTITY_RSA2048_HANDLE))
			continue;
		rc = make_identity(f, which);
	}
	if (!rc)
		add_witness(f);
	return rc;
}

int identity_find(struct identity_keys *keys, struct envelope_name names[ENVELOPE_EKS],
		  const struct identity_options *options, struct error *e)
{
	struct finding f = {.c.transport = &engine_tpm,
			    .keys = keys,
			    .names = names,
			    .options = options};
	int rc;

	memset(keys, 0, sizeof(*keys));
	rc = find_identity(&f);
	if (rc == -EPERM)
		return error_set(
			e, rc, CAUSE_WRONG_VTPM,
			"its endorsement keys are not those that its header names: the "
			"state is another TPM's; restore the vTPM from a backup");
	if (options->is_new && rc)
		return error_set(e, rc, CAUSE_ENGINE,
				 "its endorsement keys could not be made (%d, TPM_RC "
				 "0x%x, %s): delete it and create it again, with more "
				 "--memory",
				 rc, (unsigned int)f.c.rc, tpm2_code_words(f.c.rc));
	return 0;
}
