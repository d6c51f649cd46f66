/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TPM's own derivations for its sessions, all with SHA-256 and P-256.
 * Source: TPM 2.0 Library, Part 1, clauses 11.4.10.2 (KDFa), 11.4.10.3 (KDFe),
 * C.6.1 (ECDH), 21.3 (AES-CFB).  0 or -EIO.
 */
#ifndef XVTPM_HOSTTPM_CRYPT_H
#define XVTPM_HOSTTPM_CRYPT_H

#include <stdbool.h>
#include "lib/crypt.h"

#define HOSTTPM_ECC_SIZE 32

struct hosttpm_point {
	uint8_t x[HOSTTPM_ECC_SIZE], y[HOSTTPM_ECC_SIZE];
};

/* 256 bits; the label's terminating zero is part of it. */
int __must_check hosttpm_crypt_kdfa(const uint8_t *key, size_t key_len, const char *label,
				    const struct crypt_part *u,
				    const struct crypt_part *v,
				    uint8_t out[CRYPT_HASH_SIZE]);
/* A fresh salt for the holder of peer: own is the point to send to it. */
int __must_check hosttpm_crypt_salt(const struct hosttpm_point *peer,
				    struct hosttpm_point *own,
				    uint8_t salt[CRYPT_HASH_SIZE]);
/* AES-128-CFB in place; keys: the key's 16 bytes, then the IV's 16. */
int __must_check hosttpm_crypt_cfb(const uint8_t keys[32], bool encrypt, uint8_t *buf,
				   size_t len);

#endif
