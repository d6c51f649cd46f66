/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/hostpolicy.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>

#define PCR_SELECT 3 /* bytes of a PC Client's PCR bitmap */

/* digest = H(digest || code || data || more) */
static int extend(uint8_t digest[CRYPT_HASH_SIZE], uint32_t code, struct crypt_part data,
		  struct crypt_part more)
{
	uint8_t be[4];
	struct cursor c = cursor_writer(be, sizeof(be));
	const struct crypt_part parts[] = {
		{digest, CRYPT_HASH_SIZE}, {be, sizeof(be)}, data, more};

	cursor_put_u32(&c, code);
	return crypt_sha256(parts, ARRAY_SIZE(parts), digest);
}

/* PolicyUpdate() of 23.2.3: a key's Name, then policyRef in a hash of its own. */
static int extend_by_key(uint8_t digest[CRYPT_HASH_SIZE], uint32_t code,
			 const uint8_t name[HOSTPOLICY_NAME_SIZE], struct crypt_part ref)
{
	const struct crypt_part key = {name, HOSTPOLICY_NAME_SIZE}, none = {NULL, 0};
	const struct crypt_part again[] = {{digest, CRYPT_HASH_SIZE}, ref};
	int rc = extend(digest, code, key, none);

	return rc ? rc : crypt_sha256(again, ARRAY_SIZE(again), digest);
}

int hostpolicy_ref(enum approval_purpose purpose,
		   const uint8_t srk_name[HOSTPOLICY_NAME_SIZE],
		   uint8_t ref[CRYPT_HASH_SIZE])
{
	static const char label[] = "xen-vtpm approval";
	const uint8_t number = (uint8_t)purpose;
	const struct crypt_part parts[] = {{label, sizeof(label) - 1},
					   {&number, 1},
					   {srk_name, HOSTPOLICY_NAME_SIZE}};

	return crypt_sha256(parts, ARRAY_SIZE(parts), ref);
}

int hostpolicy_signed(const uint8_t approved[CRYPT_HASH_SIZE],
		      const uint8_t ref[CRYPT_HASH_SIZE], uint8_t hash[CRYPT_HASH_SIZE])
{
	const struct crypt_part parts[] = {{approved, CRYPT_HASH_SIZE},
					   {ref, CRYPT_HASH_SIZE}};

	return crypt_sha256(parts, ARRAY_SIZE(parts), hash);
}

int hostpolicy_pcr(uint8_t digest[CRYPT_HASH_SIZE], uint32_t pcrs,
		   const uint8_t pcr_digest[CRYPT_HASH_SIZE])
{
	uint8_t selection[4 + 2 + 1 + PCR_SELECT];
	struct cursor c = cursor_writer(selection, sizeof(selection));
	int n;

	cursor_put_u32(&c, 1);
	cursor_put_u16(&c, TPM2_ALG_SHA256);
	cursor_put_u8(&c, PCR_SELECT);
	for (n = 0; n < PCR_SELECT; n++)
		cursor_put_u8(&c, (uint8_t)(pcrs >> 8 * n));
	return extend(digest, TPM2_CC_PolicyPCR,
		      (struct crypt_part){selection, sizeof(selection)},
		      (struct crypt_part){pcr_digest, CRYPT_HASH_SIZE});
}

int hostpolicy_counter(uint8_t digest[CRYPT_HASH_SIZE],
		       const uint8_t counter_name[HOSTPOLICY_NAME_SIZE], uint64_t number)
{
	uint8_t operand[8 + 2 + 2], args[CRYPT_HASH_SIZE];
	const struct crypt_part part = {operand, sizeof(operand)};
	struct cursor c = cursor_writer(operand, sizeof(operand));
	int rc;

	cursor_put_u64(&c, number);
	cursor_put_u16(&c, 0); /* offset */
	cursor_put_u16(&c, TPM2_EO_EQ);
	rc = crypt_sha256(&part, 1, args);
	return rc ? rc
		  : extend(digest, TPM2_CC_PolicyNV,
			   (struct crypt_part){args, sizeof(args)},
			   (struct crypt_part){counter_name, HOSTPOLICY_NAME_SIZE});
}

int hostpolicy_authorize(uint8_t digest[CRYPT_HASH_SIZE],
			 const uint8_t key_name[HOSTPOLICY_NAME_SIZE],
			 const uint8_t ref[CRYPT_HASH_SIZE])
{
	memset(digest, 0, CRYPT_HASH_SIZE);
	return extend_by_key(digest, TPM2_CC_PolicyAuthorize, key_name,
			     (struct crypt_part){ref, CRYPT_HASH_SIZE});
}

int hostpolicy_key(uint8_t digest[CRYPT_HASH_SIZE],
		   const uint8_t key_name[HOSTPOLICY_NAME_SIZE])
{
	return extend_by_key(digest, TPM2_CC_PolicySigned, key_name,
			     (struct crypt_part){NULL, 0});
}

int hostpolicy_auth_value(uint8_t digest[CRYPT_HASH_SIZE])
{
	const struct crypt_part none = {NULL, 0};

	return extend(digest, TPM2_CC_PolicyAuthValue, none, none);
}
