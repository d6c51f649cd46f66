/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tpm2/code.h"
#include "compiler.h"

#include <stddef.h>

#define SHOW   "see `vtpmctl host show`"
#define DOCTOR "`vtpmctl doctor` tells what is missing, and how it is put back"
#define AGAIN  "try again"
#define OTHER  "see `tpm2_rc_decode` and `dmesg | grep -i tpm`"

/* Part 2, 6.6.3; a format-one code without the number of what it is about. */
static const struct tpm2_code {
	uint32_t code;
	const char *words, *step;
} codes[] = {
	{0x082, "attributes that do not fit", DOCTOR},
	{0x084, "a value out of range", OTHER},
	{0x085, "the hierarchy is disabled", "enable it in the firmware's set-up"},
	{0x08b, "no such handle", DOCTOR},
	{0x08e, "the authorization value is wrong",
	 "another TPM than host.json's, or a hierarchy with a password: " SHOW},
	{0x095, "a structure of the wrong size", OTHER},
	{0x09b, "the signature is not valid",
	 "host.json was altered or is another host's: " SHOW},
	{0x09d, "the policy is not satisfied",
	 SHOW ": boot what is approved, or `vtpmctl host approve`"},
	{0x09f, "the object was not made under this storage key, or was altered",
	 "the TPM was cleared, or host.json is another host's: " SHOW},
	{0x0a0, "the ticket is not valid",
	 "the TPM was cleared or reset meanwhile: " AGAIN ", and " SHOW},
	{0x0a2, "the authorization is wrong",
	 "another TPM than host.json's, or a hierarchy with a password: " SHOW},
	{0x100, "the TPM was not started", "reboot, and look at the firmware's set-up"},
	{0x101, "the TPM is in failure mode", "switch the host off and on"},
	{0x120, "the command is disabled", "enable the TPM in the firmware's set-up"},
	{0x128, "the PCRs changed meanwhile", AGAIN},
	{0x143, "the TPM does not know the command",
	 "a TPM 2.0 with newer firmware is needed; " OTHER},
	{0x148, "the NV index is locked", "reboot, and find who locks it"},
	{0x149, "the NV index may not be used so", DOCTOR},
	{0x14a, "the NV index was never written", DOCTOR},
	{0x14b, "the TPM has no room for an NV index",
	 "`tpm2_getcap handles-nv-index`, and remove what nobody needs"},
	{0x14c, "there is such an NV index already", DOCTOR},
	{0x902, "no memory for objects", AGAIN ", or `tpm2_flushcontext -t`"},
	{0x903, "no memory for sessions", AGAIN ", or `tpm2_flushcontext -l`"},
	{0x921, "the TPM is locked out after wrong authorizations",
	 "wait, or `tpm2_dictionarylockout -c`"},
};

#define FORMAT_ONE   0x080u
#define FORMAT_ONE_N 0x0bfu /* without the number: Part 2, 6.6.2 */
#define LAYER_NONE   0xfffu /* tpm2-tss has its layers above */

static const struct tpm2_code *find_code(uint32_t code)
{
	size_t i;

	code &= LAYER_NONE;
	if (code & FORMAT_ONE)
		code &= FORMAT_ONE_N;
	for (i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].code == code)
			return &codes[i];
	return NULL;
}

const char *tpm2_code_words(uint32_t code)
{
	const struct tpm2_code *c = find_code(code);

	return c ? c->words : "see Part 2, 6.6 of the TPM's specification";
}

const char *tpm2_code_step(uint32_t code)
{
	const struct tpm2_code *c = find_code(code);

	return c ? c->step : OTHER;
}
