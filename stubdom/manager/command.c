/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>
#include <openssl/crypto.h>

void command_begin(struct command *c, uint32_t code)
{
	memset(c, 0, sizeof(*c));
	c->in = cursor_writer(c->cmd, sizeof(c->cmd));
	cursor_put_u16(&c->in, TPM2_ST_NO_SESSIONS);
	cursor_put_u32(&c->in, 0);
	cursor_put_u32(&c->in, code);
}

/* TPMS_AUTH_COMMAND, Part 2, 10.13.2 */
static void authorize_command(struct command *c, uint32_t session, const uint8_t *auth,
			      size_t len)
{
	struct cursor tag = cursor_writer(c->cmd, 2);

	if (!c->authorizes) {
		cursor_put_u16(&tag, TPM2_ST_SESSIONS);
		c->auth_mark = cursor_mark_u32(&c->in);
	}
	c->authorizes = true;
	cursor_put_u32(&c->in, session);
	cursor_put_u16(&c->in, 0); /* nonce */
	cursor_put_u8(&c->in, 0);  /* attributes */
	cursor_put_u16(&c->in, (uint16_t)len);
	cursor_put(&c->in, auth, len);
	cursor_patch_u32(&c->in, c->auth_mark);
}

void command_auth(struct command *c, const uint8_t *auth, size_t len)
{
	authorize_command(c, TPM2_RH_PW, auth, len);
}

void command_session(struct command *c, uint32_t session)
{
	authorize_command(c, session, NULL, 0);
}

static int parse_command(struct command *c, size_t len)
{
	uint16_t tag;
	uint32_t size;

	c->out = cursor_reader(c->rsp, len);
	tag = cursor_u16(&c->out);
	size = cursor_u32(&c->out);
	c->rc = cursor_u32(&c->out);
	if (!cursor_ok(&c->out) || size != len)
		return -EBADMSG;
	if (c->rc)
		return -EREMOTEIO;
	if (c->gives_handle)
		c->handle = cursor_u32(&c->out);
	if (tag == TPM2_ST_SESSIONS) {
		size = cursor_u32(&c->out);
		c->out = cursor_sub(&c->out, size);
	}
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

int command_run(struct command *c)
{
	struct cursor size = cursor_writer(c->cmd + 2, 4);
	size_t len = sizeof(c->rsp);
	int rc;

	if (!cursor_ok(&c->in))
		return -EMSGSIZE;
	cursor_put_u32(&size, (uint32_t)c->in.pos);
	rc = engine_execute(0, c->cmd, c->in.pos, c->rsp, &len);
	return rc ? rc : parse_command(c, len);
}

void command_wipe(struct command *c)
{
	OPENSSL_cleanse(c, sizeof(*c));
}
