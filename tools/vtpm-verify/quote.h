/* SPDX-License-Identifier: Apache-2.0 */
/* A TPMS_ATTEST of TPM2_Quote: TPM 2.0 Library, Part 2, 10.12.8 and 10.12.1. */
#ifndef VERIFY_QUOTE_H
#define VERIFY_QUOTE_H

#include "lib/cursor.h"
#include "tools/vtpm-verify/public.h"

#define QUOTE_PCRS  24
#define QUOTE_BANKS 8

struct quote_part {
	const uint8_t *p;
	size_t n;
};

struct quote {
	struct quote_part signer; /* qualified Name */
	struct quote_part extra;  /* qualifyingData */
	size_t banks;
	struct {
		const struct tpmalg *alg;
		uint32_t pcrs; /* bit n: PCR n is in */
	} bank[QUOTE_BANKS];
	struct quote_part digest; /* of the PCRs */
};

/* All of buf; parts point into it.  -EBADMSG: it is no quote, or not made inside of a
 * TPM (TPM_GENERATED_VALUE). */
int __must_check quote_parse(const uint8_t *buf, size_t len, struct quote *q);

#endif
