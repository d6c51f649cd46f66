/* SPDX-License-Identifier: Apache-2.0 */
/* The hash algorithms of TPMs and event logs (TCG Algorithm Registry, 6). */
#ifndef VERIFY_TPMALG_H
#define VERIFY_TPMALG_H

#include "lib/crypt.h"

#define TPMALG_SIZE_MAX 64

enum tpmalg_id {
	TPMALG_RSA = 0x0001,
	TPMALG_SHA1 = 0x0004,
	TPMALG_SHA256 = 0x000b,
	TPMALG_NULL = 0x0010,
	TPMALG_RSASSA = 0x0014,
	TPMALG_RSAES = 0x0015,
	TPMALG_RSAPSS = 0x0016,
	TPMALG_OAEP = 0x0017,
	TPMALG_ECDSA = 0x0018,
	TPMALG_ECDAA = 0x001a,
	TPMALG_ECC = 0x0023,
};

struct tpmalg {
	uint16_t id;
	const char *name; /* OpenSSL's, and ours in JSON: "sha256" */
	size_t size;
};

/* NULL: not one that we know. */
const struct tpmalg *tpmalg_find(uint16_t id);
const struct tpmalg *tpmalg_named(const char *name);
/* out has room for TPMALG_SIZE_MAX. -EIO */
int __must_check tpmalg_hash(const struct tpmalg *alg, const struct crypt_part *parts,
			     size_t count, uint8_t *out);

#endif
