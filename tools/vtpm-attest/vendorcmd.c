/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-attest/vendorcmd.h"
#include "include/vendor.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <stdlib.h>

#define BUFFER	     4096
#define EVIDENCE_MAX (1024 * 1024)

struct exchange {
	uint8_t cmd[BUFFER], rsp[BUFFER];
	struct cursor in, out;
};

static void begin(struct exchange *x, uint32_t code)
{
	x->in = cursor_writer(x->cmd, sizeof(x->cmd));
	cursor_put_u16(&x->in, TPM2_ST_NO_SESSIONS);
	cursor_put_u32(&x->in, 0);
	cursor_put_u32(&x->in, code);
}

static int run(TSS2_TCTI_CONTEXT *tcti, struct exchange *x, uint32_t *tpm_rc)
{
	struct cursor size = cursor_writer(x->cmd + 2, 4);
	size_t len = sizeof(x->rsp);

	cursor_put_u32(&size, (uint32_t)x->in.pos);
	if (!cursor_ok(&x->in) || Tss2_Tcti_Transmit(tcti, x->in.pos, x->cmd) ||
	    Tss2_Tcti_Receive(tcti, &len, x->rsp, TSS2_TCTI_TIMEOUT_BLOCK))
		return -EIO;
	x->out = cursor_reader(x->rsp, len);
	(void)cursor_u16(&x->out);
	if (cursor_u32(&x->out) != len)
		return -EIO;
	*tpm_rc = cursor_u32(&x->out);
	if (!cursor_ok(&x->out))
		return -EIO;
	return *tpm_rc ? -EREMOTEIO : 0;
}

static void put_2b(struct cursor *w, const uint8_t *p, size_t n)
{
	cursor_put_u16(w, (uint16_t)n);
	cursor_put(w, p, n);
}

int vendorcmd_attest(TSS2_TCTI_CONTEXT *tcti, const struct vendorcmd_attest *a,
		     uint32_t *tpm_rc)
{
	struct exchange x;

	begin(&x, XVTPM_CC_ATTEST);
	put_2b(&x.in, a->nonce, a->nonce_len);
	cursor_put_u32(&x.in, a->pcrs);
	put_2b(&x.in, a->user, a->user_len);
	return run(tcti, &x, tpm_rc);
}

/* One piece; *total grows from 0 to what it is. */
static int read_piece(TSS2_TCTI_CONTEXT *tcti, char **text, size_t *at, size_t *total,
		      uint32_t *tpm_rc)
{
	struct exchange x;
	size_t n, all;
	int rc;

	begin(&x, XVTPM_CC_READ_EVIDENCE);
	cursor_put_u32(&x.in, (uint32_t)*at);
	rc = run(tcti, &x, tpm_rc);
	if (rc)
		return rc;
	all = cursor_u32(&x.out);
	n = cursor_u16(&x.out);
	if (!all || all > EVIDENCE_MAX || (*total && all != *total) || !n ||
	    n > all - *at || n > cursor_left(&x.out))
		return -EIO;
	if (!*total)
		*text = calloc(1, all + 1);
	if (!*text)
		return -ENOMEM;
	*total = all;
	cursor_copy(&x.out, *text + *at, n);
	*at += n;
	return 0;
}

int vendorcmd_evidence(TSS2_TCTI_CONTEXT *tcti, char **text, size_t *len,
		       uint32_t *tpm_rc)
{
	size_t at = 0, total = 0;
	int rc;

	*text = NULL;
	do
		rc = read_piece(tcti, text, &at, &total, tpm_rc);
	while (!rc && at < total);
	*len = total;
	if (rc) {
		free(*text);
		*text = NULL;
	}
	return rc;
}
