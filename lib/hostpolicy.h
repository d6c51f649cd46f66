/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The digests of the policies that bind secrets to this host, for those who make them
 * (vtpmctl) and those who satisfy them (the manager).  All with SHA-256; Names are 34
 * bytes, nameAlg and hash.  What an approval says is in include/channel.h.
 * Source: TPM 2.0 Library, Part 3, 23.  0, or -EIO when OpenSSL fails.
 */
#ifndef XVTPM_HOSTPOLICY_H
#define XVTPM_HOSTPOLICY_H

#include <stdint.h>
#include "include/channel.h"
#include "lib/crypt.h"

#define HOSTPOLICY_NAME_SIZE 34

/* The policyRef of approvals for this purpose on the host that has this storage key. */
int __must_check hostpolicy_ref(enum approval_purpose purpose,
				const uint8_t srk_name[HOSTPOLICY_NAME_SIZE],
				uint8_t ref[CRYPT_HASH_SIZE]);
/* What the policy key signs for TPM2_PolicyAuthorize: H(approvedPolicy || policyRef). */
int __must_check hostpolicy_signed(const uint8_t approved[CRYPT_HASH_SIZE],
				   const uint8_t ref[CRYPT_HASH_SIZE],
				   uint8_t hash[CRYPT_HASH_SIZE]);

/* Each extends *digest by one command of a policy session. */
int __must_check hostpolicy_pcr(uint8_t digest[CRYPT_HASH_SIZE], uint32_t pcrs,
				const uint8_t pcr_digest[CRYPT_HASH_SIZE]);
/* TPM2_PolicyNV: the counter of revocations equals number. */
int __must_check hostpolicy_counter(uint8_t digest[CRYPT_HASH_SIZE],
				    const uint8_t counter_name[HOSTPOLICY_NAME_SIZE],
				    uint64_t number);
/* Starts from zeroes, whatever *digest was (23.16.3). */
int __must_check hostpolicy_authorize(uint8_t digest[CRYPT_HASH_SIZE],
				      const uint8_t key_name[HOSTPOLICY_NAME_SIZE],
				      const uint8_t ref[CRYPT_HASH_SIZE]);
/* TPM2_PolicySigned by this key, policyRef empty. */
int __must_check hostpolicy_key(uint8_t digest[CRYPT_HASH_SIZE],
				const uint8_t key_name[HOSTPOLICY_NAME_SIZE]);
int __must_check hostpolicy_auth_value(uint8_t digest[CRYPT_HASH_SIZE]);

#endif
