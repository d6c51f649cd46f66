/* SPDX-License-Identifier: Apache-2.0 */
/* What passes the filter has a code of the list, the tag and the length that belong to it,
 * names the storage key or handles of its own alone, and, where there is one, has the
 * template, the session and the binding that sealing needs: all written down here a second
 * time, by offset.  The first byte of the input says which handles it has. */
#include "tools/vtpmd/tpm_filter.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SRK	0x81005654u
#define COUNTER 0x01805655u
#define HMAC	0x02000000u
#define POLICY	0x03000001u
#define SEALED	0x80000002u
#define KEY	0x80000003u

static const uint8_t policy_key[8] = {0, 0x23, 0, 0x0b, 1, 2, 3, 4};
static const uint8_t sealed[] = {0, 8, 0, 0x0b, 0, 0, 4, 0x92, 0, 32};
static const uint8_t share[] = {0, 8, 0, 0x0b, 0, 4, 4, 0x80, 0, 32};
static const uint8_t uuid[16] = "this vTPM's own";

static void must(bool is)
{
	if (!is)
		abort();
}

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
	return be16(p) << 16 | be16(p + 2);
}

static bool has(const struct tpm_filter *f, uint32_t handle)
{
	size_t i;

	for (i = 0; i < TPM_FILTER_HANDLES; i++)
		if (f->own[i].kind && f->own[i].handle == handle)
			return true;
	return false;
}

/* Handle, and an authorization by one session of its own. */
static void must_be_authorized(const struct tpm_filter *f, const uint8_t *p,
			       uint32_t handle, uint32_t session, uint8_t attributes)
{
	must(be16(p) == 0x8002 && be32(p + 10) == handle && be32(p + 14) == 73 &&
	     be32(p + 18) == session && has(f, session) && p[56] == attributes);
}

/* The sealing template is at this place. */
static void must_be_sealed(const uint8_t *p, size_t size, size_t at, size_t unique)
{
	must(at + 48 + unique <= size && be16(p + at) == 46 + unique &&
	     !memcmp(p + at + 2, sealed, sizeof(sealed)) &&
	     be32(p + at + 44) == 0x100000 + unique);
}

static bool is_share(const uint8_t *p, size_t size, size_t at)
{
	return at + 82 <= size && be16(p + at) == 80 &&
	       !memcmp(p + at + 2, share, sizeof(share)) &&
	       be32(p + at + 44) == 0x5000b && be16(p + at + 48) == 32;
}

static void must_be_of_the_list(const struct tpm_filter *f, const uint8_t *p, size_t size)
{
	size_t first = size > 93 ? be16(p + 91) : 0; /* the first parameter's length */

	must(size >= 12 && size <= 4096 && be32(p + 2) == size);
	switch (be32(p + 6)) {
	case 0x153:
		must_be_authorized(f, p, SRK, HMAC, 0x21);
		must_be_sealed(p, size, 93 + first, 0);
		must(size == 93 + first + 48 + 6);
		return;
	case 0x157:
		must_be_authorized(f, p, SRK, HMAC, 1);
		if (is_share(p, size, 93 + first)) {
			must(size == 93 + first + 82);
			return;
		}
		must_be_sealed(p, size, 93 + first, 32);
		must(size == 93 + first + 48 + 32);
		return;
	case 0x156:
		must_be_authorized(f, p, SRK, HMAC, 1);
		must(!first && is_share(p, size, 93) && size == 93 + 82 + 110 + 70 + 2 &&
		     be16(p + 175) == 108 && be16(p + 285) == 68 &&
		     be16(p + 355) == 0x10);
		return;
	case 0x155:
		must_be_authorized(f, p, SEALED, POLICY, 0x41);
		must(has(f, SEALED) && f->own[2].kind == TPM_FILTER_SHARE &&
		     size == 93 + 71 + 2 && !memcmp(p + 93, "xen-vtpm pool share", 19) &&
		     !memcmp(p + 93 + 23, uuid, sizeof(uuid)) && be16(p + 164) == 0x0b);
		return;
	case 0x15e:
		must_be_authorized(f, p, SEALED, POLICY, 0x41);
		must(has(f, SEALED) && size == 91);
		return;
	case 0x149:
		must(size == 113 && be16(p) == 0x8002 && be32(p + 10) == COUNTER &&
		     be32(p + 14) == COUNTER && be32(p + 18) == POLICY &&
		     has(f, POLICY) && be32(p + 22) == 73 && be32(p + 26) == HMAC &&
		     has(f, HMAC) && p[64] == 1 && be32(p + 109) == 0);
		return;
	}
	must(be16(p) == 0x8001);
	switch (be32(p + 6)) {
	case 0x165:
		must(size == 14 && has(f, be32(p + 10)));
		return;
	case 0x167:
		must(size == 26 && !memcmp(p + 14, policy_key, sizeof(policy_key)));
		return;
	case 0x16b:
	case 0x189:
		must(size == 14);
		/* fall through */
	case 0x16a:
	case 0x17f:
		must(be32(p + 10) == POLICY && has(f, POLICY));
		return;
	case 0x173:
		must(size == 14 && be32(p + 10) == SRK);
		return;
	case 0x176:
		must(size == 131 && be32(p + 10) == SRK && be32(p + 14) == 0x40000007);
		return;
	case 0x177:
		must(be32(p + 10) == KEY && has(f, KEY));
		return;
	case 0x17b:
		must(size == 12 && be16(p + 10) <= 32);
		return;
	case 0x17e:
		must(size == 20);
		return;
	}
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tpm_filter_host host = {
		SRK, policy_key, sizeof(policy_key), {uuid, NULL}};
	static const uint32_t handles[] = {HMAC, POLICY, SEALED, KEY};
	struct tpm_filter f = {0};
	struct tpm_filter_verdict v;
	size_t i;

	if (!size)
		return 0;
	for (i = 0; i < TPM_FILTER_HANDLES; i++)
		if (data[0] & 1u << i) {
			f.own[i].handle = handles[i];
			f.own[i].kind = (enum tpm_filter_kind)(TPM_FILTER_HMAC + i);
		}
	if (data[0] & 0x10 && f.own[2].kind)
		f.own[2].kind = TPM_FILTER_SHARE;
	if (!tpm_filter_check(&f, &host, data + 1, size - 1, &v)) {
		must_be_of_the_list(&f, data + 1, size - 1);
		tpm_filter_answered(&f, &v, data + 1, size - 1);
	} else if (!v.why || v.gives || v.flushes) {
		abort();
	}
	return 0;
}
