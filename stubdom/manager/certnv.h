/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates of this TPM in its NV memory, where the TCG has them looked for, as
 * vtpmd has them.  Source: TCG EK Credential Profile for TPM Family 2.0, version 2.5,
 * 2.2.1.4 and 2.2.1.5; the index of the platform certificate and all attributes are
 * those that swtpm_setup gives.
 *
 * The indexes are the platform's: a guest reads them, and can neither write nor remove
 * them.  One that a guest has defined in the place of a certificate gives way to it.
 */
#ifndef XVTPM_CERTNV_H
#define XVTPM_CERTNV_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/tpm2/marshal.h"
#include "stubdom/manager/firmware.h"

/* The largest index of libtpms: MAX_NV_INDEX_SIZE. */
#define CERTNV_SIZE_MAX 2048

/* What is to be there; len 0: none. */
struct certnv {
	struct certnv_one {
		uint16_t len;
		uint8_t der[CERTNV_SIZE_MAX];
	} one[TPM2_CERTS];
	bool keeps_others; /* where none is to be, one that came with the TPM stays */
};

/* -EINVAL: no certificate belongs there, or it is too long. */
int __must_check certnv_set(struct certnv *c, uint32_t index, const uint8_t *der,
			    size_t len);
/* Makes the NV memory so, and writes nothing where it is.  *good: how many certificates
 * are there as they shall be.  -errno, and the others are there all the same. */
int __must_check certnv_apply(const struct certnv *want, const struct firmware *f,
			      unsigned int *good);

#endif
