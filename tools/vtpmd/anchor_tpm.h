/* SPDX-License-Identifier: Apache-2.0 */
/* The host's TPM for the anchor: a child, `vtpmctl host anchor`, so that the loop does
 * not wait for a TPM, and vtpmd itself needs no TPM library. */
#ifndef VTPMD_ANCHOR_TPM_H
#define VTPMD_ANCHOR_TPM_H

#include "lib/error.h"
#include "tools/vtpmd/anchor_file.h"
#include "tools/vtpmd/child.h"
#include "tools/vtpmd/vtpmd.h"

/* e NULL: the TPM has this value now. */
typedef void anchor_tpm_done(void *ctx, const uint8_t value[ANCHOR_HASH_SIZE],
			     const struct error *e);

struct anchor_tpm {
	struct vtpmd *d;
	anchor_tpm_done *done;
	void *ctx;
	pid_t pid; /* 0: nothing is under way */
	bool late; /* it took too long, and was ended */
	struct event *limit;
};

int __must_check anchor_tpm_init(struct anchor_tpm *t, struct vtpmd *d,
				 anchor_tpm_done *done, void *ctx);
void anchor_tpm_end(struct anchor_tpm *t);
/* done follows, from the loop, unless this fails. */
int __must_check anchor_tpm_get(struct anchor_tpm *t, struct error *e);
/* As it, once the TPM has taken f->next in the place of f->hash. */
int __must_check anchor_tpm_set(struct anchor_tpm *t, const struct anchor_file *f,
				struct error *e);

#endif
