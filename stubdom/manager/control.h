/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control channel that clients of swtpm use, as far as a TPM for tests needs it:
 * GET_CAPABILITY, INIT, SHUTDOWN, SET_LOCALITY, CANCEL_TPM_CMD and STOP.  Numbers and
 * layouts are those of <swtpm/tpm_ioctl.h>; all integers are big-endian.
 */
#ifndef XVTPM_CONTROL_H
#define XVTPM_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_REQUEST_MAX  8
#define CONTROL_RESPONSE_MAX 8

struct control_ops {
	void *ctx;
	int (*init)(void *ctx); /* power cycle, or power on after stop; 0 or -errno */
	int (*stop)(void *ctx); /* power off */
	void (*set_locality)(void *ctx, uint8_t locality);
	void (*cancel)(void *ctx);
};

/* How many bytes the request that begins in buf has; 0 while that is not known. */
size_t control_request_size(const uint8_t *buf, size_t len);
/* Carries out the request in buf, which is whole; returns the response's length.
 * *end: it was SHUTDOWN, the process ends once the response is sent. */
size_t control_answer(const struct control_ops *ops, const uint8_t *buf, size_t len,
		      uint8_t rsp[CONTROL_RESPONSE_MAX], bool *end);

#endif
