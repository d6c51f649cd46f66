/* SPDX-License-Identifier: Apache-2.0 */
#include "certnv.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"

#include <errno.h>
#include <string.h>

/* TPMA_NV, Part 2, 13.4 */

#define DEFINED                                                                       \
	(TPMA_NV_PPWRITE | TPMA_NV_WRITEDEFINE | TPMA_NV_PPREAD | TPMA_NV_OWNERREAD | \
	 TPMA_NV_AUTHREAD | TPMA_NV_NO_DA | TPMA_NV_PLATFORMCREATE)
#define FINISHED (DEFINED | TPMA_NV_WRITTEN | TPMA_NV_WRITELOCKED)

int certnv_set(struct certnv *c, uint32_t index, const uint8_t *der, size_t len)
{
	size_t i;

	for (i = 0; i < TPM2_CERTS; i++)
		if (tpm2_certs[i].index == index && len <= CERTNV_SIZE_MAX) {
			memcpy(c->one[i].der, der, len);
			c->one[i].len = (uint16_t)len;
			return 0;
		}
	return -EINVAL;
}

/* Whether there is such an index, and what it is like. */
static int look_cert(struct tpm2_cmd *c, uint32_t index, bool *there,
		     struct tpm2_nv_public *public)
{
	int rc = tpm2_nv_read_public(c, index, public);

	*there = !rc;
	return rc == -EREMOTEIO ? 0 : rc;
}

static struct tpm2_bytes chunk(const struct certnv_one *one, size_t at)
{
	size_t n = one->len - at;

	return (struct tpm2_bytes){one->der + at, n < TPM2_NV_CHUNK ? n : TPM2_NV_CHUNK};
}

static int write_index(struct tpm2_cmd *c, const struct tpm2_nv *nv,
		       const struct certnv_one *one)
{
	struct tpm2_bytes part;
	uint16_t at = 0;
	int rc = 0;

	for (; at < one->len && !rc; at += (uint16_t)part.n) {
		part = chunk(one, at);
		rc = tpm2_nv_write(c, nv, part, at);
	}
	return rc ? rc : tpm2_nv_write_lock(c, nv);
}

/* 1: these bytes are there; 0: others. */
static int compare(struct tpm2_cmd *c, const struct tpm2_nv *nv,
		   const struct certnv_one *one)
{
	struct tpm2_bytes part, there;
	uint16_t at = 0;
	int rc;

	for (; at < one->len; at += (uint16_t)part.n) {
		part = chunk(one, at);
		rc = tpm2_nv_read(c, nv, (uint16_t)part.n, at, &there);
		if (rc)
			return rc;
		if (memcmp(there.p, part.p, part.n))
			return 0;
	}
	return 1;
}

static int put_cert(struct tpm2_cmd *c, const struct tpm2_nv *nv,
		    const struct certnv_one *one)
{
	const struct tpm2_nv_public wanted = {nv->index, DEFINED, one->len};
	struct tpm2_nv_public public;
	bool there;
	int rc = look_cert(c, nv->index, &there, &public);

	if (!rc && there && public.attributes == FINISHED && public.size == one->len) {
		rc = compare(c, nv, one);
		if (rc)
			return rc < 0 ? rc : 0;
	}
	if (!rc && there)
		rc = tpm2_nv_undefine_space(c, nv);
	if (!rc)
		rc = tpm2_nv_define_space(c, TPM2_RH_PLATFORM, nv->auth, &wanted);
	return rc ? rc : write_index(c, nv, one);
}

/* One of the guest's own stays. */
static int drop_cert(struct tpm2_cmd *c, const struct tpm2_nv *nv)
{
	struct tpm2_nv_public public;
	bool there;
	int rc = look_cert(c, nv->index, &there, &public);

	if (rc || !there || !(public.attributes & TPMA_NV_PLATFORMCREATE))
		return rc;
	return tpm2_nv_undefine_space(c, nv);
}

int certnv_apply(const struct certnv *want, const struct firmware *f, unsigned int *good)
{
	struct tpm2_cmd c = {.transport = &engine_tpm};
	const struct tpm2_auth auth = firmware_auth(f);
	struct tpm2_nv nv = {.by = TPM2_RH_PLATFORM, .auth = &auth};
	int rc = 0, one;
	size_t i;

	*good = 0;
	for (i = 0; i < TPM2_CERTS; i++) {
		nv.index = tpm2_certs[i].index;
		if (!want->one[i].len && want->keeps_others)
			continue;
		one = want->one[i].len ? put_cert(&c, &nv, &want->one[i])
				       : drop_cert(&c, &nv);
		if (!one && want->one[i].len)
			++*good;
		if (one && !rc)
			rc = one;
	}
	tpm2_wipe(&c);
	return rc;
}
