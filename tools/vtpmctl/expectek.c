/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/expectek.h"
#include "lib/hex.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const algs[ENVELOPE_EKS] = {
	[ENVELOPE_EK_P256] = "ecc-p256",
	[ENVELOPE_EK_RSA2048] = "rsa2048",
	[ENVELOPE_EK_P384] = "ecc-p384",
};

static void print_name(size_t i, const struct envelope_name *name)
{
	char hex[2 * ENVELOPE_NAME_MAX + 1];

	hex_encode(name->bytes, name->len, hex);
	fprintf(stderr, "EK %-8s  Name %s\n", algs[i], name->len ? hex : "is not known");
}

int expectek_check(const struct envelope_desc *desc, const char *expected,
		   struct error *e)
{
	struct envelope_name want = {0};
	size_t i, len = sizeof(want.bytes);
	bool found = false;

	if (expected && (hex_decode(expected, want.bytes, &len) || !len))
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "--expect-ek takes the Name of an endorsement key in "
				 "hexadecimal, as `vtpmctl show NAME --json` prints it");
	want.len = (uint16_t)len;
	for (i = 0; i < ENVELOPE_EKS; i++) {
		print_name(i, &desc->ek[i]);
		found |= expected && desc->ek[i].len == want.len &&
			 !memcmp(desc->ek[i].bytes, want.bytes, want.len);
	}
	if (!expected || found)
		return 0;
	return error_set(e, -EKEYREJECTED, CAUSE_WRONG_VTPM,
			 "this is not the vTPM that is meant: it has other endorsement "
			 "keys than the one with the Name %s; nothing was changed",
			 expected);
}
