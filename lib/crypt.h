/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few primitives that the envelope, the key slots and the host TPM's
 * sessions share, over OpenSSL 3's EVP: SHA-256, HMAC-SHA256, HKDF-SHA256
 * (RFC 5869), AES-256-GCM and random bytes.  Everything returns 0 or -EIO
 * (OpenSSL failed), unless said otherwise.
 */
#ifndef XVTPM_CRYPT_H
#define XVTPM_CRYPT_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

#define CRYPT_HASH_SIZE 32
#define CRYPT_KEY_SIZE	32
#define CRYPT_IV_SIZE	12
#define CRYPT_TAG_SIZE	16

/* Keeps OpenSSL from reading openssl.cnf, which may ask for FIPS algorithms, providers or
 * engines that are not there, and change what TLS accepts.  First in every main(): the
 * first use of OpenSSL decides, also for libtpms, libssl and tss2 in the same program.
 * NULL; or the name of an algorithm of the default provider that is not there, and then
 * nothing may be concluded from any failure of OpenSSL. */
/*@ assigns \nothing; */
const char *__must_check crypt_init(void);
#define CRYPT_LACKS \
	"OpenSSL lacks %s here: install this system's own libcrypto; no key was judged"

/* One piece of a hashed message; a NULL p or n = 0 adds nothing. */
struct crypt_part {
	const void *p;
	size_t n;
};

/*@ predicate crypt_parts(struct crypt_part *parts, integer count) =
	\valid_read(parts + (0 .. count - 1)) &&
	\forall integer i; 0 <= i < count ==> parts[i].p == \null ||
		\valid_read((uint8_t *)parts[i].p + (0 .. parts[i].n - 1));
    predicate crypt_wiped(uint8_t *p, integer n) =
	\forall integer i; 0 <= i < n ==> p[i] == 0;
*/
/*@ requires crypt_parts(parts, count) && \valid(out + (0 .. CRYPT_HASH_SIZE - 1));
    assigns out[0 .. CRYPT_HASH_SIZE - 1];
    ensures \result == 0 || \result == -EIO; */
int __must_check crypt_sha256(const struct crypt_part *parts, size_t count,
			      uint8_t out[CRYPT_HASH_SIZE]);
/*@ requires \valid_read(key + (0 .. key_len - 1)) && (key_len > 0 ==> key != \null);
    requires crypt_parts(parts, count);
    requires \valid(out + (0 .. CRYPT_HASH_SIZE - 1));
    assigns out[0 .. CRYPT_HASH_SIZE - 1];
    ensures \result == 0 || \result == -EIO; */
int __must_check crypt_hmac(const uint8_t *key, size_t key_len,
			    const struct crypt_part *parts, size_t count,
			    uint8_t out[CRYPT_HASH_SIZE]);
/* salt may be NULL (RFC 5869, 2.2: zeroes); out is one hash long, and wiped on failure. */
/*@ requires \valid_read(ikm + (0 .. ikm_len - 1)) && \valid_read(info + (0 .. info_len - 1));
    requires salt == \null || \valid_read(salt + (0 .. salt_len - 1));
    requires \valid(out + (0 .. CRYPT_HASH_SIZE - 1));
    assigns out[0 .. CRYPT_HASH_SIZE - 1];
    ensures \result == 0 || \result == -EIO;
    ensures \result != 0 ==> crypt_wiped(out, CRYPT_HASH_SIZE); */
int __must_check crypt_hkdf(const uint8_t *ikm, size_t ikm_len, const uint8_t *salt,
			    size_t salt_len, const uint8_t *info, size_t info_len,
			    uint8_t out[CRYPT_HASH_SIZE]);
/* in and out may be the same buffer. */
/*@ requires \valid_read(key + (0 .. CRYPT_KEY_SIZE - 1));
    requires \valid_read(iv + (0 .. CRYPT_IV_SIZE - 1)) && \valid_read(aad + (0 .. aad_len - 1));
    requires \valid_read(in + (0 .. len - 1)) && \valid(out + (0 .. len - 1));
    requires \valid(tag + (0 .. CRYPT_TAG_SIZE - 1));
    assigns out[0 .. len - 1], tag[0 .. CRYPT_TAG_SIZE - 1];
    ensures \result == 0 || \result == -EIO; */
int __must_check crypt_gcm_seal(const uint8_t key[CRYPT_KEY_SIZE],
				const uint8_t iv[CRYPT_IV_SIZE], const uint8_t *aad,
				size_t aad_len, const uint8_t *in, size_t len,
				uint8_t *out, uint8_t tag[CRYPT_TAG_SIZE]);
/* -EBADMSG when the tag does not match; out is wiped on any failure. */
/*@ requires \valid_read(key + (0 .. CRYPT_KEY_SIZE - 1));
    requires \valid_read(iv + (0 .. CRYPT_IV_SIZE - 1)) && \valid_read(aad + (0 .. aad_len - 1));
    requires \valid_read(in + (0 .. len - 1)) && \valid(out + (0 .. len - 1));
    requires \valid_read(tag + (0 .. CRYPT_TAG_SIZE - 1));
    assigns out[0 .. len - 1];
    ensures \result == 0 || \result == -EBADMSG || \result == -EIO;
    ensures \result != 0 ==> crypt_wiped(out, len); */
int __must_check crypt_gcm_open(const uint8_t key[CRYPT_KEY_SIZE],
				const uint8_t iv[CRYPT_IV_SIZE], const uint8_t *aad,
				size_t aad_len, const uint8_t *in, size_t len,
				uint8_t *out, const uint8_t tag[CRYPT_TAG_SIZE]);
/* -EIO when the generator is not seeded. */
/*@ requires \valid(out + (0 .. len - 1));
    assigns out[0 .. len - 1];
    ensures \result == 0 || \result == -EIO; */
int __must_check crypt_random(uint8_t *out, size_t len);

#endif
