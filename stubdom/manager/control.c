/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"
#include "lib/cursor.h"

#include <libtpms/tpm_error.h>

enum command {
	CMD_GET_CAPABILITY = 1,
	CMD_INIT = 2,
	CMD_SHUTDOWN = 3,
	CMD_SET_LOCALITY = 5,
	CMD_CANCEL_TPM_CMD = 9,
	CMD_STOP = 14,
};

enum capability {
	CAP_INIT = 1 << 0,
	CAP_SHUTDOWN = 1 << 1,
	CAP_SET_LOCALITY = 1 << 3,
	CAP_CANCEL_TPM_CMD = 1 << 5,
	CAP_STOP = 1 << 10,
};

#define LOCALITY_MAX 4

size_t control_request_size(const uint8_t *buf, size_t len)
{
	struct cursor c = cursor_reader(buf, len);

	if (len < 4)
		return 0;
	switch (cursor_u32(&c)) {
	case CMD_INIT: /* u32 flags: what volatile state to drop; all goes anyway */
		return 8;
	case CMD_SET_LOCALITY:
		return 5;
	default:
		return 4;
	}
}

static uint32_t set_locality(const struct control_ops *ops, struct cursor *c)
{
	uint8_t locality = cursor_u8(c);

	if (!cursor_ok(c) || locality > LOCALITY_MAX)
		return TPM_BAD_LOCALITY;
	ops->set_locality(ops->ctx, locality);
	return TPM_SUCCESS;
}

size_t control_answer(const struct control_ops *ops, const uint8_t *buf, size_t len,
		      uint8_t rsp[CONTROL_RESPONSE_MAX], bool *end)
{
	struct cursor c = cursor_reader(buf, len);
	struct cursor w = cursor_writer(rsp, CONTROL_RESPONSE_MAX);

	*end = false;
	switch (cursor_u32(&c)) {
	case CMD_GET_CAPABILITY:
		cursor_put_u64(&w, CAP_INIT | CAP_SHUTDOWN | CAP_SET_LOCALITY |
					   CAP_CANCEL_TPM_CMD | CAP_STOP);
		break;
	case CMD_INIT:
		cursor_put_u32(&w, ops->init(ops->ctx) ? TPM_FAIL : TPM_SUCCESS);
		break;
	case CMD_STOP:
		cursor_put_u32(&w, ops->stop(ops->ctx) ? TPM_FAIL : TPM_SUCCESS);
		break;
	case CMD_SHUTDOWN:
		*end = true;
		cursor_put_u32(&w, ops->stop(ops->ctx) ? TPM_FAIL : TPM_SUCCESS);
		break;
	case CMD_SET_LOCALITY:
		cursor_put_u32(&w, set_locality(ops, &c));
		break;
	case CMD_CANCEL_TPM_CMD:
		ops->cancel(ops->ctx);
		cursor_put_u32(&w, TPM_SUCCESS);
		break;
	default:
		cursor_put_u32(&w, TPM_BAD_ORDINAL);
	}
	return w.pos;
}
