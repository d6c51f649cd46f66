/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of include/vendor.h. */
#ifndef XVTPM_MANAGER_VENDOR_H
#define XVTPM_MANAGER_VENDOR_H

#include <stdbool.h>
#include "compiler.h"
#include "stubdom/manager/attest.h"

struct vendor {
	const struct eventlog *log;
	struct attest *attest;
};

/* Answers a command of ours, true, or leaves it to the TPM.  rsp_len: in, room (at
 * least 10, or it is left to the TPM); out, bytes. */
bool __must_check vendor_execute(const struct vendor *v, const uint8_t *cmd, size_t len,
				 uint8_t *rsp, size_t *rsp_len);

#endif
