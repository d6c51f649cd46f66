/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tpm12 DEVICE|SOCKET COMMAND, what tpm-tools would be asked for, in one static program
 * for the guests' small image.  The owner's and other passwords are words; the storage
 * root key has the well-known secret of zeroes.
 *
 *   startup                   TPM_Startup(ST_CLEAR)
 *   raw HEX                   prints the response to any packet
 *   read N; extend N WORD     PCRs, in hex; the word's SHA-1 is what is extended
 *   key                       the endorsement key's SHA-1
 *   own OWNER                 TPM_TakeOwnership; then the key is the owner's to read:
 *   ownkey OWNER
 *   define OWNER N SIZE; put OWNER N WORD; get N SIZE      NV, written by the owner
 *   seal WORD SECRET N        to the present value of PCR N; prints the blob in hex
 *   unseal WORD HEX
 */
#include "tests/system/tpm12/tpm12.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#define MODULUS 256

static struct tpm12 tpm;
static const uint8_t zeroes[DIGEST];

static void digest_of(const char *word, uint8_t out[DIGEST])
{
	SHA1((const uint8_t *)word, strlen(word), out);
}

static int print(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; bytes && i < len; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
	return bytes ? 0 : -1;
}

static size_t from_hex(const char *hex, uint8_t *out, size_t room)
{
	size_t n = 0;

	for (; hex[0] && hex[1] && n < room; hex += 2)
		sscanf(hex, "%2hhx", &out[n++]);
	return n;
}

static int startup(char **a)
{
	tpm12_begin(&tpm, 0x99);
	cursor_put_u16(&tpm.in, 1);
	return tpm12_run(&tpm);
}

/* Prints the response, whatever it says. */
static int raw(char **a)
{
	uint8_t bytes[PACKET_SIZE];
	size_t n = from_hex(a[0], bytes, sizeof(bytes));

	tpm.in = cursor_writer(tpm.cmd, sizeof(tpm.cmd));
	cursor_put(&tpm.in, bytes, n);
	if (tpm12_run(&tpm) && !tpm.rc)
		return -1;
	return print(tpm.rsp, 10 + cursor_left(&tpm.out));
}

static int read_pcr(char **a)
{
	tpm12_begin(&tpm, 0x15);
	cursor_put_u32(&tpm.in, (uint32_t)atoi(a[0]));
	return tpm12_run(&tpm) ? -1 : print(cursor_bytes(&tpm.out, DIGEST), DIGEST);
}

static int extend(char **a)
{
	uint8_t digest[DIGEST];

	digest_of(a[1], digest);
	tpm12_begin(&tpm, 0x14);
	cursor_put_u32(&tpm.in, (uint32_t)atoi(a[0]));
	cursor_put(&tpm.in, digest, DIGEST);
	return tpm12_run(&tpm);
}

/* TPM_PUBKEY of 2048 bits: its modulus. */
static const uint8_t *modulus(void)
{
	tpm12_begin(&tpm, 0x7c);
	cursor_put(&tpm.in, zeroes, DIGEST);
	if (tpm12_run(&tpm))
		return NULL;
	(void)cursor_bytes(&tpm.out, 28);
	return cursor_bytes(&tpm.out, MODULUS);
}

static int key(char **a)
{
	const uint8_t *n = modulus();
	uint8_t digest[DIGEST];

	return n ? print(SHA1(n, MODULUS, digest), DIGEST) : -1;
}

static int ownkey(char **a)
{
	uint8_t owner[DIGEST], digest[DIGEST];
	const uint8_t *n;
	struct session s;

	digest_of(a[0], owner);
	if (tpm12_oiap(&tpm, &s, owner))
		return -1;
	tpm12_begin(&tpm, 0x81);
	cursor_put_u32(&tpm.in, KH_EK);
	if (tpm12_run_auth(&tpm, &s, NULL))
		return -1;
	(void)cursor_bytes(&tpm.out, 28);
	n = cursor_bytes(&tpm.out, MODULUS);
	return n ? print(SHA1(n, MODULUS, digest), DIGEST) : -1;
}

static EVP_PKEY *public_of(const uint8_t *n)
{
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	BIGNUM *bn = BN_bin2bn(n, MODULUS, NULL), *e = BN_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *pkey = NULL;

	BN_set_word(e, 65537);
	OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, bn);
	OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, e);
	EVP_PKEY_fromdata_init(ctx);
	EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, OSSL_PARAM_BLD_to_param(b));
	return pkey;
}

/* A secret for the endorsement key: OAEP with the label that Part 1, 31.1.1 says. */
static int put_for_key(EVP_PKEY *pkey, const uint8_t secret[DIGEST])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	uint8_t out[MODULUS];
	size_t len = sizeof(out);

	if (EVP_PKEY_encrypt_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
	    EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, strdup("TCPA"), 4) != 1 ||
	    EVP_PKEY_encrypt(ctx, out, &len, secret, DIGEST) != 1)
		return -1;
	cursor_put_u32(&tpm.in, (uint32_t)len);
	cursor_put(&tpm.in, out, len);
	return 0;
}

/* TPM_KEY, the storage root key as it is to be made: Part 2, 10.2 */
static void put_srk(void)
{
	cursor_put_u32(&tpm.in, 0x01010000); /* TPM_STRUCT_VER 1.1 */
	cursor_put_u16(&tpm.in, 0x11);	     /* TPM_KEY_STORAGE */
	cursor_put_u32(&tpm.in, 0);
	cursor_put_u8(&tpm.in, 1);   /* TPM_AUTH_ALWAYS */
	cursor_put_u32(&tpm.in, 1);  /* TPM_ALG_RSA */
	cursor_put_u16(&tpm.in, 3);  /* OAEP */
	cursor_put_u16(&tpm.in, 1);  /* no signatures */
	cursor_put_u32(&tpm.in, 12); /* 2048 bits, two primes, the default exponent */
	cursor_put_u32(&tpm.in, 2048);
	cursor_put_u32(&tpm.in, 2);
	cursor_put_u32(&tpm.in, 0);
	cursor_put_u32(&tpm.in, 0); /* no PCRs, no public, no private part */
	cursor_put_u32(&tpm.in, 0);
	cursor_put_u32(&tpm.in, 0);
}

static int own(char **a)
{
	const uint8_t *n = modulus();
	EVP_PKEY *pkey = n ? public_of(n) : NULL;
	uint8_t owner[DIGEST];
	struct session s;

	digest_of(a[0], owner);
	if (!pkey || tpm12_oiap(&tpm, &s, owner))
		return -1;
	tpm12_begin(&tpm, 0x0d);
	cursor_put_u16(&tpm.in, 5); /* TPM_PID_OWNER */
	if (put_for_key(pkey, owner) || put_for_key(pkey, zeroes))
		return -1;
	put_srk();
	return tpm12_run_auth(&tpm, &s, NULL);
}

static void put_pcr_info(void)
{
	cursor_put_u16(&tpm.in, 3);
	cursor_put(&tpm.in, zeroes, 3);
	cursor_put_u8(&tpm.in, 0x1f);
	cursor_put(&tpm.in, zeroes, DIGEST);
}

/* Written by the owner, read by everybody. */
static int define(char **a)
{
	uint8_t owner[DIGEST], hidden[DIGEST];
	struct session s;

	digest_of(a[0], owner);
	if (tpm12_osap(&tpm, &s, ET_OWNER, KH_OWNER, owner))
		return -1;
	tpm12_adip(&s, zeroes, hidden);
	tpm12_begin(&tpm, 0xcc);
	cursor_put_u16(&tpm.in, 0x18);
	cursor_put_u32(&tpm.in, (uint32_t)strtoul(a[1], NULL, 0));
	put_pcr_info();
	put_pcr_info();
	cursor_put_u16(&tpm.in, 0x17);
	cursor_put_u32(&tpm.in, 2); /* TPM_NV_PER_OWNERWRITE */
	cursor_put(&tpm.in, zeroes, 3);
	cursor_put_u32(&tpm.in, (uint32_t)atoi(a[2]));
	cursor_put(&tpm.in, hidden, DIGEST);
	return tpm12_run_auth(&tpm, &s, NULL);
}

static int put(char **a)
{
	uint8_t owner[DIGEST];
	struct session s;

	digest_of(a[0], owner);
	if (tpm12_oiap(&tpm, &s, owner))
		return -1;
	tpm12_begin(&tpm, 0xcd);
	cursor_put_u32(&tpm.in, (uint32_t)strtoul(a[1], NULL, 0));
	cursor_put_u32(&tpm.in, 0);
	cursor_put_u32(&tpm.in, (uint32_t)strlen(a[2]));
	cursor_put(&tpm.in, a[2], strlen(a[2]));
	return tpm12_run_auth(&tpm, &s, NULL);
}

static int get(char **a)
{
	uint32_t len;

	tpm12_begin(&tpm, 0xcf);
	cursor_put_u32(&tpm.in, (uint32_t)strtoul(a[0], NULL, 0));
	cursor_put_u32(&tpm.in, 0);
	cursor_put_u32(&tpm.in, (uint32_t)atoi(a[1]));
	if (tpm12_run(&tpm))
		return -1;
	len = cursor_u32(&tpm.out);
	printf("%.*s\n", (int)len, (const char *)cursor_bytes(&tpm.out, len));
	return 0;
}

/* TPM_COMPOSITE_HASH of one PCR, Part 2, 5.4.1 */
static int composite(unsigned int pcr, uint8_t select[3], uint8_t out[DIGEST])
{
	uint8_t bytes[2 + 3 + 4 + DIGEST] = {0, 3};

	memset(select, 0, 3);
	select[pcr / 8] = (uint8_t)(1 << pcr % 8);
	memcpy(bytes + 2, select, 3);
	bytes[8] = DIGEST;
	tpm12_begin(&tpm, 0x15);
	cursor_put_u32(&tpm.in, pcr);
	if (tpm12_run(&tpm))
		return -1;
	cursor_copy(&tpm.out, bytes + 9, DIGEST);
	SHA1(bytes, sizeof(bytes), out);
	return 0;
}

static int seal(char **a)
{
	uint8_t auth[DIGEST], hidden[DIGEST], pcrs[DIGEST], select[3];
	struct session s;

	digest_of(a[0], auth);
	if (composite((unsigned int)atoi(a[2]) % 24, select, pcrs) ||
	    tpm12_osap(&tpm, &s, ET_SRK, KH_SRK, zeroes))
		return -1;
	tpm12_adip(&s, auth, hidden);
	tpm12_begin(&tpm, 0x17);
	cursor_put_u32(&tpm.in, KH_SRK);
	tpm12_end_handles(&tpm);
	cursor_put(&tpm.in, hidden, DIGEST);
	cursor_put_u32(&tpm.in, 2 + 3 + 2 * DIGEST); /* TPM_PCR_INFO */
	cursor_put_u16(&tpm.in, 3);
	cursor_put(&tpm.in, select, 3);
	cursor_put(&tpm.in, pcrs, DIGEST); /* at release */
	cursor_put(&tpm.in, zeroes, DIGEST);
	cursor_put_u32(&tpm.in, (uint32_t)strlen(a[1]));
	cursor_put(&tpm.in, a[1], strlen(a[1]));
	if (tpm12_run_auth(&tpm, &s, NULL))
		return -1;
	/* what is left behind the session's own 41 bytes */
	return print(tpm.rsp + 10, cursor_left(&tpm.out) - (DIGEST + 1 + DIGEST));
}

static int unseal(char **a)
{
	uint8_t auth[DIGEST], blob[PACKET_SIZE];
	size_t n = from_hex(a[1], blob, sizeof(blob));
	struct session srk, data;
	uint32_t len;

	digest_of(a[0], auth);
	if (tpm12_oiap(&tpm, &srk, zeroes) || tpm12_oiap(&tpm, &data, auth))
		return -1;
	tpm12_begin(&tpm, 0x18);
	cursor_put_u32(&tpm.in, KH_SRK);
	tpm12_end_handles(&tpm);
	cursor_put(&tpm.in, blob, n);
	if (tpm12_run_auth(&tpm, &srk, &data))
		return -1;
	len = cursor_u32(&tpm.out);
	printf("%.*s\n", (int)len, (const char *)cursor_bytes(&tpm.out, len));
	return 0;
}

static const struct {
	const char *name;
	int words;
	int (*run)(char **a);
} commands[] = {
	{"startup", 0, startup}, {"raw", 1, raw},	{"read", 1, read_pcr},
	{"extend", 2, extend},	 {"key", 0, key},	{"own", 1, own},
	{"ownkey", 1, ownkey},	 {"define", 3, define}, {"put", 3, put},
	{"get", 2, get},	 {"seal", 3, seal},	{"unseal", 2, unseal},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 2 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[2], commands[i].name) && argc == 3 + commands[i].words)
			return tpm12_open(&tpm, argv[1]) || commands[i].run(argv + 3);
	fputs("usage: tpm12 DEVICE|SOCKET COMMAND WORD...\n", stderr);
	return 2;
}
