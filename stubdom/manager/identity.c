/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"
#include "ek.h"

#include <errno.h>
#include <string.h>

#define CC_GET_CAPABILITY    0x17a
#define CAP_TPM_PROPERTIES   6
#define PT_PERMANENT	     0x200
#define OWNER_AUTH_SET	     0x1 /* TPMA_PERMANENT, Part 2, 8.6 */
#define ENDORSEMENT_AUTH_SET 0x2

#define KEYS_MAX 1024 /* TPM2B_PUBLICs of all kinds */

static int permanent(struct command *c, uint32_t *value)
{
	int rc;

	command_begin(c, CC_GET_CAPABILITY);
	cursor_put_u32(&c->in, CAP_TPM_PROPERTIES);
	cursor_put_u32(&c->in, PT_PERMANENT);
	cursor_put_u32(&c->in, 1);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_bytes(&c->out, 1 + 4 + 4); /* moreData, capability, count */
	if (cursor_u32(&c->out) != PT_PERMANENT)
		cursor_fail(&c->out);
	*value = cursor_u32(&c->out);
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

static int copy_public(struct command *c, struct cursor *keys)
{
	uint16_t len = cursor_u16(&c->out);

	cursor_put_u16(keys, len);
	cursor_put(keys, cursor_bytes(&c->out, len), len);
	return cursor_ok(&c->out) && cursor_ok(keys) ? 0 : -EBADMSG;
}

static int take(enum ek which, bool keep, struct command *c, struct cursor *keys)
{
	int rc = ek_make(which, c), flushed;
	uint32_t handle = c->handle;

	if (rc)
		return rc;
	rc = copy_public(c, keys);
	if (!rc && keep) {
		rc = ek_keep(c, handle, EK_RSA2048_HANDLE);
		if (rc == -EREMOTEIO) /* no room: the guest can make it itself */
			rc = 0;
	}
	flushed = ek_flush(c, handle);
	return rc ? rc : flushed;
}

static int take_all(bool keep, struct command *c, struct cursor *keys)
{
	unsigned int which;
	int rc = 0;

	keys->pos = 0;
	for (which = 0; which < EK_KINDS && !rc; which++)
		rc = take(which, which == EK_RSA2048 && keep, c, keys);
	return rc;
}

/* What has to be done first: 1 for all keys, 0 for the cheap one. */
static int look(bool made, struct command *c, bool *keep)
{
	uint32_t set;
	int rc = permanent(c, &set);

	if (rc)
		return rc;
	if (set & ENDORSEMENT_AUTH_SET)
		return -EACCES;
	rc = ek_exists(c, EK_RSA2048_HANDLE);
	if (rc < 0)
		return rc;
	*keep = !rc && !(set & OWNER_AUTH_SET);
	return made || *keep;
}

static int report(const struct identity_ops *ops, bool made, struct command *c)
{
	uint8_t buf[KEYS_MAX];
	struct cursor keys = cursor_writer(buf, sizeof(buf));
	uint32_t known = 0;
	bool keep = false;
	int all = look(made, c, &keep), rc;

	if (all < 0)
		return all;
	rc = all ? take_all(keep, c, &keys) : take(EK_P256, false, c, &keys);
	if (!rc)
		rc = ops->tell(ops->ctx, buf, keys.pos, &known);
	if (rc || all || known >= EK_KINDS)
		return rc;
	rc = take_all(false, c, &keys);
	return rc ? rc : ops->tell(ops->ctx, buf, keys.pos, &known);
}

int identity_report(const struct identity_ops *ops, bool made, struct error *e)
{
	struct command c = {.rc = 0};
	int rc = report(ops, made, &c);

	if (rc == -EPERM)
		return error_set(
			e, rc, CAUSE_WRONG_VTPM,
			"its endorsement keys are not those that vtpmd knows: the "
			"state is another TPM's; restore the vTPM from a backup");
	if (made && rc)
		return error_set(e, rc, CAUSE_ENGINE,
				 "its endorsement keys could not be made (%d, TPM_RC "
				 "0x%x)",
				 rc, (unsigned int)c.rc);
	return 0;
}
