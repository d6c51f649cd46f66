/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of an ECDSA signature (r, s), (r, n - s) is one too, by the same key over the same data,
 * and a TPM gives either; integers may come with leading zeroes or without.  Evidence has
 * one form: r and s of the curve's size, and s the smaller of the two.
 */
#ifndef XVTPM_ECDSA_H
#define XVTPM_ECDSA_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

#define ECDSA_P256 72 /* a TPMT_SIGNATURE with two integers of 32 bytes */

/* Brings a TPMT_SIGNATURE (TPM 2.0, Part 2, 11.3.4) of a P-256 key into that form.
 * -EBADMSG: it is none, or an integer is not in 1 to n - 1. */
int __must_check ecdsa_p256(const uint8_t *signature, size_t len,
			    uint8_t out[ECDSA_P256]);

#endif
