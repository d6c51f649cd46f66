/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/vtpm.h"
#include "lib/cursor.h"
#include "lib/hex.h"

#include <errno.h>
#include <string.h>

int identity_key(const struct meta *m, unsigned int n, struct tpmpub *p)
{
	if (n >= m->eks)
		return -ENOENT;
	return tpmpub_parse(m->ek[n].bytes, m->ek[n].len, p);
}

/* Of those that a TPM can have one of each: TCG EK Credential Profile, B.3 and B.4 */
static const char *kind(const struct tpmpub *p)
{
	static const char *const kinds[] = {"rsa2048", "ecc-p256", "ecc-p384"};
	const char *word = tpmpub_word(p);
	size_t i;

	for (i = 0; word && i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(word, kinds[i]))
			return kinds[i];
	return NULL;
}

/* 1: added; 0: it was there. */
static int add(struct meta *m, const uint8_t *bytes, uint16_t len)
{
	struct tpmpub key, old;
	uint8_t digest[32];
	unsigned int i;

	if (!bytes || len > sizeof(m->ek[0].bytes) || tpmpub_parse(bytes, len, &key) ||
	    !kind(&key) || tpmpub_digest(&key, digest))
		return -EINVAL;
	for (i = 0; !identity_key(m, i, &old); i++)
		if (kind(&old) == kind(&key))
			return old.len == len && !memcmp(old.whole, bytes, len) ? 0
										: -EPERM;
	if (i == META_EKS)
		return -EINVAL;
	memcpy(m->ek[i].bytes, bytes, len);
	m->ek[i].len = len;
	m->eks = i + 1;
	return 1;
}

int identity_take(struct meta *m, const uint8_t *keys, size_t len)
{
	struct cursor c = cursor_reader(keys, len);
	struct meta fresh = *m;
	int changed = 0, rc;

	do {
		uint16_t n = cursor_u16(&c);

		rc = add(&fresh, cursor_bytes(&c, n), n);
		if (rc < 0)
			return rc;
		changed |= rc;
	} while (cursor_left(&c));
	if (!cursor_done(&c))
		return -EINVAL;
	*m = fresh;
	return changed;
}

static json_t *show_key(const struct tpmpub *p)
{
	char name_hex[2 * TPMPUB_NAME_MAX + 1], digest_hex[65],
		whole[2 * META_EK_MAX + 1];
	uint8_t name[TPMPUB_NAME_MAX], digest[32];
	size_t len;

	if (tpmpub_name(p, name, &len) || tpmpub_digest(p, digest))
		return json_null();
	hex_encode(name, len, name_hex);
	hex_encode(digest, sizeof(digest), digest_hex);
	hex_encode(p->whole, p->len, whole);
	return json_pack("{s:s, s:s, s:s, s:s}", "alg", kind(p), "name", name_hex,
			 "sha256", digest_hex, "public", whole);
}

json_t *identity_show(const struct meta *m)
{
	json_t *array = json_array();
	struct tpmpub p;
	unsigned int i;

	for (i = 0; !identity_key(m, i, &p); i++)
		json_array_append_new(array, show_key(&p));
	if (i)
		return array;
	json_decref(array);
	return json_null();
}

int identity_on_peer(void *ctx, const uint8_t *keys, size_t len, uint32_t *known,
		     const char **why)
{
	struct vtpm *v = ctx;
	int rc = v->state == VTPM_STARTING ? identity_take(&v->meta, keys, len) : -EBUSY;

	if (rc == -EPERM) {
		log_about(LOG_ERR, VTPM_ABOUT(v, .cause = CAUSE_WRONG_VTPM),
			  "its manager reports other endorsement keys than those that "
			  "are known: the state is another TPM's");
		*why = "This vTPM has other endorsement keys.";
	}
	if (rc < 0)
		return rc;
	if (rc)
		vtpm_keep_meta(v);
	*known = v->meta.eks;
	return 0;
}
