/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host policy key: ECDSA P-256, signs which boot states are good.  The TPM
 * and host.json know its public part as a TPMT_PUBLIC of fixed length; who
 * has the private part can approve any boot state, so it belongs off the host.
 */
#ifndef XVTPM_POLICYKEY_H
#define XVTPM_POLICYKEY_H

#include "lib/error.h"
#include "lib/tpm2/policy.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int __must_check policykey_make(EVP_PKEY **key, struct error *e);
/* Reads a PEM; refuses what is not a private P-256 key. */
int __must_check policykey_load(const char *path, EVP_PKEY **key, struct error *e);
/* Writes a new file of mode 0600, durably; never over an existing one. */
int __must_check policykey_save(EVP_PKEY *key, const char *path, struct error *e);
/* TPMT_PUBLIC: sign | userWithAuth, ECDSA SHA-256, nameAlg SHA-256. */
int __must_check policykey_public(EVP_PKEY *key, uint8_t out[POLICYKEY_PUBLIC_SIZE]);
/* Signs a->digest for each purpose on the host that has this storage key. */
int __must_check policykey_sign(EVP_PKEY *key,
				const uint8_t srk_name[POLICYKEY_NAME_SIZE],
				struct approval *a);
/* 0, or -EBADMSG unless all signatures are of this TPMT_PUBLIC's key, for this host. */
int __must_check policykey_verify(const uint8_t public[POLICYKEY_PUBLIC_SIZE],
				  const uint8_t srk_name[POLICYKEY_NAME_SIZE],
				  const struct approval *a);
/* Signs a hash with a P-256 key. */
int __must_check policykey_sign_hash(EVP_PKEY *key, const uint8_t hash[CRYPT_HASH_SIZE],
				     struct approval_signature *s);
/* The TPM Name of the TPMT_PUBLIC: what PolicyAuthorize calls keySign. */
int __must_check policykey_name(const uint8_t public[POLICYKEY_PUBLIC_SIZE],
				uint8_t name[POLICYKEY_NAME_SIZE]);
/* The digest of a policy that is PolicyAuthorize(this key) for a purpose on the host that
 * has this storage key. */
int __must_check policykey_policy(const uint8_t public[POLICYKEY_PUBLIC_SIZE],
				  enum approval_purpose purpose,
				  const uint8_t srk_name[POLICYKEY_NAME_SIZE],
				  uint8_t digest[APPROVAL_HASH_SIZE]);

#endif
