/* SPDX-License-Identifier: Apache-2.0 */
#include "certnv.h"
#include "command.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>

#define CHUNK 1024 /* libtpms's MAX_NV_BUFFER_SIZE */

/* TPMA_NV, Part 2, 13.4 */

#define DEFINED                                                                       \
	(TPMA_NV_PPWRITE | TPMA_NV_WRITEDEFINE | TPMA_NV_PPREAD | TPMA_NV_OWNERREAD | \
	 TPMA_NV_AUTHREAD | TPMA_NV_NO_DA | TPMA_NV_PLATFORMCREATE)
#define FINISHED (DEFINED | TPMA_NV_WRITTEN | TPMA_NV_WRITELOCKED)

static const uint32_t indexes[CERTNV_ALL] = {
	[CERTNV_RSA2048] = 0x01c00002,
	[CERTNV_P256] = 0x01c0000a,
	[CERTNV_P384] = 0x01c00016,
	[CERTNV_PLATFORM] = 0x01c08000,
};

int certnv_set(struct certnv *c, uint32_t index, const uint8_t *der, size_t len)
{
	size_t i;

	for (i = 0; i < CERTNV_ALL; i++)
		if (indexes[i] == index && len <= CERTNV_SIZE_MAX) {
			memcpy(c->one[i].der, der, len);
			c->one[i].len = (uint16_t)len;
			return 0;
		}
	return -EINVAL;
}

struct found {
	bool there;
	uint32_t attributes;
	uint16_t size;
};

static int look_cert(struct command *c, uint32_t index, struct found *f)
{
	int rc;

	*f = (struct found){.there = false};
	command_begin(c, TPM2_CC_NV_ReadPublic);
	cursor_put_u32(&c->in, index);
	rc = command_run(c);
	if (rc == -EREMOTEIO)
		return 0;
	if (rc)
		return rc;
	(void)cursor_bytes(&c->out, 2 + 4 + 2); /* size, index, nameAlg */
	f->attributes = cursor_u32(&c->out);
	(void)cursor_bytes(&c->out, cursor_u16(&c->out)); /* authPolicy */
	f->size = cursor_u16(&c->out);
	f->there = true;
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

/* A command of the platform about an index. */
static void begin_cert(struct command *c, uint32_t code, uint32_t index,
		       const struct firmware *f)
{
	command_begin(c, code);
	cursor_put_u32(&c->in, TPM2_RH_PLATFORM);
	if (index)
		cursor_put_u32(&c->in, index);
	command_auth(c, f->platform_auth, f->platform_auth_len);
}

static int remove_index(struct command *c, uint32_t index, const struct firmware *f)
{
	begin_cert(c, TPM2_CC_NV_UndefineSpace, index, f);
	return command_run(c);
}

static int define(struct command *c, uint32_t index, uint16_t size,
		  const struct firmware *f)
{
	size_t mark;

	begin_cert(c, TPM2_CC_NV_DefineSpace, 0, f);
	cursor_put_u16(&c->in, 0); /* auth */
	mark = cursor_mark_u16(&c->in);
	cursor_put_u32(&c->in, index);
	cursor_put_u16(&c->in, TPM2_ALG_SHA256);
	cursor_put_u32(&c->in, DEFINED);
	cursor_put_u16(&c->in, 0); /* authPolicy */
	cursor_put_u16(&c->in, size);
	cursor_patch_u16(&c->in, mark);
	return command_run(c);
}

static uint16_t chunk(const struct certnv_one *one, uint16_t at)
{
	return one->len - at < CHUNK ? (uint16_t)(one->len - at) : CHUNK;
}

static int write_index(struct command *c, uint32_t index, const struct certnv_one *one,
		       const struct firmware *f)
{
	uint16_t at = 0, n;
	int rc = 0;

	for (; at < one->len && !rc; at += n) {
		n = chunk(one, at);
		begin_cert(c, TPM2_CC_NV_Write, index, f);
		cursor_put_u16(&c->in, n);
		cursor_put(&c->in, one->der + at, n);
		cursor_put_u16(&c->in, at);
		rc = command_run(c);
	}
	if (rc)
		return rc;
	begin_cert(c, TPM2_CC_NV_WriteLock, index, f);
	return command_run(c);
}

/* 1: these bytes are there; 0: others. */
static int compare(struct command *c, uint32_t index, const struct certnv_one *one,
		   const struct firmware *f)
{
	uint16_t at = 0, n;
	const uint8_t *bytes;
	int rc;

	for (; at < one->len; at += n) {
		n = chunk(one, at);
		begin_cert(c, TPM2_CC_NV_Read, index, f);
		cursor_put_u16(&c->in, n);
		cursor_put_u16(&c->in, at);
		rc = command_run(c);
		if (rc)
			return rc;
		if (cursor_u16(&c->out) != n)
			return -EBADMSG;
		bytes = cursor_bytes(&c->out, n);
		if (!bytes)
			return -EBADMSG;
		if (memcmp(bytes, one->der + at, n))
			return 0;
	}
	return 1;
}

static int put_cert(struct command *c, uint32_t index, const struct certnv_one *one,
		    const struct firmware *f)
{
	struct found found;
	int rc = look_cert(c, index, &found);

	if (!rc && found.there && found.attributes == FINISHED &&
	    found.size == one->len) {
		rc = compare(c, index, one, f);
		if (rc)
			return rc < 0 ? rc : 0;
	}
	if (!rc && found.there)
		rc = remove_index(c, index, f);
	if (!rc)
		rc = define(c, index, one->len, f);
	return rc ? rc : write_index(c, index, one, f);
}

/* One of the guest's own stays. */
static int drop_cert(struct command *c, uint32_t index, const struct firmware *f)
{
	struct found found;
	int rc = look_cert(c, index, &found);

	if (rc || !found.there || !(found.attributes & TPMA_NV_PLATFORMCREATE))
		return rc;
	return remove_index(c, index, f);
}

int certnv_apply(const struct certnv *want, const struct firmware *f, unsigned int *good)
{
	struct command c = {.rc = 0};
	int rc = 0, one;
	size_t i;

	*good = 0;
	for (i = 0; i < CERTNV_ALL; i++) {
		if (want->one[i].len)
			one = put_cert(&c, indexes[i], &want->one[i], f);
		else
			one = drop_cert(&c, indexes[i], f);
		if (!one && want->one[i].len)
			++*good;
		if (one && !rc)
			rc = one;
	}
	command_wipe(&c);
	return rc;
}
