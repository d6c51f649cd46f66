/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES for libtpms by the processor's instructions.  libtpms calls OpenSSL's AES_encrypt(),
 * which works by tables, whoever the processor is: two thirds of a TPM2_GetRandom, and its time
 * depends on the key.  The linker (--wrap, manager.mk) leads that call here; the key schedule
 * stays OpenSSL's, whose bytes are those of FIPS 197.
 */
#include <openssl/aes.h>
#include <sys/platform/x86.h>
#include <wmmintrin.h>

void __real_AES_encrypt(const unsigned char *in, unsigned char *out, const AES_KEY *key);
void __wrap_AES_encrypt(const unsigned char *in, unsigned char *out, const AES_KEY *key);

__attribute__((target("aes"))) static void
encrypt_block(const unsigned char *in, unsigned char *out, const AES_KEY *key)
{
	const __m128i *round = (const __m128i *)key->rd_key;
	__m128i block = _mm_xor_si128(_mm_loadu_si128((const __m128i *)in),
				      _mm_loadu_si128(round));
	int i;

	for (i = 1; i < key->rounds; i++)
		block = _mm_aesenc_si128(block, _mm_loadu_si128(round + i));
	block = _mm_aesenclast_si128(block, _mm_loadu_si128(round + i));
	_mm_storeu_si128((__m128i *)out, block);
}

/* Encrypts a block of 16 bytes; in and out may be the same. */
void __wrap_AES_encrypt(const unsigned char *in, unsigned char *out, const AES_KEY *key)
{
	if (CPU_FEATURE_ACTIVE(AES))
		encrypt_block(in, out, key);
	else
		__real_AES_encrypt(in, out, key);
}
