/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/identity.h"
#include "lib/channel.h"
#include "lib/slot/slot.h"
#include "lib/cursor.h"
#include "lib/text.h"
#include "tools/vtpmd/vtpm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int identity_key(const struct meta *m, unsigned int n, struct tpm2_public *p)
{
	if (n >= m->eks)
		return -ENOENT;
	return tpm2_public_parse(m->ek[n].bytes, m->ek[n].len, p);
}

/* Of those that a TPM can have one of each: TCG EK Credential Profile, B.3 and B.4 */
static const char *const kinds[ENVELOPE_EKS] = {
	[ENVELOPE_EK_P256] = "ecc-p256",
	[ENVELOPE_EK_RSA2048] = "rsa2048",
	[ENVELOPE_EK_P384] = "ecc-p384",
};

/* ENVELOPE_EKS: none of them. */
static size_t kind(const struct tpm2_public *p)
{
	const char *word = tpm2_public_word(p);
	size_t i = 0;

	while (i < ENVELOPE_EKS && (!word || strcmp(word, kinds[i])))
		i++;
	return i;
}

/* Whether the header has the Name of this key. */
static bool is_named(const struct meta *m, const struct tpm2_public *p)
{
	uint8_t name[TPM2_NAME_MAX];
	const struct envelope_name *known;
	size_t len, which = kind(p);

	if (which == ENVELOPE_EKS || tpm2_public_name(p, name, &len))
		return false;
	known = &m->names[which];
	return known->len && len == known->len && !memcmp(name, known->bytes, len);
}

void identity_settle(struct meta *m)
{
	unsigned int i, n = 0;
	struct tpm2_public p;

	for (i = 0; i < m->eks; i++)
		if (!identity_key(m, i, &p) && is_named(m, &p))
			m->ek[n++] = m->ek[i];
	m->eks = n;
}

/* 1: added; 0: it was there. */
static int add_identity(struct meta *m, const uint8_t *bytes, uint16_t len)
{
	struct tpm2_public key, old;
	uint8_t digest[32];
	unsigned int i;

	if (!bytes || len > sizeof(m->ek[0].bytes) ||
	    tpm2_public_parse(bytes, len, &key) || kind(&key) == ENVELOPE_EKS ||
	    tpm2_public_digest(&key, digest))
		return -EINVAL;
	if (!is_named(m, &key))
		return -EPERM;
	for (i = 0; !identity_key(m, i, &old); i++)
		if (kind(&old) == kind(&key)) /* of one Name */
			return 0;
	if (i == META_EKS)
		return -EINVAL;
	memcpy(m->ek[i].bytes, bytes, len);
	m->ek[i].len = len;
	m->eks = i + 1;
	return 1;
}

/* 1: it is another one; 0: it was there; bytes NULL: there is none. */
static int add_witness(struct meta *m, const uint8_t *bytes)
{
	if (!bytes)
		return -EINVAL;
	if (m->has_witness && !memcmp(m->ek_witness, bytes, sizeof(m->ek_witness)))
		return 0;
	memcpy(m->ek_witness, bytes, sizeof(m->ek_witness));
	m->has_witness = true;
	return 1;
}

/* The keys, and of a manager their witness, which is the last. */
static int take_identities(struct meta *m, const uint8_t *keys, size_t len, bool manager)
{
	struct cursor c = cursor_reader(keys, len);
	struct meta fresh = *m;
	bool last = false;
	int changed = 0, rc;

	do {
		uint16_t n = cursor_u16(&c);

		last = cursor_ok(&c) && !n && manager;
		rc = last ? add_witness(&fresh,
					cursor_bytes(&c, sizeof(fresh.ek_witness)))
			  : add_identity(&fresh, cursor_bytes(&c, n), n);
		if (rc < 0)
			return rc;
		changed |= rc;
	} while (cursor_left(&c) && !last);
	if (!cursor_done(&c))
		return -EINVAL;
	*m = fresh;
	return changed;
}

int identity_take(struct meta *m, const uint8_t *keys, size_t len)
{
	return take_identities(m, keys, len, false);
}

/* Without a key of which it has the Name alone vtpmd cannot show or certify that. */
void identity_put_config(const struct meta *m, struct cursor *out)
{
	bool whole = m->has_witness && m->eks == ENVELOPE_EKS;

	channel_tlv_put(out, CONFIG_EK_WITNESS, m->ek_witness,
			whole ? sizeof(m->ek_witness) : 0);
}

static json_t *show_key(const struct tpm2_public *p)
{
	char name_hex[2 * TPM2_NAME_MAX + 1], digest_hex[65], whole[2 * META_EK_MAX + 1];
	uint8_t name[TPM2_NAME_MAX], digest[32];
	size_t len;

	if (tpm2_public_name(p, name, &len) || tpm2_public_digest(p, digest))
		return json_null();
	hex_encode(name, len, name_hex);
	hex_encode(digest, sizeof(digest), digest_hex);
	hex_encode(p->whole.p, p->whole.n, whole);
	return json_pack("{s:s, s:s, s:s, s:s}", "alg", kinds[kind(p)], "name", name_hex,
			 "sha256", digest_hex, "public", whole);
}

/* A key of which only the Name is known: its guest has a password of its own. */
static json_t *show_name(const char *alg, const struct envelope_name *name)
{
	char hex[2 * ENVELOPE_NAME_MAX + 1];

	hex_encode(name->bytes, name->len, hex);
	return json_pack("{s:s, s:s, s:n, s:n}", "alg", alg, "name", hex, "sha256",
			 "public");
}

static json_t *show_kind(const struct meta *m, size_t which)
{
	struct tpm2_public p;
	unsigned int i;

	for (i = 0; !identity_key(m, i, &p); i++)
		if (kind(&p) == which)
			return show_key(&p);
	return m->names[which].len ? show_name(kinds[which], &m->names[which]) : NULL;
}

json_t *identity_show(const struct meta *m)
{
	json_t *array = json_array(), *key;
	size_t i;

	for (i = 0; i < ENVELOPE_EKS; i++) {
		key = show_kind(m, i);
		if (key)
			json_array_append_new(array, key);
	}
	if (json_array_size(array))
		return array;
	json_decref(array);
	return json_null();
}

int identity_on_peer(void *ctx, const uint8_t *keys, size_t len, uint32_t *known,
		     const char **why)
{
	struct vtpm *v = ctx;
	struct error e = {.cause = CAUSE_NONE};
	int rc = vtpm_is(v, VTPM_STARTING) ? 0 : -EBUSY;

	/* the manager has put the Names there, if they are new */
	if (!rc)
		rc = describe_stored(&v->meta, &v->store, &e);
	if (!rc)
		rc = take_identities(&v->meta, keys, len, true);
	if (rc == -EPERM) {
		log_limited(&v->limits.lines, LOG_ERR,
			    VTPM_ABOUT(v, .cause = CAUSE_WRONG_VTPM),
			    "its manager reports other endorsement keys than those that "
			    "its header names");
		*why = "This vTPM has other endorsement keys.";
	}
	if (rc < 0)
		return rc;
	if (rc)
		vtpm_keep_meta(v);
	*known = v->meta.eks;
	return 0;
}

/* Takes the description in; of the endorsement keys that m knows, only those stay whose
 * Names stand there. */
static void describe_take(struct meta *m, const struct envelope_desc *desc)
{
	strcpy(m->policy, slot_kind_name(desc->policy));
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
		return store_lacks(s, m->name, e);
	if (rc)
		return error_set(
			e, rc, CAUSE_STORE,
			"The header of %s could not be read: %s; see its disk's space and permissions.",
			m->name, strerror(-rc));
	rc = describe_header(m, header, len, e);
	free(header);
	return rc;
}
