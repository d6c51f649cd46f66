/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The digests of the policies that bind secrets to this host, for those who make them
 * (vtpmctl) and those who satisfy them (the manager).  All with SHA-256; Names are 34
 * bytes, nameAlg and hash.  What an approval says is in include/channel.h.
 * Source: TPM 2.0 Library, Part 3, 23.  0, or -EIO when OpenSSL fails.
 */
#ifndef XVTPM_LIB_TPM2_POLICY_H
#define XVTPM_LIB_TPM2_POLICY_H

#include "include/compiler.h"
#include "include/channel.h"
#include "lib/tpm2/marshal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An approved boot state: values of some PCRs of the SHA-256 bank, the number of
 * revocations that it was given at, and the host policy key's signatures, one for each
 * purpose, of the policy that demands both.  Its bytes are those that include/channel.h
 * describes.
 * Source: TPM 2.0 Library Part 3, TPM2_PolicyPCR, TPM2_PolicyNV and TPM2_PolicyAuthorize.
 */

#define APPROVAL_PCRS		24 /* PC Client platforms have PCR 0..23 */
#define APPROVAL_HASH_SIZE	32
#define APPROVAL_INT_SIZE	32 /* r and s of ECDSA P-256, left padded */
#define APPROVAL_SIGNATURE_SIZE (4 + 2 * (2 + APPROVAL_INT_SIZE))
#define APPROVAL_SIZE_MAX                                                        \
	(1 + APPROVAL_PCRS * (1 + APPROVAL_HASH_SIZE) + 8 + APPROVAL_HASH_SIZE + \
	 APPROVAL_PURPOSES * APPROVAL_SIGNATURE_SIZE)

struct approval_signature {
	uint8_t r[APPROVAL_INT_SIZE], s[APPROVAL_INT_SIZE];
};

struct approval {
	uint32_t pcrs; /* bit n: PCR n is in */
	uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
	uint64_t number;		    /* of revocations */
	uint8_t digest[APPROVAL_HASH_SIZE]; /* of PolicyPCR and PolicyNV */
	struct approval_signature signature[APPROVAL_PURPOSES];
};

/* "0,2,4,7" to bits; -EINVAL for anything but different numbers of 0..23. */
int __must_check approval_pcrs_parse(const char *text, uint32_t *pcrs);
/* The reverse; out has room for APPROVAL_PCRS * 3. */
void approval_pcrs_print(uint32_t pcrs, char *out);
/* "4=HEX,7=HEX": sets these values in *a; -EINVAL for anything else, for a PCR twice
 * and for one that is not in a->pcrs. */
int __must_check approval_values_parse(const char *text, struct approval *a);
/* The digest of TPM2_PolicyPCR, of the values alone; -EIO when OpenSSL fails. */
int __must_check approval_pcr_digest(const struct approval *a,
				     uint8_t digest[APPROVAL_HASH_SIZE]);
/* The policy digest that values and number make, with the counter of that Name. */
int __must_check approval_digest(const struct approval *a,
				 const uint8_t counter_name[TPM2_NAME_SIZE],
				 uint8_t digest[APPROVAL_HASH_SIZE]);
/* *len: in, room; out, bytes. -ENOSPC. */
int __must_check approval_encode(const struct approval *a, uint8_t *out, size_t *len);
/* The TPMT_SIGNATURE that these are. */
void approval_put_signature(struct cursor *c, const struct approval_signature *s);
/* -EBADMSG unless the bytes are those that approval_encode() gives.  Neither the digest nor
 * the signatures are verified here. */
int __must_check approval_parse(const uint8_t *in, size_t len, struct approval *a);
/* The same; -EBADMSG, too, unless the digest is that of the values and the number. */
int __must_check approval_decode(const uint8_t *in, size_t len,
				 const uint8_t counter_name[TPM2_NAME_SIZE],
				 struct approval *a);
/* The approved PCRs have these values. */
bool approval_matches(const struct approval *a,
		      const uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE]);

/* The policyRef of approvals for this purpose on the host that has this storage key. */
int __must_check policy_ref(enum approval_purpose purpose,
			    const uint8_t srk_name[TPM2_NAME_SIZE],
			    uint8_t ref[CRYPT_HASH_SIZE]);
/* What the policy key signs for TPM2_PolicyAuthorize: H(approvedPolicy || policyRef). */
int __must_check policy_signed(const uint8_t approved[CRYPT_HASH_SIZE],
			       const uint8_t ref[CRYPT_HASH_SIZE],
			       uint8_t hash[CRYPT_HASH_SIZE]);

/* Each extends *digest by one command of a policy session. */

/* Starts from zeroes, whatever *digest was (23.16.3). */
int __must_check policy_authorize(uint8_t digest[CRYPT_HASH_SIZE],
				  const uint8_t key_name[TPM2_NAME_SIZE],
				  const uint8_t ref[CRYPT_HASH_SIZE]);
/* TPM2_PolicySigned by this key, policyRef empty. */
int __must_check policy_key(uint8_t digest[CRYPT_HASH_SIZE],
			    const uint8_t key_name[TPM2_NAME_SIZE]);
int __must_check policy_auth_value(uint8_t digest[CRYPT_HASH_SIZE]);

/* Of the host policy key, whose signatures these are: its TPMT_PUBLIC, and a Name. */
#define POLICYKEY_PUBLIC_SIZE 88
#define POLICYKEY_NAME_SIZE   34

#endif
