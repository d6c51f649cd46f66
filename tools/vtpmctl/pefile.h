/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_VTPMCTL_PEFILE_H
#define XVTPM_VTPMCTL_PEFILE_H

#include "include/compiler.h"
#include "lib/crypt.h"

/* The SHA-256 of a PE image that firmware and shim measure, and that signatures are of:
 * Windows Authenticode Portable Executable Signature Format, "Calculating the PE Image Hash":
 * without the checksum, the entry of the certificate table, and that table.
 * -EBADMSG: it is no PE image. */
int __must_check pefile_hash(const uint8_t *file, size_t len,
			     uint8_t hash[CRYPT_HASH_SIZE]);

#endif
