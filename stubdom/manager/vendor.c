/* SPDX-License-Identifier: Apache-2.0 */
#include "vendor.h"
#include "include/vendor.h"
#include "lib/cursor.h"
#include "lib/tpm2/marshal.h"

#define HEADER_SIZE 10

/* Parameters in, parameters out; a TPM_RC. */
typedef uint32_t vendor_command(const struct vendor *v, struct cursor *in,
				struct cursor *out);

/* A piece of some bytes: u32 offset -> u32 total | TPM2B. */
static uint32_t read_piece(const uint8_t *bytes, size_t len, struct cursor *in,
			   struct cursor *out)
{
	size_t offset = cursor_u32(in), n;

	if (!cursor_ok(in))
		return TPM2_RC_INSUFFICIENT + TPM2_RC_P + TPM2_RC_1;
	if (!cursor_done(in))
		return TPM2_RC_SIZE;
	if (offset > len)
		return TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_1;
	n = len - offset;
	if (n > VENDOR_CHUNK)
		n = VENDOR_CHUNK;
	cursor_put_u32(out, (uint32_t)len);
	cursor_put_u16(out, (uint16_t)n);
	if (n)
		cursor_put(out, bytes + offset, n);
	return TPM2_RC_SUCCESS;
}

static uint32_t read_log(const struct vendor *v, struct cursor *in, struct cursor *out)
{
	return read_piece(v->log->bytes, v->log->len, in, out);
}

static uint32_t read_evidence(const struct vendor *v, struct cursor *in,
			      struct cursor *out)
{
	return read_piece((const uint8_t *)v->attest->evidence, v->attest->len, in, out);
}

static const uint8_t *take_vendor_2b(struct cursor *in, size_t *len)
{
	*len = cursor_u16(in);
	return cursor_bytes(in, *len);
}

static uint32_t attest(const struct vendor *v, struct cursor *in, struct cursor *out)
{
	struct error e = {.cause = CAUSE_NONE};
	struct attest_request r;
	uint32_t rc;

	r.nonce = take_vendor_2b(in, &r.nonce_len);
	r.pcrs = cursor_u32(in);
	r.user = take_vendor_2b(in, &r.user_len);
	if (!cursor_ok(in))
		return TPM2_RC_INSUFFICIENT + TPM2_RC_P + TPM2_RC_1;
	if (!cursor_done(in))
		return TPM2_RC_SIZE;
	if (r.nonce_len < ATTEST_NONCE_MIN || r.nonce_len > ATTEST_NONCE_MAX || !r.pcrs ||
	    r.pcrs >> TPM2_PCRS || r.user_len > ATTEST_USER_MAX)
		return TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_1;
	if (attest_run(v->attest, &r, &rc, &e))
		return rc;
	cursor_put_u32(out, (uint32_t)v->attest->len);
	return TPM2_RC_SUCCESS;
}

static const struct {
	uint32_t code;
	vendor_command *run;
} commands[] = {
	{XVTPM_CC_READ_LOG, read_log},
	{XVTPM_CC_ATTEST, attest},
	{XVTPM_CC_READ_EVIDENCE, read_evidence},
};

static vendor_command *find_vendor(uint32_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].code == code)
			return commands[i].run;
	return NULL;
}

/* Part 3, 5.2: the header's checks, in their order. */
static uint32_t check_header(uint16_t tag, uint32_t size, size_t len)
{
	if (tag != TPM2_ST_NO_SESSIONS && tag != TPM2_ST_SESSIONS)
		return TPM2_RC_BAD_TAG;
	if (size != len)
		return TPM2_RC_COMMAND_SIZE;
	return tag == TPM2_ST_SESSIONS ? TPM2_RC_AUTH_CONTEXT : TPM2_RC_SUCCESS;
}

static void put_vendor_header(uint8_t *rsp, size_t len, uint32_t rc)
{
	struct cursor w = cursor_writer(rsp, HEADER_SIZE);

	cursor_put_u16(&w, TPM2_ST_NO_SESSIONS);
	cursor_put_u32(&w, (uint32_t)len);
	cursor_put_u32(&w, rc);
}

bool vendor_execute(const struct vendor *v, const uint8_t *cmd, size_t len, uint8_t *rsp,
		    size_t *rsp_len)
{
	struct cursor in = cursor_reader(cmd, len), out;
	uint16_t tag = cursor_u16(&in);
	uint32_t size = cursor_u32(&in), rc;
	vendor_command *run = find_vendor(cursor_u32(&in));

	if (!cursor_ok(&in) || !run || *rsp_len < HEADER_SIZE)
		return false;
	out = cursor_writer(rsp + HEADER_SIZE, *rsp_len - HEADER_SIZE);
	rc = check_header(tag, size, len);
	if (!rc)
		rc = run(v, &in, &out);
	if (!rc && !cursor_ok(&out))
		rc = TPM2_RC_SIZE;
	*rsp_len = HEADER_SIZE + (rc ? 0 : out.pos);
	put_vendor_header(rsp, *rsp_len, rc);
	return true;
}
