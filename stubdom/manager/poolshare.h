/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's key in the host's TPM: an HMAC key that was made outside of it for this TPM
 * (lib/tpm2/duplicate.h), and works in a boot state that is approved for vTPMs.  The TPM
 * imports it for each use; it never comes out of it.
 */
#ifndef XVTPM_POOLSHARE_H
#define XVTPM_POOLSHARE_H

#include "stubdom/manager/hosttpm.h"

/* The public part of such a key, without its unique, for the TPM with this storage key.
 * policy has room for the digest that *t points to.  -EIO */
int __must_check poolshare_template(const uint8_t *policy_key, size_t policy_key_len,
				    const uint8_t srk_name[TPM2_NAME_SIZE],
				    uint8_t policy[CRYPT_HASH_SIZE],
				    struct tpm2_template *t);
/* HMAC-SHA256 of data by the key.  Errors as those of hosttpm_unseal(). */
int __must_check poolshare_derive(const struct hosttpm_config *c,
				  const struct tpm2_transport *t,
				  struct tpm2_bytes object, struct tpm2_bytes data,
				  uint8_t share[CRYPT_HASH_SIZE], struct error *e);
/* Imports an object, and loads it: *handle is 0 if it is not; name is its Name. */
int __must_check poolshare_load(struct hosttpm *h, struct tpm2_bytes object,
				uint32_t *handle, uint8_t name[TPM2_NAME_SIZE],
				struct error *e);

#endif
