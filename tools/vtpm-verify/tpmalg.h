/* SPDX-License-Identifier: Apache-2.0 */
/* The hash algorithms of TPMs and event logs (TCG Algorithm Registry, 6). */
#ifndef VERIFY_TPMALG_H
#define VERIFY_TPMALG_H

#include "lib/crypt.h"
#include "lib/tpm2/types.h"

#define TPMALG_SIZE_MAX 64

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
